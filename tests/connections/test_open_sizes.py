"""Layers whose number of inputs is left open until they are built, called or loaded."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from spikewright.connections import BatchNorm, Conv1d, Conv2d, DelayedLinear, Linear
from spikewright.connections.weights import Weighted
from spikewright.errors import NetworkError

DT = 1e-3
CASES = {
    "linear": (lambda inputs: Linear(inputs, 3), (5,)),
    "conv of a line": (lambda inputs: Conv1d(inputs, 4, 3, groups=2), (6, 8)),
    "conv": (lambda inputs: Conv2d(inputs, 4, 3, groups=2), (6, 8, 8)),
    "norm": (BatchNorm, (6, 8, 8)),
    "delayed": (lambda inputs: DelayedLinear(inputs, 3, 2e-3), (5,)),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Weighted, Weighted, tuple[int, ...]]:
    make, shape = CASES[request.param]
    return make(None), make(shape[0]), shape


Case = tuple[Weighted, Weighted, tuple[int, ...]]


def test_an_open_layer_becomes_the_same_as_one_of_given_size(case: Case) -> None:
    open_layer, given, shape = case
    assert open_layer.inputs is None
    assert open_layer.build(shape, DT) == given.build(shape, DT)
    assert open_layer.inputs == shape[0]
    open_layer.load_state_dict(given.state_dict())
    x = torch.randn(4, 2, *shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(open_layer(x)[0], given(x)[0])


def test_stored_weights_give_an_open_layer_its_size(case: Case) -> None:
    open_layer, given, shape = case
    given.build(shape, DT)
    open_layer.load_state_dict(given.state_dict())
    assert open_layer.inputs == shape[0]
    for name, value in given.state_dict().items():
        assert torch.equal(open_layer.state_dict()[name], value)
    open_layer.build(shape, DT)
    with pytest.raises(NetworkError, match="input features must be"):
        deepcopy(given).build((shape[0] + 2, *shape[1:]), DT)


def test_an_open_layer_cannot_be_saved(case: Case) -> None:
    open_layer, _, _ = case
    with pytest.raises(NetworkError, match="weight 'weight' must have a size to be saved"):
        open_layer.state_dict()


def test_an_optimiser_made_too_early_trains_the_layer_all_the_same() -> None:
    layer = Linear(None, 2)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer(torch.ones(1, 1, 3))[0].sum().backward()
    before = layer.weight.detach().clone()
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), before - 1)


def test_dtype_and_copies_of_an_open_layer_are_kept() -> None:
    layer = deepcopy(Linear(None, 2).double())
    layer.build((3,), DT)
    assert layer.weight.dtype == torch.float64
    assert layer(torch.ones(1, 1, 3, dtype=torch.float64))[0].dtype == torch.float64


def test_weights_of_the_wrong_size_are_refused_by_name() -> None:
    layer = Linear(None, 2)
    with pytest.raises(RuntimeError, match="weight"):
        layer.load_state_dict(Linear(4, 3).state_dict())


def test_first_values_are_those_of_torch() -> None:
    torch.manual_seed(4)
    ours = Linear(7, 5)
    torch.manual_seed(4)
    theirs = torch.nn.Linear(7, 5)
    assert ours.bias is not None
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_a_layer_keeps_the_dt_and_shape_it_was_built_with() -> None:
    layer = Linear(None, 2)
    layer(torch.ones(1, 1, 3))
    assert layer.build((3,), DT) == (2,)
    with pytest.raises(NetworkError, match=r"dt must be the network's, 1 ms, got 2 ms"):
        layer.build((3,), 2e-3)
