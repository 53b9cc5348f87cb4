"""Parts of the recipes on exact spike times, on spikes and weights made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.coding import SpikeTimes
from spikewright.events import EventRun, Fired, Limits, simulate
from spikewright.learning import SpikeTime
from spikewright.learning.event_losses import FirstSpikeSoftmax, SpikeCountTarget
from spikewright.recipes import multi_spike_advantages as advantages
from spikewright.recipes import multi_spike_mnist
from spikewright.recipes.core.trials import ACCURACY, aim_potentials


def fired(times: list[list[tuple[float, int]]], neurons: int) -> Fired:
    """Of each sample, spikes as (time, neuron)."""
    samples = [place for place, spikes in enumerate(times) for _ in spikes]
    flat = [spike for spikes in times for spike in spikes]
    spikes = SpikeTimes.sort(
        torch.tensor([time for time, _ in flat]),
        torch.tensor([unit for _, unit in flat]),
        torch.tensor(samples),
        (len(times), (neurons,), 10.0),
    )
    return Fired(spikes, spikes.counts(), torch.zeros(len(times), neurons), 0)


OUTPUT = [
    [(1.0, 0), (2.0, 1), (3.0, 1)],  # 0 leads until 1 overtakes it
    [(4.0, 1)],
    [(1.0, 0), (2.0, 1), (3.0, 0), (5.0, 0)],  # a tie at 2 is still 0's
    [],
]


@pytest.mark.parametrize(("first", "expected"), [(True, [1.0, 4.0, 1.0]), (False, [3.0, 4.0, 1.0])])
def test_a_choice_is_final_when_its_leader_stays_ahead(first: bool, expected: list[float]) -> None:
    hidden = fired([[(0.5, 2), (0.7, 2)], [], [(0.1, 0)], []], 3)
    output = fired(OUTPUT, 2)
    run = EventRun(output.spikes, {"hidden": hidden, "output": output})
    counts, final = advantages.decisions(run, first=first)
    assert counts.tolist() == [[0, 0, 2], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert final.tolist() == [*expected, torch.inf]


def alone(weights: torch.Tensor, loss: Any, most: int) -> bool:
    """Whether one pair of outputs, trained by itself, tells the two patterns apart."""
    cells = sw.CubaLIF(tau_mem=2.0, tau_syn=1.0, v_threshold=0.5)
    network = sw.Sequential(sw.Linear(4, 2, bias=False), cells, dt=0.1)
    with torch.no_grad():
        next(network.parameters()).copy_(weights)
    x = SpikeTimes.from_first(torch.tensor([[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 2.0, 1.0]]), 10.0)
    batch = sw.learning.Batch(x, torch.tensor([0, 1]))
    rule = SpikeTime(loss, max_spikes=most, learning_rate=advantages.RATE)
    state = rule.init(network)
    for _ in range(advantages.EPOCHS):
        _, state = rule.train_batch(network, batch, state)
    measured = rule.measure(network, x, batch.y)
    one, other = measured.scores
    return bool(one[0] > one[1]) and bool(other[1] > other[0])


@pytest.mark.parametrize(
    ("loss", "most"), [(FirstSpikeSoftmax(tau=0.1), 1), (SpikeCountTarget(10.0, 0.0), 10)]
)
def test_pairs_that_are_trained_together_do_as_those_trained_alone(
    loss: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advantages, "GRID", torch.tensor([0.4, 1.2]))
    together = advantages.solved(loss, most, repeats=4, seed=3)
    network = advantages._toy_network(2 * 16, 3)
    pairs = next(network.parameters()).detach().view(2, 2, 4, 2, 4)
    expected = [
        [sum(alone(weights, loss, most) for weights in pairs[i, j]) / 4 for j in range(2)]
        for i in range(2)
    ]
    assert together.tolist() == expected
    assert 0 < together.mean() < 1


def test_first_weights_lift_the_mean_potential_to_so_many_thresholds() -> None:
    cells: dict[str, Any] = {"tau_mem": 20e-3, "tau_syn": 10e-3, "v_threshold": 0.3}
    network = sw.Sequential(
        sw.Linear(2, 5, bias=False), sw.CubaLIF(**cells),
        sw.Linear(5, 3, bias=False), sw.CubaLIF(**cells), dt=1e-3,
    )  # fmt: skip
    # Two inputs at once: their potentials peak together, at a quarter of the weights' sum.
    spikes = SpikeTimes.from_first(torch.full((4, 2), 5e-3), duration=0.2)
    aim_potentials(network, spikes, drives=(1.05, 2.0), spreads=(0.0, 0.0))
    hidden, output = network.parameters()
    assert hidden.detach().flatten().tolist() == pytest.approx([2 * 1.05 * 0.3] * 10, rel=1e-5)
    with torch.no_grad():
        assert simulate(network, spikes, Limits()).fired["1_cubalif"].counts.unique().tolist() == [
            1
        ]
    assert output.detach().flatten().tolist() == pytest.approx([4 / 5 * 2.0 * 0.3] * 15, rel=1e-5)


def test_first_weights_spread_as_asked() -> None:
    cells: dict[str, Any] = {"tau_mem": 20e-3, "tau_syn": 10e-3}
    network = sw.Sequential(sw.Linear(50, 400, bias=False), sw.CubaLIF(**cells), dt=1e-3)
    first = torch.rand(8, 50, generator=torch.Generator().manual_seed(0)) * 20e-3
    torch.manual_seed(1)
    aim_potentials(network, SpikeTimes.from_first(first, 0.1), drives=(1.5,), spreads=(0.7,))
    weight = next(network.parameters()).detach()
    assert float(weight.std() / weight.mean()) == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize(
    ("accuracies", "ahead"), [((90.0, 95.0, 92.0), 3.0), ((90.0, 95.0, 96.0), -1.0)]
)
def test_a_sweep_that_is_best_at_an_end_has_no_maximum_inside(
    accuracies: tuple[float, ...], ahead: float
) -> None:
    swept: Any = {
        tau: SimpleNamespace(
            metrics=lambda value=value: {ACCURACY: value},
            test=SimpleNamespace(metrics={"rates": {"1_cubalif": 0.1}}),
        )
        for tau, value in zip((1e-3, 2e-3, 4e-3), accuracies, strict=True)
    }
    values = multi_spike_mnist._curve(multi_spike_mnist.MANY, swept)
    assert values[multi_spike_mnist.INSIDE] == ahead
