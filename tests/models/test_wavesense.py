"""WaveSense: a block by hand, its memory, streaming, and what it can learn."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.errors import ParameterError
from spikewright.models import WaveSense
from spikewright.models.layers import relative_gain
from temporal_xor import solves_temporal_xor

DT = 1e-3
HALF = DT / math.log(2)
"""The time constant after which a step leaves one half; twice that is rounded to three quarters."""


def tiny(**options: Any) -> WaveSense:
    """One neuron everywhere, two blocks; synapses keep 1/2, slow ones and their membranes 3/4."""
    times = {"tau_base": HALF, "tau_mem": HALF, "tau_out": HALF, "dt": DT}
    return WaveSense(1, 1, 1, 1, 1, (2, 2), round_taus=True, **times, **options)


def set_weights(net: WaveSense, **values: Any) -> None:
    with torch.no_grad():
        for name, value in values.items():
            weight = net.layers[name].weight
            weight.copy_(torch.as_tensor(value).reshape(weight.shape))  # type: ignore[union-attr]


def trace(run: Any, layer: str, field: str = "spikes") -> list[float]:
    return run.records[layer][field].detach().flatten().tolist()


def test_a_block_is_the_one_worked_out_by_hand() -> None:
    net = tiny()
    both = relative_gain([HALF, DT / math.log(4 / 3)], DT)
    set_weights(
        net,
        in_linear=2.6,
        block1_linear=torch.tensor([1.5, 0.5]) * both,
        block1_residual_linear=1.5,
        block1_skip_linear=1.1,
        block2_linear=[0.5, 0.0],
    )
    x = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0]).reshape(5, 1, 1)
    run = net.run(x, record=("spikes", "v", "i"))
    # i = (i + 2.6 x) / 2 and v = v / 2 + i: v is 1.3, 0.8, 0.725, 1.825, 1.14375 before resets.
    assert trace(run, "in_neurons") == [1, 0, 0, 1, 1]
    # fast = (fast + 1.5 s) / 2, slow = 3/4 (slow + 0.5 s), v = 3/4 v + fast + slow:
    # 1.125, 0.75, 0.9609375, 2.09765625, 2.02001953125; two spikes take twice the threshold.
    assert trace(run, "block1_neurons") == [1, 0, 0, 2, 2]
    left = [0.125, 0.75, 0.9609375, 0.09765625, 0.02001953125]
    assert trace(run, "block1_neurons", "v") == pytest.approx(left, abs=1e-6)
    # 0.75, 0.75, 0.5625, 1.875, 2.734375
    assert trace(run, "block1_residual_neurons") == [0, 0, 0, 1, 2]
    # 0.55, 0.55, 0.4125, 1.375, 1.871875
    assert trace(run, "block1_skip_neurons") == [0, 0, 0, 1, 1]
    # Block 2 hears block 1's input and residual, 1, 0, 0, 2, 3, each count half a unit of current.
    fast = run.records["block2_neurons"]["i"][..., 0].detach().flatten().tolist()
    assert fast == pytest.approx([0.25, 0.125, 0.0625, 0.53125, 1.015625], abs=1e-6)


def test_the_slow_synapse_forgets_half_within_the_dilated_half_life() -> None:
    base, dilation = 5e-3, 8
    net = WaveSense(1, 1, 1, 1, 1, (dilation,), tau_base=base, threshold=1e6, dt=DT)
    cells = net.layers["block1_neurons"]
    pulse = torch.zeros(60, 1, 2)
    pulse[0] = 1.0
    _, _, traces = cells.run(pulse, record=("i",))  # type: ignore[operator]
    slow = traces["i"][:, 0, 0, 1]
    half = base * dilation * math.log(2) / DT  # 27.7 steps
    low, high = (float(slow[int(half) + k] / slow[0]) for k in (1, 0))
    assert low < 0.5 < high


def test_each_current_is_added_to_the_membrane_as_it_is() -> None:
    taus = [3e-3, 24e-3]
    cells = sw.models.WaveSense(1, 1, 1, 1, 1, (8,), tau_base=taus[0], threshold=1e6, dt=DT).layers[
        "block1_neurons"
    ]
    pulses = torch.eye(2).reshape(1, 2, 2) * relative_gain(taus, DT)
    _, _, traces = cells.run(pulses, record=("v",))  # type: ignore[operator]
    kept = [math.exp(-DT / tau) for tau in taus]
    assert traces["v"].flatten().tolist() == pytest.approx(kept, rel=1e-5)


def taus(net: WaveSense, layer: str) -> list[float]:
    return net.layers[layer].parameter_set.value("tau_syn").flatten().tolist()  # type: ignore[union-attr]


def test_synapses_are_spaced_by_the_dilation_and_never_faster_than_the_base() -> None:
    net = WaveSense(2, 2, 4, 4, 4, (3, 0.5), kernel=3, tau_base=4e-3, tau_mem=7e-3, dt=DT)
    assert taus(net, "block1_neurons") == pytest.approx([4e-3, 12e-3, 24e-3])
    assert taus(net, "block2_neurons") == pytest.approx([4e-3, 4e-3, 4e-3])
    values = net.layers["block1_neurons"].parameter_set  # type: ignore[union-attr]
    assert float(values.value("tau_mem")) == pytest.approx(24e-3)
    assert net.layers["block1_linear"].weight.shape == (12, 4)


def test_first_weights_are_uniform_times_the_step_over_the_slowest_time_constant() -> None:
    torch.manual_seed(0)
    net = WaveSense(2, 2, 64, dilations=(4, 1), tau_base=8e-3, dt=DT)
    for block, slowest in (("block1", 32), ("block2", 8)):
        weight = net.layers[f"{block}_linear"].weight.detach().abs()  # type: ignore[operator]
        slow = float(weight[1::2].max())
        assert 0.99 / 8 / slowest < slow <= 1.001 / 8 / slowest


def loud(**options: Any) -> tuple[WaveSense, Tensor]:
    torch.manual_seed(2)
    net = WaveSense(4, 3, 6, 5, 4, (1, 4), tau_base=4e-3, dt=DT, **options)
    x = torch.poisson(torch.full((40, 2, 4), 1.0))
    sw.aim_rates(net, x, 0.5)
    return net, x


def test_in_chunks_and_step_by_step_it_gives_what_the_whole_gives() -> None:
    net, x = loud(output="spikes")
    set_weights(net, out_linear=torch.linspace(0.2, 1.0, 12))
    with torch.no_grad():
        whole, end = net(x)
    assert whole.unique().tolist() == [0, 1]
    for size in (1, 13):
        state, parts = None, list[Tensor]()
        for chunk in x.split(size):
            part, state = net(chunk, state)
            parts.append(part)
        assert torch.equal(torch.cat(parts), whole)
        assert all(torch.equal(a, b) for n in end for a, b in zip(end[n], state[n], strict=True))
    stream = net.stream(2)
    assert torch.equal(torch.stack([stream.step(step).clone() for step in x]), whole)


def test_every_weight_has_a_gradient() -> None:
    net, x = loud(dropout=0.1)
    net(x)[0].square().mean().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in net.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in net.parameters())


def test_the_gradient_does_not_grow_with_the_memory_of_membranes() -> None:
    # A charge that fires once counts once: with resets passed by it would count for 40 ms.
    torch.manual_seed(0)
    net = WaveSense(1, 1, 1, 1, 1, (40,), tau_base=1.5e-3, tau_mem=1.5e-3, dt=DT)
    cells = net.layers["block1_neurons"]
    x = torch.zeros(400, 1, 2)
    x[:, 0, 0] = 0.8 / math.exp(-1 / 1.5)
    x.requires_grad_()
    counts = cells(x)[0]
    counts.sum().backward()
    # The charge of one step, all of which the membrane takes up, is worth about one spike.
    assert 0.1 < float(x.grad[200, 0, 0]) < 10  # type: ignore[index]


def test_a_net_that_looks_back_solves_temporal_xor() -> None:
    solved = [solves_temporal_xor((2, 32), seed, epochs=60) for seed in range(5)]
    assert sum(solved) >= 4


def test_a_net_that_forgets_does_not_solve_it_over_a_long_silence() -> None:
    assert not solves_temporal_xor((1, 1), seed=0, epochs=40, delay=80)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dilations": ()},
            "WaveSense: dilations must be one or more positive numbers, got (). "
            "Pass for example dilations=(2, 4, 8, 16).",
        ),
        (
            {"dilations": (2, -1)},
            "WaveSense: dilations must be one or more positive numbers, got (2, -1). "
            "Pass for example dilations=(2, 4, 8, 16).",
        ),
        (
            {"dt": 20e-3},
            "WaveSense: tau_base must be longer than dt = 20 ms, got 0.02 s. "
            "Use a smaller dt or a longer tau_base.",
        ),
        (
            {"kernel": 0},
            "WaveSense: kernel must be a positive integer, got 0. "
            "Pass the number as a Python int, 1 or more.",
        ),
        (
            {"threshold": 0.0},
            "WaveSense: threshold must be positive and finite, got 0.0. "
            "Pass for example threshold=1.0.",
        ),
        (
            {"output": "current"},
            "WaveSense: output must be one of spikes, membrane, got 'current'. "
            "Known: spikes, membrane.",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        WaveSense(16, 3, **options)
    assert str(caught.value) == message
