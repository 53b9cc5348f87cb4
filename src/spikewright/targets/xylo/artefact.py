"""The artefact: a configuration and the twin that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.target import Advance
from spikewright.engine.forward import Observation
from spikewright.errors import CompileError, ProgramError
from spikewright.targets.xylo.check import faults
from spikewright.targets.xylo.chips import CHIPS, MOST_IN
from spikewright.targets.xylo.configuration import Configuration
from spikewright.targets.xylo.lowering.configure import Choice, configure
from spikewright.targets.xylo.lowering.wanted import wanted
from spikewright.targets.xylo.running import LayerShown, run_aligned
from spikewright.targets.xylo.twin.twin import Twin, TwinState


class OnXylo:
    """A network on a chip; an `Artefact` that also streams.

    Args:
        program: the network.
        choice: scales and shifts; all but the weights and thresholds is fixed from now on.
        chip: name of the target.
    """

    configuration: Configuration
    """What is loaded."""

    def __init__(self, program: DiscreteProgram, choice: Choice, chip: str) -> None:
        self.choice, self.chip = choice, chip
        self._saturations: dict[str, int] = {}
        self._load(program)

    def _load(self, program: DiscreteProgram) -> None:
        want = wanted(program)
        made, beyond = configure(want, self.choice, self.chip, program.dt)
        self.want, self.configuration, self._beyond = want, made, beyond
        self.program, self.twin = program, Twin(made)

    @property
    def latency_steps(self) -> int:
        """Steps by which the chip's output comes later than `observe` shows it."""
        return self.want.lags[self.want.out.name]

    def observe(self, x: Tensor, seed: int) -> Mapping[str, Observation]:
        """All layers, on the network's clock, membranes in the network's units.

        Raises:
            ProgramError: the input is not a whole number of events from 0 on.
        """
        events, lost = _events(x)
        found, shown, _ = run_aligned(self.twin, self.want, events)
        self._count(shown.clipped, shown.clipped_out, lost)
        return {name: self._seen(name, it, x) for name, it in found.items()}

    def stream(self, seed: int) -> Advance:
        """What takes the next steps of a sample, from a fresh start; nothing is drawn."""
        twin, want = self.twin, self.want
        state: TwinState | None = None

        def advance(x: Tensor) -> Tensor:
            nonlocal state
            if not len(x):
                return x.new_empty(0, 1, *self.program.node(want.out.name).shape)
            events, _ = _events(x)
            found, _, state = run_aligned(twin, want, events, state)
            seen = self._seen(want.out.name, found[want.out.name], x)
            output = seen.spikes if seen.output is None else seen.output
            assert output is not None
            return output

        return advance

    def reload(self, design: Design) -> None:
        """Take over weights and thresholds, with the scales and shifts that were chosen.

        Raises:
            ProgramError: the network breaks a limit of the chip by now.
        """
        broken = faults(design.program, CHIPS[self.chip], bool(self.choice.alias))
        if broken:
            raise ProgramError(
                f"xylo.reload: the network must still fit onto the chip, got {broken[0]} "
                "Compile the network again."
            )
        try:
            self._load(design.program)
        except CompileError as cause:
            raise ProgramError(f"xylo.reload: {cause}") from cause

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scales and shifts; the weights follow from the design."""
        it = self.choice
        tensors = {"scale": torch.from_numpy(it.scale), "scale_out": torch.from_numpy(it.scale_out)}
        return tensors, {"shifts": list(it.shifts), "alias": dict(it.alias), "chip": self.chip}

    def saturations(self) -> Mapping[str, int]:
        """By layer, codes that left 16 bits; of outputs also weights beyond the largest code.

        Events beyond 15 a step are counted with the first layer.
        """
        return self._saturations

    def _count(self, hidden: Tensor, out: Tensor, lost: int) -> None:
        totals = hidden.sum(0)
        found = {name: int(totals[place].sum()) for name, place in self.want.places.items()}
        found[self.want.hidden[0].name] += lost
        found[self.want.out.name] = int(out.sum()) + self._beyond
        self._saturations = found

    def _seen(self, name: str, shown: LayerShown, x: Tensor) -> Observation:
        shape = (*x.shape[:2], *self.program.node(name).shape)
        spikes = shown.spikes.to(x.dtype).reshape(shape)
        if shown.v is None:
            return Observation(spikes)
        hidden = name in self.want.places
        scale = self.choice.scale[self.want.places[name]] if hidden else self.choice.scale_out
        v = (shown.v.double() / torch.from_numpy(np.ascontiguousarray(scale))).to(x.dtype)
        v = v.reshape(shape)
        return Observation(spikes, v) if self._spiking(name) else Observation(None, v, v)

    def _spiking(self, name: str) -> bool:
        return name in self.want.places or self.want.out.spiking


def _events(x: Tensor) -> tuple[Tensor, int]:
    """The input as the chip takes it, (time, batch, inputs), and how many events are lost."""
    x = x.flatten(2)
    if bool((x != x.floor()).any()) or bool((x < 0).any()):
        bad = x[(x != x.floor()) | (x < 0)][0].item()
        raise ProgramError(
            f"xylo: the input must be whole numbers of events from 0 on, got {bad:g}. "
            "Turn it into events first, with a front end of sw.audio, or sw.coding."
        )
    return x.clamp(max=MOST_IN), int((x - MOST_IN).clamp(min=0).sum())
