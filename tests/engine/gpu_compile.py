"""Kernels of the GPU backend compiled for a device that need not be there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from spikewright.engine.gpu import backend as gpu
from spikewright.engine.spike import DEFAULT_SURROGATE
from spikewright.engine.tracing.trace import Needs, Slots, Step

POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16"}
TARGETS = {"cuda": (90, 32), "hip": ("gfx942", 64)}
"""An H100 and an MI300: name or number of the architecture, threads that run as one."""


def compiled(
    step: Step,
    slots: Slots,
    backend: str,
    sequences: torch.dtype,
    names: tuple[str, ...],
    delayed: bool | None = None,
) -> Iterator[Any]:
    """Some kernels of ``step``, each compiled for ``backend``.

    Args:
        sequences: dtype of inputs, outputs and their gradients.
        delayed: for a recurrent layer, whether its connection has delays.
    """
    needs = Needs((True,) * len(slots.inputs), (True,) * len(slots.coefficients))
    plan = gpu.find_plan(step, slots, DEFAULT_SURROGATE, needs, recurrent=delayed is not None)
    constants = {"LANES": gpu.LANES} | ({} if delayed is None else {"DELAYED": delayed})
    for name in names:
        kernel = plan.kernel(name)
        kinds = {n: _kind(n, slots.dtype, sequences) for n in kernel.arg_names}
        yield compile_kernel(kernel, kinds, backend, **constants)


WHOLE = {"delays": "*i64", "recent": "*i32", "index": "*i32", "whole": "*i1"}
NUMBERS = ("steps", "lanes", "neurons", "batch", "inputs", "window", "by_input", "by_neuron")
SEQUENCES = ("x", "y", "d_x", "g_y", "sent", "rows", "weight", "bias")


def _kind(name: str, dtype: torch.dtype, sequences: torch.dtype) -> str:
    """Triton's type of an argument of a kernel that runs a step."""
    if name in (*NUMBERS, "keep", "pasts"):
        return "i32"
    return WHOLE.get(name) or POINTERS[sequences if name.startswith(SEQUENCES) else dtype]


def compile_kernel(kernel: Any, kinds: dict[str, str], backend: str, **constants: Any) -> Any:
    """A kernel whose arguments are of those kinds, or are those constants."""
    from triton import compile as compile_for
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    architecture, width = TARGETS[backend]
    kinds = kinds | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature=kinds, constexprs=constants)
    options = {"num_warps": 64 // width, "enable_fp_fusion": False}
    return compile_for(source, target=GPUTarget(backend, architecture, width), options=options)
