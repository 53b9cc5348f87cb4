"""Products with spikes as registered operations, which choose their path when they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.engine.custom_ops.operation import call, register
from spikewright.engine.products import linear as matrices
from spikewright.engine.products.costs import Path, Product, Scatter, costs_in_force


@dataclass(frozen=True)
class Linear:
    """``spikewright::linear``: input, weight and bias if any, to the product."""

    path: Path

    @property
    def name(self) -> str:
        return "linear"

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        x, weight, *bias = tensors
        if matrices.choose_way(x, weight, self.path).events is None:
            y: Any = _DenseProduct.apply(*tensors)
        else:
            y = matrices.linear(x, weight, bias[0] if bias else None, self.path)
        return [y]

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        x, weight = tensors[:2]
        return [x.new_empty((*x.shape[:2], weight.shape[0]))]


class _DenseProduct(torch.autograd.Function):
    """Torch's product, in one piece with its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs, rows = ctx.needs_input_grad, gradients[0].flatten(0, 1)
        return (
            (rows @ weight).view(x.shape) if needs[0] else None,
            rows.t() @ x.flatten(0, 1) if needs[1] else None,
            *((rows.sum(0) if needed else None) for needed in needs[2:]),
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, path: Path) -> Tensor:
    """`spikewright.engine.products.linear.linear`, registered where events may help."""
    size = Product(1, x.shape[2], weight.shape[0])
    if is_dense(x, weight, path, size):
        return functional.linear(x, weight, bias)
    return call(Linear(path), [x, weight, *([] if bias is None else [bias])])[0]


def is_dense(x: Tensor, weight: Tensor, path: Path, size: Product | Scatter) -> bool:
    """Whether it is known before the values are that a product runs dense."""
    if path == "dense" or matrices.obstacle_of_kind(x, weight):
        return True
    return path == "auto" and not size.worth_reading(costs_in_force())


register("linear")
