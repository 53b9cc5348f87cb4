"""The output of the spiking network put in place of the twin's, and the class it stands for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ShapeError


def substitute(y_twin: Tensor, o: Tensor) -> Tensor:
    """The values of ``o`` with the graph of ``y_twin``: y = o, dy/dy_twin = 1.

    Args:
        y_twin: output of the ReLU twin, (batch, classes), with its graph.
        o: output of the spiking network, (batch, classes), spikes or spikes a step.

    Returns:
        (batch, classes), in the dtype of ``y_twin``.

    Raises:
        ShapeError: the two differ in shape.

    Source: Kheradpisheh, Mirsadeghi and Masquelier 2022, IEEE Access 10.

    >>> y = torch.zeros(1, 2, requires_grad=True)
    >>> loss = substitute(2 * y, torch.tensor([[3.0, 1.0]])).square().sum()
    >>> loss.backward()
    >>> loss.item(), y.grad
    (10.0, tensor([[12., 4.]]))
    """
    if y_twin.shape != o.shape:
        raise ShapeError(
            f"substitute: o must have the shape of y_twin, {tuple(y_twin.shape)}, got "
            f"{tuple(o.shape)}. Pass the outputs of both networks for one batch."
        )
    return _Substitute.apply(y_twin, o)  # type: ignore[no-any-return]


class _Substitute(torch.autograd.Function):
    """A function of its own, as y + (o - y) is not o in floating point."""

    @staticmethod
    def forward(ctx: Any, y_twin: Tensor, o: Tensor) -> Tensor:
        return o.detach().to(y_twin.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def choose(counts: Tensor, v: Tensor) -> Tensor:
    """The class of each sample: most spikes; of several with as many, the highest membrane.

    Where that is equal too it is the lowest class, whatever the label.

    Args:
        counts: spikes of the output, (batch, classes).
        v: its membrane after the last step, (batch, classes), V.

    Returns:
        (batch,) int64.

    >>> choose(torch.tensor([[2.0, 3.0, 3.0]]), torch.tensor([[0.9, 0.1, 0.2]]))
    tensor([2])
    """
    most = counts == counts.amax(-1, keepdim=True)
    return torch.where(most, v, v.new_tensor(-torch.inf)).argmax(-1)


def tied(counts: Tensor) -> Tensor:
    """Where several classes have the most spikes, (batch,) bool.

    >>> tied(torch.tensor([[3.0, 3.0], [0.0, 1.0], [0.0, 0.0]]))
    tensor([ True, False, True])
    """
    return (counts == counts.amax(-1, keepdim=True)).sum(-1) > 1
