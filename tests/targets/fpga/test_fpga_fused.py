"""The fast way through an integer network against the way stage by stage."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.nn import functional

from spikewright.errors import ShapeError
from spikewright.targets.fpga import fused
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    IntegerNetwork,
    MaxPool,
    Requantise,
    Stage,
)
from targets.fpga import networks_at_random as branched
from targets.fpga.rtl_networks import drawn


@pytest.mark.parametrize("part", [1, 1 << 20])
def test_random_networks_give_what_their_stages_do(part, monkeypatch):
    monkeypatch.setattr(fused, "PART", part)
    merged = 0
    for seed in range(24):
        cases = [(net := branched.network(seed), branched.inputs(seed, net)), drawn(seed)]
        for network, q in cases:
            *_, (_, wanted) = network.walk(q)
            assert torch.equal(network.run(q), wanted.to(torch.int64))
            assert len(network.run(q[:0])) == 0
            merged += len(network.stages) - len(fused.plan(network).stages)
    assert merged > 5  # poolings came before the rounding


@pytest.mark.parametrize("little", [0, 1 << 30])
def test_convolutions_with_little_work_give_the_same_in_their_own_way(little, monkeypatch):
    monkeypatch.setattr(fused, "LITTLE", little)
    draw = torch.Generator().manual_seed(1)
    ways = []
    for groups, side, shift in ((1, 5, 3), (1, 4, -1), (2, 5, 6), (1, 3, 2)):
        weight = torch.randint(-9, 9, (4, 2 // groups, side, side), generator=draw)
        convolution = Convolution(weight, torch.randint(-9, 9, (4,), generator=draw), groups=groups)
        stages = (
            Stage("a", (INPUT,), convolution, Requantise(shift, 5)),
            Stage("b", ("a",), MaxPool((2, 2), (2, 1))),
            Stage("c", ("b",), Add((1,))),
        )
        network = IntegerNetwork((2, 9, 8), 4, stages)
        q = torch.randint(0, 16, (7, 2, 9, 8), generator=draw)
        *_, (_, wanted) = network.walk(q)
        assert torch.equal(network.run(q), wanted.to(torch.int64))
        assert wanted.std() > 1
        ways.append(fused.plan(network).stages[0].small is not None)
    assert ways == ([True, True, False, False] if little else [False] * 4)


def test_only_few_samples_of_little_work_go_their_own_way(monkeypatch):
    weight, bias = torch.ones(1, 1, 4, 4, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    stages = (Stage("a", (INPUT,), Convolution(weight, bias), Requantise(1, 4)),)
    network = IntegerNetwork((1, 4, 5), 2, stages)
    (stage,) = fused.plan(network).stages
    assert stage.work == 2 * 16
    monkeypatch.setattr(fused, "LITTLE", 2 * 2 * 16)
    formats = [stage((torch.ones(batch, 1, 4, 5),)).dtype for batch in (1, 2, 3)]
    assert formats == [torch.float64, torch.float64, torch.float32]


def test_outputs_may_take_part_in_a_training():
    network, q = drawn(3)
    given = q.double().requires_grad_()
    places = network.run(given).flatten() % 3
    weight = torch.ones(3, requires_grad=True)
    weight[places].square().sum().backward()  # keeps the places for the way back
    counts = torch.bincount(places, minlength=3)
    assert torch.equal(weight.grad, 2.0 * counts)


@pytest.mark.parametrize("shift", [-2, 0, 1, 9, 21, 22, 23, 24, 25, 30])
def test_sums_at_the_edge_of_float32_are_still_exact(shift):
    # Sums reach 2^23, the most that float32 is used for; half of 2^25 more would not be exact.
    weight = torch.tensor([[2**21 - 5, 2**21 + 3], [1 - 2**21, 2**21], [1, 0]])
    dense = Dense(weight, torch.tensor([2**20, -(2**20) + 1, -1]))
    stages = (Stage("a", (INPUT,), dense, Requantise(shift, 8)), Stage("b", ("a",), Add((0,))))
    network = IntegerNetwork((2,), 1, stages)
    q = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    wanted = torch.floor((q @ weight.T + dense.bias).double() * 2.0**-shift + 0.5)
    assert torch.equal(network.run(q), wanted.clamp(0, 255).long())


def test_a_pooling_that_others_look_behind_stays_behind():
    weight, bias = torch.tensor([[[[1]]]]), torch.tensor([0])
    stages = (
        Stage("a", (INPUT,), Convolution(weight, bias), Requantise(1, 2)),
        Stage("pool", ("a",), MaxPool((1, 2), (1, 1), (0, 1))),
        Stage("again", ("a",), MaxPool((1, 2), (1, 1), (0, 1))),
        Stage("sum", ("pool", "again"), Add((0, 1))),
    )
    network = IntegerNetwork((1, 1, 3), 3, stages)
    assert [stage.name for stage in fused.plan(network).stages] == ["a", "pool", "again", "sum"]
    assert network.run(torch.tensor([[[[1, 4, 7]]]])).tolist() == [[[[3, 6, 9, 9]]]]


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 2), (1, 4), (5, 5)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (7, 2)])
def test_the_largest_of_each_window_is_that_of_pytorch(window, stride):
    q = torch.rand(2, 3, 8, 5, generator=torch.Generator().manual_seed(1))
    found = MaxPool(window, stride).accumulate((q,))
    assert torch.equal(found, functional.max_pool2d(q, window, stride))


@pytest.mark.parametrize("value", [-1, 4, 0.5, float("nan"), float("inf")])
def test_an_input_that_is_no_whole_number_in_range_is_refused(value):
    network, q = drawn(3)
    bad = q.double()
    bad.view(-1)[1] = value if value != 4 else 2**network.bits
    with pytest.raises(ShapeError, match="whole numbers from 0 to"):
        network.run(bad)


def test_a_network_that_has_run_can_be_pickled():
    network, q = drawn(3)
    out = network.run(q)
    assert torch.equal(pickle.loads(pickle.dumps(network)).run(q), out)
