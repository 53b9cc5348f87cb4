"""Several processes that train one network, as a learning rule sees them.

Plain ``torch.distributed``; in a single process every function here does nothing or returns at
once, so a rule calls them without asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world_size() -> int:
    """Number of processes that train together.

    >>> world_size()
    1
    """
    return dist.get_world_size() if _joined() else 1


def rank() -> int:
    """Number of this process, from 0.

    >>> rank()
    0
    """
    return dist.get_rank() if _joined() else 0


def control_device() -> torch.device:
    """Where small tensors must live to be exchanged by the backend in use."""
    cuda = _joined() and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")


def sum_over_processes(values: Sequence[float]) -> list[float]:
    """Each value summed over all processes, in float64.

    >>> sum_over_processes([1.0, 2.5])
    [1.0, 2.5]
    """
    if not _joined():
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=control_device())
    dist.all_reduce(total)
    return total.tolist()


def any_true(*flags: bool) -> list[bool]:
    """For each flag, whether any process has it set: how processes decide as one.

    >>> any_true(True, False)
    [True, False]
    """
    return [total > 0 for total in sum_over_processes([float(flag) for flag in flags])]


def gather(value: Any) -> list[Any]:
    """The value of each process, in the order of their ranks, in every process.

    >>> gather("a")
    ['a']
    """
    if not _joined():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Overwrite each tensor, in place, with the one of process 0."""
    if not _joined():
        return
    with torch.no_grad():
        for group in _by_kind(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            dist.broadcast(flat, 0)
            _scatter(flat, group)


def average(tensors: Sequence[Tensor], samples: int) -> None:
    """Replace each tensor, in place, by its mean over processes, weighted by their samples.

    With ``t_r`` a mean over the ``n_r`` samples of process r, ``t <- sum_r n_r t_r / sum_r n_r``
    is the mean over the joined batch.

    Args:
        tensors: floating point, the same shapes in the same order in every process.
        samples: number of samples that this process's tensors are means over.
    """
    if not _joined() or not tensors:
        return
    (total,) = sum_over_processes([samples])
    with torch.no_grad():
        for group in _by_kind(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in group]) * samples
            dist.all_reduce(flat)
            _scatter(flat / total, group)


def average_gradients(parameters: Iterable[Tensor], samples: int) -> None:
    """Average ``.grad`` over processes so that each holds the gradient of the joined batch.

    A parameter without a gradient in any process keeps none; without one in this process only,
    it counts as zero here. Call it between ``backward`` and the optimiser's step.

    Args:
        parameters: the same in the same order in every process.
        samples: number of samples in this process's batch, over which its loss is a mean.
    """
    if not _joined():
        return
    parameters = list(parameters)
    present = any_true(*[parameter.grad is not None for parameter in parameters])
    gradients: list[Tensor] = []
    for parameter, used in zip(parameters, present, strict=True):
        if used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    average(gradients, samples)


def _by_kind(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(groups.values())


def _scatter(flat: Tensor, group: list[Tensor]) -> None:
    parts = flat.split([tensor.numel() for tensor in group])
    for tensor, part in zip(group, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))
