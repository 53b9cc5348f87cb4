"""Data at exact times in everything that meets a batch: the same as its raster, or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.errors import DataError, ShapeError
from spikewright.learning import Batch, Surrogate, processes
from spikewright.training.batches import draw_batch
from spikewright.training.fabric import Place

DT = 1e-3
STEPS = 30


@dataclass
class Split:
    """Two classes: the second half of the units spikes late, or early; some at the very end."""

    exact: bool = True
    signals: bool = False
    duration: float = STEPS * DT
    shape: tuple[int, ...] = (6,)
    steps: int = STEPS

    def __len__(self) -> int:
        return 24

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> tuple[Any, Tensor]:
        y = index % 2
        first = torch.rand(len(index), 6, generator=generator, dtype=torch.float64) * 8e-3
        first[:, 3:] += torch.where(y[:, None] == 1, 15e-3, 0.0)
        first[:, 5] = self.duration
        x = sw.SpikeTimes.from_first(first, self.duration)
        if self.signals:
            y = torch.linspace(0, 1, STEPS)[:, None, None] * y[:, None]
        return x if self.exact else x.raster(DT), y


@dataclass
class Data:
    train: Split = field(default_factory=Split)
    validation: Split | None = None
    dt: float = DT
    classes: tuple[str, ...] = ("early", "late")


def network(outputs: int = 2) -> sw.Network:
    torch.manual_seed(1)
    layers = (sw.Linear(6, 20), sw.CubaLIF(), sw.Linear(20, outputs), sw.CubaLI())
    return sw.Sequential(*layers, dt=DT)


def trained(data: Data) -> tuple[sw.Network, sw.training.FitResult]:
    made = network()
    options = {"epochs": 2, "batch_size": 8, "progress": False, "initial_rate": 0.1}
    return made, sw.fit(made, data, Surrogate(learning_rate=0.01), **options)


def test_training_on_spike_times_equals_training_on_their_raster() -> None:
    ways = [trained(Data(Split(exact=exact), Split(exact=exact))) for exact in (True, False)]
    (first, one), (second, other) = ways
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, second.state_dict()[name])
    losses = [[record["loss"] for record in result.history] for result in (one, other)]
    assert losses[0] == losses[1]


def test_evaluation_counts_samples_not_steps() -> None:
    made, rule = network(), Surrogate()
    options: dict[str, Any] = {"rule_state": rule.init(made), "batch_size": 7}
    exact = sw.evaluate(made, Split(), rule, **options)
    raster = sw.evaluate(made, Split(exact=False), rule, **options)
    assert exact.metrics == raster.metrics
    assert exact.samples == 24
    assert exact.predictions is not None
    assert len(exact.predictions) == 24


@pytest.mark.parametrize("signals", [False, True])
def test_processes_share_a_batch_by_samples(monkeypatch: pytest.MonkeyPatch, signals: bool) -> None:
    place, index = Place(network()), torch.arange(7)
    whole = draw_batch(Split(signals=signals), index, (0, 1, 2), place)
    assert whole is not None
    assert whole.samples == 7
    parts: list[Batch] = []
    for rank in range(2):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(processes, "world_size", lambda: 2)
        part = draw_batch(Split(signals=signals), index, (0, 1, 2), place)
        assert part is not None
        parts.append(part)
    assert [part.samples for part in parts] == [4, 3]
    rasters = [network().to_floating(part.x) for part in parts]
    assert torch.equal(torch.cat(rasters, 1), network().to_floating(whole.x))
    assert torch.equal(torch.cat([part.y for part in parts], 1 if signals else 0), whole.y)


def test_targets_that_are_signals_train_with_spike_times() -> None:
    from spikewright.learning.losses import MembraneMSE

    made, rule = network(outputs=1), Surrogate(loss=MembraneMSE())
    data = Data(Split(signals=True))
    result = sw.fit(made, data, rule, epochs=1, batch_size=24, progress=False)
    assert result.history[-1]["loss"] > 0


def test_spike_times_keep_float64_where_a_batch_is_placed() -> None:
    batch = draw_batch(Split(), torch.arange(4), (0, 0, 0), Place(network()))
    assert batch is not None
    assert isinstance(batch.x, sw.SpikeTimes)
    assert batch.x.times.dtype == torch.float64


@pytest.mark.parametrize(
    ("split", "words"),
    [(Split(shape=(5,)), r"= \(8, 5\), got \(8, 6\)"), (Split(shape=(2, 3)), r"got \(8, 6\)")],
)
def test_spike_times_of_another_shape_than_the_splits_are_refused(split: Split, words: str) -> None:
    with pytest.raises(DataError, match=words):
        draw_batch(split, torch.arange(8), (0, 0, 0), Place(network()))


def test_a_trial_of_broken_steps_is_refused() -> None:
    data = Data(Split(duration=24.5e-3))
    with pytest.raises(ShapeError, match=r"whole number of steps of 1 ms, got 24\.5 ms"):
        sw.fit(network(), data, Surrogate(), epochs=1, progress=False, initial_rate=None)


def both() -> tuple[sw.SpikeTimes, Tensor, Tensor]:
    """A batch of four as spike times, the same as a raster, and its classes."""
    x, y = Split().batch(torch.arange(4), torch.Generator().manual_seed(0))
    return x, x.raster(DT), y


def test_a_network_runs_spike_times_as_their_raster() -> None:
    made, (times, raster, _) = network(), both()
    assert torch.equal(made(times)[0], made(raster)[0])
    assert made.explain(times) == made.explain(raster)


def test_helpers_of_training_take_spike_times() -> None:
    made, (times, raster, y) = network(), both()
    rule = Surrogate()
    assert str(sw.doctor(made, (times, y), rule)) == str(sw.doctor(made, (raster, y), rule))
    costs = [sw.profile(made, x, repeats=1).layers for x in (times, raster)]
    assert [cost.density for cost in costs[0]] == [cost.density for cost in costs[1]]
    need = [sw.estimate_memory(made, STEPS, 8, x=x).peak for x in (times, raster)]
    assert need[0] == pytest.approx(need[1], rel=0.05)
    assert sw.aim_rates(network(), times) == sw.aim_rates(network(), raster)


def test_compiled_programs_take_spike_times() -> None:
    made, (times, raster, _) = network(), both()
    with torch.no_grad():
        for value in made.parameters():
            value.mul_(3)
    programs = [sw.compile(made, "simulator", calibration=x, weights=8) for x in (times, raster)]
    assert torch.equal(programs[0].run(raster), programs[1].run(raster))
    assert torch.equal(programs[0].run(times), programs[0].run(raster))
    data = Data()
    rule, options = Surrogate(learning_rate=1e-3), {"epochs": 1, "batch_size": 12}
    result = sw.fit(made, data, rule, forward=programs[0], progress=False, **options)
    assert result.steps == 2
