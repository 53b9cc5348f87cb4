"""An input that is constant over time is worked out once, with the values and gradients of all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spikewright.connections import AvgPool2d, Conv1d, Conv2d, Fold, Linear
from spikewright.engine.layer import Layer

VECTOR, IMAGE = (3, 4), (3, 2, 7, 6)
CASES = {
    "linear": (lambda: Linear(4, 5), VECTOR),
    "conv of a line": (lambda: Conv1d(2, 4, 3), (3, 2, 7)),
    "conv": (lambda: Conv2d(2, 4, 3), IMAGE),
    "pool": (lambda: AvgPool2d(2), IMAGE),
}


class Counted(nn.Module):
    """Rows seen by a module that draws anew at each step, as dropout does."""

    rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows = len(x)
        return x


def gradients(layer: Layer, x: Tensor, error: Tensor) -> tuple[Tensor, ...]:
    wanted = [x, *layer.parameters()]
    y, _ = layer(x.expand(6, *x.shape[1:]) if len(x) == 1 else x)
    return y, *torch.autograd.grad(y, wanted, error)


@pytest.mark.parametrize("name", CASES)
def test_a_constant_input_gives_what_the_same_values_written_out_give(name: str) -> None:
    torch.manual_seed(5)
    make, shape = CASES[name]
    layer = make().double()
    once = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    written = once.detach().repeat(6, *[1] * len(shape)).requires_grad_()
    error = torch.randn_like(layer(written)[0])
    y, x_gradient, *of_weights = gradients(layer, once, error)
    wanted_y, wanted_x, *wanted_weights = gradients(layer, written, error)
    assert y.stride(0) == 0
    torch.testing.assert_close(y, wanted_y)
    torch.testing.assert_close(x_gradient, wanted_x.sum(0, keepdim=True))
    torch.testing.assert_close(of_weights, wanted_weights)


def test_neurons_run_on_a_constant_current_as_on_the_same_values_written_out() -> None:
    import spikewright as sw

    torch.manual_seed(5)
    net = sw.Sequential(sw.Linear(4, 30), sw.LIF(tau_mem=5e-3), dt=1e-3)
    x = 4 * torch.rand(1, 8, 4)
    constant, written = x.expand(20, -1, -1), x.repeat(20, 1, 1)
    assert torch.equal(net(constant)[0], net(written)[0])
    assert net(constant)[0].sum() > 0


def test_a_module_of_unknown_kind_sees_every_step() -> None:
    module = Counted()
    Fold(module)(torch.ones(1, 3, 4).expand(6, 3, 4))
    assert module.rows == 18
