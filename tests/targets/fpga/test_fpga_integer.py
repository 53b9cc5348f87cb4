"""The integer network against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spikewright.errors import ShapeError
from spikewright.targets.fpga.inputs import encode, saturated_inputs
from spikewright.targets.fpga.integer import INPUT, Add, IntegerNetwork, Requantise, Stage
from spikewright.targets.fpga.rates import rate_levels
from spikewright.targets.fpga.saturations import saturations
from targets.fpga import plain
from targets.fpga.networks_at_random import inputs, network


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_requantiser_gives_the_rounded_quotient_for_all_small_sums(dtype: torch.dtype) -> None:
    m = np.arange(-(2**12), 2**12 + 1)
    for shift in range(-2, 9):
        for bits in range(1, 9):
            found = Requantise(shift, bits)(torch.from_numpy(m).to(dtype))
            np.testing.assert_array_equal(found.numpy(), plain.requantise(m, shift, bits))


def test_the_largest_activation_and_a_half_saturates_instead_of_wrapping() -> None:
    form = Requantise(2, 4)
    assert form(torch.tensor([15 * 4 + 1.0, 15 * 4 + 2.0, 16 * 4.0])).tolist() == [15, 15, 15]


def test_negative_sums_give_0_and_halves_are_rounded_up() -> None:
    found = Requantise(1, 4)(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]))
    assert found.tolist() == [0, 0, 0, 1, 2]


@pytest.mark.parametrize("seed", range(40))
def test_every_stage_of_a_random_network_equals_plain_loops(seed: int) -> None:
    net = network(seed)
    q = inputs(seed, net)
    wanted = plain.run(net, q.numpy())
    for stage, out in net.walk(q):
        np.testing.assert_array_equal(out.numpy(), wanted[stage.name], err_msg=stage.name)


def test_the_random_networks_are_active_and_some_saturate() -> None:
    spread, saturated = [], 0
    for seed in range(40):
        net = network(seed)
        q = inputs(seed, net)
        saturated += sum(saturations(net, q).values())
        values = [out.flatten() for stage, out in net.walk(q) if stage.requantise]
        spread.append(float((torch.cat(values) > 0).double().mean()))
    assert np.mean(spread) > 0.3
    assert saturated > 100


def test_saturations_are_counted_by_stage_as_plain_numbers_say() -> None:
    found = 0
    for seed in range(10):
        net = network(seed)
        q = inputs(seed, net)
        values = plain.run(net, q.numpy())
        for name, count in saturations(net, q).items():
            stage = next(it for it in net.stages if it.name == name)
            m = plain.operate(stage.operation, [values[source] for source in stage.inputs])
            form = stage.requantise
            assert form is not None
            wide = plain.requantise(m, form.shift, 40)
            assert count == int((wide > form.most).sum())
            found += count
    assert found > 0


def test_a_value_within_the_range_is_no_saturation() -> None:
    net = IntegerNetwork((2,), 4, (Stage("a", (INPUT,), Add((0,)), Requantise(1, 3)),))
    assert saturations(net, torch.tensor([[14, 13]])) == {"a": 0}
    assert saturations(net, torch.tensor([[15, 14]])) == {"a": 1}


@pytest.mark.parametrize("wrong", [[[0.1, float("nan")]], [[0.1]], [[0.1, 0.2, 0.3]], 0.5])
def test_real_inputs_that_are_no_numbers_or_too_few_are_refused(wrong: Any) -> None:
    net = IntegerNetwork((2,), 2, (Stage("a", (INPUT,), Add((0,))),), scale=0.1)
    x = torch.tensor(wrong)
    for read in (encode, saturated_inputs, lambda net, x: rate_levels(net, x, 5)):
        with pytest.raises(ShapeError, match=r"fpga\.encode: x must"):
            read(net, x)


def test_real_inputs_without_end_are_the_smallest_and_the_largest() -> None:
    net = IntegerNetwork((2,), 2, (Stage("a", (INPUT,), Add((0,))),), scale=0.1)
    x = torch.tensor([[-torch.inf, torch.inf]])
    assert encode(net, x).tolist() == [[0, 3]]
    assert rate_levels(net, x, 5).tolist() == [[0, 5]]
    assert saturated_inputs(net, x) == 2
    assert encode(net, torch.zeros(0, 2)).shape == (0, 2)
