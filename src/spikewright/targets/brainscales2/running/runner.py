"""A plan on a chip: a batch of samples in, spikes and membranes out."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright import seeding
from spikewright.compiler.discrete import INPUT
from spikewright.engine.checks import check_sequence
from spikewright.engine.forward import Observation
from spikewright.targets.brainscales2.chip import Chip, Observations
from spikewright.targets.brainscales2.lowering.plan import Plan, Run
from spikewright.targets.brainscales2.lowering.wiring import is_bias
from spikewright.targets.brainscales2.running.reading import (
    add_spikes,
    put_interpolated,
    put_samples,
    saturated,
)
from spikewright.targets.brainscales2.running.stimulus import check_counts, stimulus


class Runner:
    """Runs a plan on a chip.

    Args:
        plan: such as `description.read` returns.
        chip: a chip, its twin, or either behind a wire.

    Attributes:
        ends: by layer, samples of the last run at the ends of the converter's range.
        lost: events that the link dropped in the last run, on the way in and on the way out.
        seconds: chip time of the last run, all samples and configurations.
    """

    def __init__(self, plan: Plan, chip: Chip) -> None:
        self.plan, self.chip = plan, chip
        self.ends: dict[str, int] = {}
        self.lost, self.seconds = (0, 0), 0.0

    def observe(self, x: Tensor, seed: int = 0) -> dict[str, Observation]:
        """What the chip shows of each layer, on the grid of the network and in its units.

        Args:
            x: (time, batch, *features), spikes of each step.
            seed: of the temporal noise of a twin.

        Returns:
            Of layers that fire, their spikes, and the samples of their membranes in the steps
            that they belong to; of readouts, the membrane at the end of each step.

        Raises:
            ShapeError: ``x`` has another shape, or is not whole numbers of spikes.
            DeviceError: the chip does not answer, or refuses.
        """
        check_sequence("brainscales2.run", x, self.plan.shapes[INPUT])
        check_counts(x)
        record = _Record(self.plan, x)
        self.ends, self.lost, self.seconds = {}, (0, 0), 0.0
        for number, run in enumerate(self.plan.runs):
            seen = self._run(run, record, seeding.derive(seed, "run", number))
            record.add(run, seen)
            self.lost = (self.lost[0] + seen.lost[0], self.lost[1] + seen.lost[1])
            self.seconds += seen.seconds
        self.ends = record.ends
        return record.observations()

    def _run(self, run: Run, record: _Record, seed: int) -> Observations:
        latest = max(seat.start for seat in run.seats.values())
        seconds = self.plan.clock.seconds(latest, record.steps)
        addresses = run.from_host()
        spikes = {name: record.of(name) for name in addresses}
        events = stimulus(spikes, addresses, run.sent, self.plan.clock, seconds, seed)
        return self.chip.run(run.configuration, events)


class _Record:
    """What has been seen so far, by layer: (time, batch, neurons) each."""

    def __init__(self, plan: Plan, x: Tensor) -> None:
        self.plan, self.steps, self.batch = plan, x.shape[0], x.shape[1]
        self.spikes: dict[str, Tensor] = {INPUT: x.detach().flatten(2)}
        self.membranes: dict[str, Tensor] = {}
        self.ends: dict[str, int] = {}

    def of(self, source: str) -> Tensor:
        """The spikes of a source, (time, batch, channels); a bias has one in every step."""
        return torch.ones(self.steps, self.batch, 1) if is_bias(source) else self.spikes[source]

    def add(self, run: Run, seen: Observations) -> None:
        """Take over a run."""
        clock, places = self.plan.clock, np.cumsum(run.configuration.sampled) - 1
        for name, seat in run.seats.items():
            if seat.spiking:
                add_spikes(self._kept(self.spikes, name, 0.0), seen, seat, clock)
            if not seat.spiking or "v" in seat.shown:
                columns, into = places[seat.circuits], self._kept(self.membranes, name, np.nan)
                put = put_samples if seat.spiking else put_interpolated
                put(into, seen, columns, seat, clock)
                self.ends[name] = self.ends.get(name, 0) + saturated(seen, columns)

    def _kept(self, kept: dict[str, Tensor], name: str, start: float) -> NDArray[np.float32]:
        """The numbers of a layer, those of all its neurons, made where there are none yet."""
        if name not in kept:
            neurons = math.prod(self.plan.shapes[name])
            full = torch.full((self.steps, self.batch, neurons), start, dtype=torch.float32)
            kept[name] = full
        return kept[name].numpy()

    def observations(self) -> dict[str, Observation]:
        """By layer, what is handed back."""
        found: dict[str, Observation] = {}
        for name, seat in self.plan.seats().items():
            v, spikes = self._shaped(self.membranes, name), self._shaped(self.spikes, name)
            if seat.spiking:
                found[name] = Observation(spikes if "spikes" in seat.shown else None, v)
            else:
                found[name] = Observation(output=v)
        return found

    def _shaped(self, kept: dict[str, Tensor], name: str) -> Tensor | None:
        shape = self.plan.shapes[name]
        return kept[name].reshape(self.steps, self.batch, *shape) if name in kept else None
