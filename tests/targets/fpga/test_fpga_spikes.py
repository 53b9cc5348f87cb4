"""Step by step, in spikes: the same numbers, and how many spikes and additions they took."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikewright.errors import CompileError, ParameterError
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.fan_out import fan_out
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Requantise,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.quantising.settings import Quantisation
from spikewright.targets.fpga.rates import rate_levels, run_rates
from spikewright.targets.fpga.spikes import run_spikes
from targets.fpga.modules import CASES, case
from targets.fpga.networks_at_random import inputs, network


@pytest.mark.parametrize("seed", range(60))
def test_spikes_give_what_whole_numbers_give_in_every_stage(seed: int) -> None:
    net = network(seed)
    q = inputs(seed, net)
    for (stage, out), shown in zip(net.walk(q), run_spikes(net, q), strict=True):
        assert shown.stage is stage
        np.testing.assert_array_equal(shown.values.numpy(), out.numpy(), err_msg=stage.name)


@pytest.mark.parametrize("name", CASES)
def test_spikes_give_what_whole_numbers_give_for_converted_modules(name: str) -> None:
    module, x = case(name)
    net = convert(module, x, Quantisation(margin_bits=12)).network
    q = encode(net, x[:8])
    sent = 0
    for (stage, out), shown in zip(net.walk(q), run_spikes(net, q), strict=True):
        np.testing.assert_array_equal(shown.values.numpy(), out.numpy(), err_msg=stage.name)
        sent += shown.spikes
    assert sent > 100


def test_least_significant_bits_first_would_be_seen() -> None:
    dense = Dense(torch.tensor([[1]]), torch.tensor([0]))
    net = IntegerNetwork((1,), 3, (Stage("out", (INPUT,), dense),))
    (shown,) = run_spikes(net, torch.tensor([[6]]))
    assert shown.values.item() == 6  # 0b110, which reads 3 from the other end


def test_spikes_are_the_bits_that_are_set_and_additions_their_synapses() -> None:
    dense = Dense(torch.ones(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    stages = (Stage("a", (INPUT,), dense, Requantise(0, 4)), Stage("b", ("a",), Add((0,))))
    net = IntegerNetwork((2,), 3, stages)
    first, second = run_spikes(net, torch.tensor([[7, 5]]))
    assert (first.additions, first.spikes) == ((3 + 2) * 3, 3 * 2)  # 12 = 0b1100, three times
    assert (second.additions, second.spikes) == (6, 0)


@pytest.mark.parametrize(
    "operation",
    [
        Convolution(torch.ones(4, 2, 3, 2), torch.zeros(4), (2, 1), (1, 0), 1),
        Convolution(torch.ones(4, 1, 2, 3), torch.zeros(4), (1, 2), (0, 2), 2),
        SumPool((3, 2), (2, 2), (1, 1)),
    ],
)
def test_fan_out_is_what_one_spike_at_each_place_adds_up_to(operation: object) -> None:
    assert isinstance(operation, Convolution | SumPool)
    shape = (2, 6, 5)
    found = fan_out(operation, shape)
    for place in range(2 * 6 * 5):
        one = torch.zeros(2 * 6 * 5)
        one[place] = 1.0
        assert found.flatten()[place] == operation.accumulate((one.view(1, *shape),)).sum()


def test_pooling_by_the_largest_and_flattening_add_nothing() -> None:
    assert int(fan_out(MaxPool((2, 2), (2, 2)), (1, 4, 4)).sum()) == 0
    assert int(fan_out(Flatten(), (1, 4, 4)).sum()) == 0


def test_sums_that_are_read_as_spikes_are_refused_by_name() -> None:
    dense = Dense(torch.tensor([[-1]]), torch.tensor([0]))
    net = IntegerNetwork((1,), 3, (Stage("a", (INPUT,), dense), Stage("b", ("a",), dense)))
    with pytest.raises(CompileError, match=r"stage 'b' must read activations, got the sums of 'a'"):
        list(run_spikes(net, torch.tensor([[6]])))


def _of_one_width(seed: int) -> IntegerNetwork:
    net = network(seed)
    forms = {s.name: s.requantise and Requantise(s.requantise.shift, net.bits) for s in net.stages}
    return replace(net, stages=tuple(replace(s, requantise=forms[s.name]) for s in net.stages))


@pytest.mark.parametrize("seed", range(30))
def test_rates_over_as_many_steps_as_levels_give_what_radix_spikes_give(seed: int) -> None:
    net = _of_one_width(seed)
    q = inputs(seed, net)
    steps = 2**net.bits - 1
    for (stage, out), shown in zip(
        net.walk(q), run_rates(net, q.double() * net.scale, steps), strict=True
    ):
        if stage.requantise or isinstance(stage.operation, MaxPool):
            np.testing.assert_array_equal(shown.values.numpy(), out.numpy(), err_msg=stage.name)
    np.testing.assert_array_equal(shown.values.numpy(), steps * out.numpy())


def test_rates_take_a_neuron_that_integrates_and_fires_step_by_step() -> None:
    weight, bias, steps = torch.tensor([[3, -2]]), torch.tensor([7]), 10
    net = IntegerNetwork(
        (2,), 4, (Stage("a", (INPUT,), Dense(weight, bias), Requantise(1, 4)),), 1 / 15
    )
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(3))
    (shown,) = run_rates(net, x, steps)
    n = rate_levels(net, x, steps)
    # Evenly spread spikes; the charge in units of the weights, bias / 15 a step.
    charge = torch.full((50,), 0.5 * 2.0, dtype=torch.float64)
    for t in range(steps):
        sent = (t + 1) * n // steps - t * n // steps
        charge += (sent.double() @ weight.double().T)[:, 0] + float(bias) / 15
    fired = torch.floor(charge / 2).clamp(0, steps)
    assert torch.equal(shown.values[:, 0], fired.to(torch.int64))
    assert int((fired > 0).sum()) > 0
    assert int((fired < steps).sum()) > 0


def test_rates_have_one_level_more_than_steps() -> None:
    net = IntegerNetwork((1,), 4, (Stage("a", (INPUT,), Add((0,))),), 1 / 15)
    x = torch.linspace(0, 1, 500)[:, None]
    for steps in (1, 3, 8):
        assert rate_levels(net, x, steps).unique().tolist() == list(range(steps + 1))
    with pytest.raises(ParameterError, match="steps must be a whole number from 1 on, got 0"):
        list(run_rates(net, x, 0))
