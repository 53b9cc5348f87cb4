"""Linear, Conv2d, pooling, Flatten and Fold equal plain torch or NumPy, one step at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikewright.connections import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Flatten,
    Fold,
    Linear,
    MaxPool2d,
    Scale,
    SumPool2d,
)
from spikewright.engine.layer import Layer

IMAGES = (5, 3, 2, 7, 6)
CASES = {
    "linear": (lambda: Linear(4, 3), (5, 3, 4)),
    "linear without bias": (lambda: Linear(4, 3, bias=False), (5, 3, 4)),
    "conv": (lambda: Conv2d(2, 4, 3), IMAGES),
    "conv with options": (
        lambda: Conv2d(2, 4, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), groups=2),
        IMAGES,
    ),
    "conv same": (lambda: Conv2d(2, 4, 3, padding="same", bias=False), IMAGES),
    "conv of a line": (lambda: Conv1d(2, 4, 3, stride=2, padding=1, groups=2), (5, 3, 2, 9)),
    "conv of a line, same": (lambda: Conv1d(2, 4, 3, padding="same", bias=False), (5, 3, 2, 9)),
    "average pool": (lambda: AvgPool2d(2), IMAGES),
    "sum pool": (lambda: SumPool2d((2, 3), stride=1, padding=1), IMAGES),
    "max pool": (lambda: MaxPool2d(3, stride=2, padding=1), IMAGES),
    "flatten": (Flatten, IMAGES),
    "flatten of one number": (Flatten, (5, 3)),
    "flatten of the first two axes": (lambda: Flatten(0, 1), IMAGES),
    "flatten of the last two axes": (lambda: Flatten(-2), IMAGES),
    "scale": (lambda: Scale(torch.linspace(-1, 2, 6), learnable=True), IMAGES),
    "one scale for all": (lambda: Scale(0.3), IMAGES),
    "fold": (lambda: Fold(nn.Sequential(nn.Linear(4, 6), nn.GELU())), (5, 3, 4)),
}


def plain(layer: Layer, x: Tensor) -> Tensor:
    """What the layer shall give for one step, (batch, *features), in torch's own functions."""
    match layer:
        case Linear():
            return functional.linear(x, layer.weight, layer.bias)
        case Conv1d():
            options = (layer.stride, layer.padding, layer.dilation, layer.groups)
            return functional.conv1d(x, layer.weight, layer.bias, *options)
        case Conv2d():
            options = (layer.stride, layer.padding, layer.dilation, layer.groups)
            return functional.conv2d(x, layer.weight, layer.bias, *options)
        case SumPool2d():
            area = layer.kernel_size[0] * layer.kernel_size[1]
            options = (layer.kernel_size, layer.stride, layer.padding)
            return functional.avg_pool2d(x, *options) * area
        case AvgPool2d():
            return functional.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding)
        case MaxPool2d():
            return functional.max_pool2d(x, layer.kernel_size, layer.stride, layer.padding)
        case Fold():
            return layer.module(x)
        case Scale():
            return torch.mul(x, layer.scale)
        case Flatten() if x.ndim > 2 and layer.extra_repr():
            return x.flatten(2 if layer.first else 1, 3 if layer.first else 2)
        case _:
            return x.reshape(len(x), -1)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Layer, Tensor]:
    torch.manual_seed(1)
    make, shape = CASES[request.param]
    return make().double(), torch.randn(shape, dtype=torch.float64)


def test_each_step_equals_plain_torch(case: tuple[Layer, Tensor]) -> None:
    layer, x = case
    y, state = layer(x)
    assert state is None
    torch.testing.assert_close(y, torch.stack([plain(layer, step) for step in x]))


def test_build_tells_the_shape_that_a_run_gives(case: tuple[Layer, Tensor]) -> None:
    layer, x = case
    assert layer.build(tuple(x.shape[2:]), 1e-3) == tuple(layer(x)[0].shape[2:])
    assert layer.dt == 1e-3


def test_strides_do_not_matter(case: tuple[Layer, Tensor]) -> None:
    layer, x = case
    strided = x.transpose(0, -1).contiguous().transpose(0, -1)
    assert not strided.is_contiguous()
    assert torch.equal(layer(strided)[0], layer(x)[0])


def test_gradients_are_right(case: tuple[Layer, Tensor]) -> None:
    layer, x = case
    x = x[:2, :2].requires_grad_()
    layer(x)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], x)


def test_integer_and_boolean_spikes_equal_float_ones(case: tuple[Layer, Tensor]) -> None:
    layer, x = case
    layer = layer.float()
    spikes = x > 0
    expected = layer(spikes.float())[0]
    assert expected.dtype == torch.float32
    assert torch.equal(layer(spikes)[0], expected)
    assert torch.equal(layer(spikes.to(torch.uint8))[0], expected)


def test_a_linear_layer_equals_numpy() -> None:
    x = np.random.default_rng(2).normal(size=(3, 2, 4))
    layer = Linear(4, 5).double()
    assert layer.bias is not None
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    y = layer(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(y, np.einsum("oi,tbi->tbo", weight, x) + bias, rtol=1e-12)


def test_the_largest_of_spikes_is_their_or() -> None:
    spikes = torch.rand(6, 2, 3, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.2
    windows = spikes.unflatten(-1, (4, 2)).unflatten(-3, (4, 2))
    expected = windows.any(-1).any(-2)
    assert torch.equal(MaxPool2d(2)(spikes)[0], expected.float())
    assert expected.any()
    assert not expected.all()


def test_fold_tries_the_module_without_changing_it() -> None:
    module = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout())
    module[1].eval()
    assert Fold(module).build((4,), 1e-3) == (4,)
    assert module[0].training
    assert not module[1].training
    assert int(module[0].num_batches_tracked) == 0


def test_fold_gives_a_lazy_module_its_size() -> None:
    lazy = nn.LazyLinear(3)
    assert Fold(lazy).build((5,), 1e-3) == (3,)
    assert lazy.weight.shape == (3, 5)


def test_layers_print_what_they_were_made_with() -> None:
    assert str(Linear(None, 3)) == "Linear(None, 3, bias=True)"
    expected = "Conv2d(2, 4, kernel_size=(3, 3), stride=(2, 2), padding='same', bias=False)"
    assert str(Conv2d(2, 4, 3, stride=2, padding="same", bias=False)) == expected
    assert str(AvgPool2d(2)) == "AvgPool2d(kernel_size=(2, 2))"
    expected = "MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))"
    assert str(MaxPool2d(3, 2, 1)) == expected
    assert str(BatchNorm(3, v_threshold=0.5)) == "BatchNorm(3, v_threshold=0.5)"
    assert str(Flatten()) == "Flatten()"


def test_weights_in_float32_take_what_autocast_makes() -> None:
    layers = (Linear(4, 3), BatchNorm(3), Linear(3, 2))
    x = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x
        for layer in layers:
            y, _ = layer(y)
    exact = x
    for layer in layers:
        exact, _ = layer(exact)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), exact, rtol=0.05, atol=0.05)
