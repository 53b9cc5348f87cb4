"""SynNet: the published equations, its time constants and first weights, and streaming."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.errors import ParameterError
from spikewright.models import SynNet

DT = 1e-3


def spikes(steps: int, batch: int, channels: int, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.full((steps, batch, channels), 0.7), generator=stream)


def loud(**options: Any) -> SynNet:
    """A net whose layers all fire, some neurons several times a step."""
    torch.manual_seed(1)
    net = SynNet(5, 3, hidden=(7, 6), synapses=(2, 3), **options)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("weight"):
                weight.mul_(6.0)
    return net


def decay(dash: int) -> float:
    return 1 - 2.0**-dash


def published(x: np.ndarray[Any, Any], net: SynNet, dashes: list[list[int]]) -> Any:
    """The float64 loop of the paper's simulator: I, then V, then spikes; the last layer none."""
    weights = [p.detach().double().numpy() for n, p in net.named_parameters() if "weight" in n]
    for layer, (w, dash) in enumerate(zip(weights, dashes, strict=True)):
        b, i, v = np.array([decay(d) for d in dash]), 0.0, 0.0
        out: list[Any] = []
        for row in x:
            i = (i + row @ w.T) * b
            v = v * decay(1) + i
            s = np.minimum(np.floor(v), 31) * (v >= 1)
            if layer < len(weights) - 1:
                v = v - s
            out.append(s if layer < len(weights) - 1 else v)
        x = np.stack(out)
    return x


def test_it_is_the_published_loop() -> None:
    net, x = loud(), spikes(60, 4, 5)
    # 2, 4 and 8 ms are nearest to shifts by 1, 2 and 3 bits.
    dashes = [[1, 2, 1, 2, 1, 2, 1], [1, 2, 3, 1, 2, 3], [1, 1, 1]]
    with torch.no_grad():
        run = net.run(x, record=("spikes",))
    assert all(float(record["spikes"].max()) > 1 for record in run.records.values())
    wanted = published(x.double().numpy(), net, dashes)
    torch.testing.assert_close(run.output.double(), torch.from_numpy(wanted), rtol=1e-4, atol=1e-4)


def taus(net: SynNet, layer: str) -> list[float]:
    value = net.layers[layer].parameter_set.value("tau_syn")  # type: ignore[union-attr]
    return [round(float(tau) * 1e3, 4) for tau in value.flatten()]


def test_time_constants_are_a_pyramid_dealt_out_in_turn() -> None:
    net = SynNet(16, 4, round_taus=False)
    assert taus(net, "neurons1") == [2, 4] * 12
    assert taus(net, "neurons2") == [2, 4, 8, 16] * 6
    assert taus(net, "neurons3") == [2.0**j for j in range(1, 9)] * 3
    assert taus(net, "out") == [2]


def test_left_over_neurons_lose_the_longest_time_constants_first() -> None:
    assert taus(SynNet(2, 2, (5,), (3,), round_taus=False), "neurons1") == [2, 4, 8, 2, 4]


def test_another_step_scales_the_pyramid_by_its_ratio_to_the_base() -> None:
    net = SynNet(2, 2, (3,), (3,), dt=10e-3, tau_base=20e-3, tau_mem=20e-3, tau_out=20e-3,
                 round_taus=False)  # fmt: skip
    assert taus(net, "neurons1") == [20, 40, 80]


def test_time_constants_are_rounded_to_shifts_unless_told_not_to() -> None:
    found = [math.exp(-1 / tau) for tau in taus(SynNet(2, 2, (4,), (4,)), "neurons1")]
    assert found == pytest.approx([decay(1), decay(2), decay(3), decay(4)], abs=1e-4)


def test_first_weights_are_uniform_times_the_step_over_the_time_constant() -> None:
    torch.manual_seed(0)
    weight = SynNet(100, 2, (40,), (2,), round_taus=False).layers["linear1"].weight
    for row, tau in ((weight[0::2], 2), (weight[1::2], 4)):
        bound = 1 / math.sqrt(100) / tau
        assert 0.99 * bound < float(row.detach().abs().max()) <= bound
        # The variance of uniform numbers; 2,000 of them, four standard deviations.
        assert float(row.detach().square().mean()) == pytest.approx(bound**2 / 3, rel=0.08)


