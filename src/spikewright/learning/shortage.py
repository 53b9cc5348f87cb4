"""Where memory runs out in a training step: an error that names what to change."""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Iterator

import torch

from spikewright.engine.memory import release_memory
from spikewright.errors import OutOfMemory

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
def shortage_explained(x: torch.Tensor, memory: str, truncate: int | None) -> Iterator[None]:
    """Turn a shortage of memory inside the block into `OutOfMemory`.

    Args:
        x: the input, (time, batch, *features).
        memory, truncate: as the rule has them.
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
        levers = [f"a batch smaller than {batch}"]
        levers += ["memory='checkpoint'"] if memory == "full" else []
        levers += [
            f"truncate (now {truncate}) with memory='checkpoint'",
            f"fewer steps than {steps}",
        ]
        raise OutOfMemory(
            "Surrogate: a training step must fit into memory, got too little of it for T = "
            f"{steps}, B = {batch} ({_first_line(cause)}). Use {', '.join(levers[:-1])} or "
            f"{levers[-1]}; sw.estimate_memory(network, steps, batch, rule=rule) says what a step "
            "needs."
        ) from cause


def _first_line(cause: BaseException) -> str:
    return str(cause).partition("\n")[0] or type(cause).__name__
