"""Gradients that name what to do if they are differentiated again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import BackendError


def differentiable_once(
    where: str, way: str, results: Sequence[Tensor | None], sources: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Hand out the results of a backward pass, guarded where a graph of them is asked for.

    Args:
        where, way: name and way out for the error message.
        sources: what the results depend on.
    """
    if not torch.is_grad_enabled():
        return list(results)
    made = [r for r in results if r is not None]
    known = [s for s in sources if s is not None]
    guarded = iter(_NoSecondDerivative.apply(where, way, len(made), *made, *known))
    return [None if r is None else next(guarded) for r in results]


class _NoSecondDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, where: str, way: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.where, ctx.way = where, way
        return tuple(t.view_as(t) for t in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise BackendError(
            f"{ctx.where}: a fused kernel must be differentiated at most once, got a second "
            f"derivative. {ctx.way}"
        )