def test_in_chunks_and_step_by_step_it_gives_what_the_whole_gives() -> None:
    net, x = loud(output="spikes", dropout=0.2).eval(), spikes(30, 2, 5)
    whole, end = net(x)
    first, state = net(x[:11])
    second, state = net(x[11:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for n in end for a, b in zip(end[n], state[n], strict=True))
    stream = net.stream(2)
    steps = torch.stack([torch.as_tensor(stream.step(step)).clone() for step in x])
    assert torch.equal(steps, whole)


def test_a_training_run_in_chunks_drops_the_same_spikes() -> None:
    net, x = loud(dropout=0.3), spikes(20, 2, 5)
    torch.manual_seed(3)
    whole = net(x)[0]
    torch.manual_seed(3)
    first, state = net(x[:7])
    assert torch.equal(torch.cat([first, net(x[7:], state)[0]]), whole)
    assert not torch.equal(net.eval()(x)[0], whole)


def test_outputs_fire_once_a_step_or_not_at_all() -> None:
    x = spikes(60, 4, 5)
    with torch.no_grad():
        assert loud(output="spikes")(x)[0].unique().tolist() == [0, 1]
        assert float(loud(output="spikes", threshold_out=1e6)(x)[0].sum()) == 0
        assert float(loud()(x)[0].max()) > 2


def test_what_is_trainable_has_a_gradient_and_the_rest_stays() -> None:
    names = ("tau_mem", "tau_syn", "v_threshold")
    net = loud(trainable=names)
    net(spikes(40, 4, 5))[0].square().mean().backward()
    found = {n.rpartition(".")[2]: p.grad for n, p in net.named_parameters() if "neurons1" in n}
    assert set(found) == set(names)
    assert all(float(grad.abs().sum()) > 0 for grad in found.values())
    assert not [n for n, _ in loud().named_parameters() if "weight" not in n]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hidden": (24, 24), "synapses": (2,)},
            "SynNet: hidden and synapses must be of one length, got 2 and 1. "
            "Give the number of time constants of each hidden layer.",
        ),
        (
            {"hidden": (), "synapses": ()},
            "SynNet: hidden must be one or more whole numbers from 1, got (). "
            "Pass for example hidden=(2, 4).",
        ),
        (
            {"hidden": (3,), "synapses": (4,)},
            "SynNet: synapses must be at most the neurons of their layer, got 4 for the 3 of "
            "hidden layer 1. Use more neurons or fewer time constants.",
        ),
        (
            {"tau_base": 1e-3},
            "SynNet: tau_base must be longer than dt = 1 ms, got 0.001 s. "
            "Use a smaller dt or a longer tau_base.",
        ),
        (
            {"threshold_out": 1.0},
            "SynNet: threshold_out must be left out for output='membrane', got 1.0. "
            "Membranes have no threshold; use output='spikes', or leave it out.",
        ),
        (
            {"output": "spikes", "threshold_out": 0.0},
            "SynNet: threshold_out must be positive and finite, got 0.0. "
            "Pass for example threshold_out=1.0.",
        ),
        (
            {"threshold": -1.0},
            "SynNet: threshold must be positive and finite, got -1.0. "
            "Pass for example threshold=1.0.",
        ),
        (
            {"output": "spike"},
            "SynNet: output must be one of spikes, membrane, got 'spike'. Did you mean 'spikes'?",
        ),
        (
            {"trainable": ("tau_sin",)},
            "SynNet: trainable must name tau_mem, tau_syn, v_threshold, got 'tau_sin'. "
            "Did you mean 'tau_syn'?",
        ),
        (
            {"inputs": 0},
            "SynNet: inputs must be a positive integer, got 0. "
            "Pass the number as a Python int, 1 or more.",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        SynNet(**{"inputs": 16, "outputs": 4, **options})
    assert str(caught.value) == message
