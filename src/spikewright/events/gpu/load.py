"""The kernels of ``sources``, for a GPU or for Triton's interpreter, and how they are run."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch

from spikewright.engine import cache
from spikewright.engine.gpu.backend import interpreted, obstacle
from spikewright.engine.gpu.triton_ops import DEVICE_MATH, HEADER, INTERPRETED_MATH
from spikewright.errors import BackendError

_SOURCES = Path(__file__).parent / "sources"
_DEVICE = DEVICE_MATH + "from triton.language import max as greatest\n"
_INTERPRETED = INTERPRETED_MATH + "from spikewright.engine.gpu.interpreted import greatest\n"


def load(source: str, name: str) -> Any:
    """Kernel ``name`` of ``sources/SOURCE.py``; the interpreter has others than a GPU."""
    return _load(source, name, interpreted())


def lanes() -> int:
    """Neurons of a program: one warp of threads, which then waits for no other."""
    return 64 if torch.version.hip else 32


def check_device(device: torch.device) -> None:
    """Refuse tensors that no kernel can take.

    Raises:
        BackendError: says why.
    """
    reason = obstacle(device, torch.float64)
    if reason is not None:
        raise BackendError(
            f"events.gpu: tensors must be on a GPU, with Triton installed, got {reason}. "
            "Move network and spikes to the CPU, which needs neither."
        )


@functools.cache
def _load(source: str, name: str, interpreted: bool) -> Any:
    texts = [(_SOURCES / f"{part}.py").read_text() for part in ("cell", "adjoint", source)]
    text = "\n\n".join([HEADER + (_INTERPRETED if interpreted else _DEVICE), *texts])
    kind = "interpreted" if interpreted else "gpu"
    return getattr(cache.load_kernels(text, f"events_{source}_{kind}"), name)
