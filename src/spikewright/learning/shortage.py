"""Where memory runs out in a training step: an error that says what was needed, what to change."""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from spikewright.engine.memory import release_memory
from spikewright.errors import OutOfMemory, SpikewrightError

if TYPE_CHECKING:
    from spikewright.learning.surrogate import Surrogate
    from spikewright.network import Network

MEMINFO = Path("/proc/meminfo")
STATM = Path("/proc/self/statm")
CUT = 4
"""The chunks that the error's `truncate` makes of the sequence, or of the chunks there were."""
_SIGNS = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")


def is_shortage(error: BaseException) -> bool:
    """Whether an error of NumPy, PyTorch or the system says that memory ran out.

    >>> is_shortage(MemoryError()), is_shortage(ValueError("out of memory"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _SIGNS)


@contextlib.contextmanager
def shortage_explained(rule: Surrogate, network: Network, x: torch.Tensor) -> Iterator[None]:
    """Turn a shortage of memory inside the block into `OutOfMemory`.

    Args:
        x: the input, (time, batch, *features).
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as cause:
        if isinstance(cause, OutOfMemory) or not is_shortage(cause):
            raise
        # What the step had made lives in the frames of the error.
        traceback.clear_frames(cause.__traceback__)
        release_memory()
        steps, batch = x.shape[:2]
        levers = [f"{lever}{need}" for lever, need in _levers(rule, network, x).items()]
        raise OutOfMemory(
            "Surrogate: a training step must fit into memory, got too little of it for T = "
            f"{steps}, B = {batch} ({_first_line(cause)}).{_balance(rule, network, x)} "
            f"Use {', '.join(levers)}, or fewer steps than {steps}; "
            "sw.estimate_memory(network, steps, batch, rule=rule) says what a step needs."
        ) from cause


def available_memory() -> int | None:
    """Bytes that this process may still take, as far as the system says."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            taken = int(STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
            found.append(max(0, most - taken))
    return min(found, default=None)


def _levers(rule: Surrogate, network: Network, x: torch.Tensor) -> dict[str, str]:
    """What to change, and what the step would then need."""
    steps, batch = x.shape[:2]
    again = rule.with_memory(memory="checkpoint")
    cut = max(1, min(steps, rule.truncate or steps) // CUT)
    found: dict[str, str] = {}
    if rule.memory == "full":
        found["memory='checkpoint'"] = _needed(again, network, x, batch)
    shorter = again.with_memory(truncate=cut)
    found[f"truncate={cut} with memory='checkpoint'"] = _needed(shorter, network, x, batch)
    if batch > 1:
        found[f"a batch of {batch // 2}"] = _needed(rule, network, x, batch // 2)
    return found


def _needed(rule: Surrogate, network: Network, x: torch.Tensor, batch: int) -> str:
    size = _estimate(rule, network, x, batch)
    return "" if size is None else f" (some {_megabytes(size)})"


def _balance(rule: Surrogate, network: Network, x: torch.Tensor) -> str:
    size, free = _estimate(rule, network, x, x.shape[1]), available_memory()
    if size is None or free is None:
        return ""
    return f" By estimate it needs {_megabytes(size)}, and {_megabytes(free)} are available."


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.{0 if size >= 1e8 else 1}f} MB"


def _estimate(rule: Surrogate, network: Network, x: torch.Tensor, batch: int) -> int | None:
    """The estimate, bytes, if there is still enough memory to make one."""
    from spikewright.learning.memory import estimate_memory

    if x.device.type != "cpu":
        return None
    try:
        return estimate_memory(network, len(x), batch, rule=rule, x=x).peak
    except (MemoryError, RuntimeError, OSError, SpikewrightError):
        return None
    finally:
        release_memory()


def _first_line(cause: BaseException) -> str:
    return str(cause).partition("\n")[0] or type(cause).__name__
