"""The artefact of the target `fpga-lif`: the network in whole numbers, which is its exact twin."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.target import Advance
from spikewright.engine.forward import Observation
from spikewright.errors import CompileError, ProgramError
from spikewright.targets.fpga.lif.clocks import busy_clocks, most_clocks
from spikewright.targets.fpga.lif.emit import emit, identity, images
from spikewright.targets.fpga.lif.fix import Points, fix_like
from spikewright.targets.fpga.lif.footprint import memory_bits
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.network import FixedLayer, FixedNetwork, LayerState, Ran, Whole
from spikewright.targets.fpga.lif.settings import FixedPoint

FAULTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, CompileError)
"""What comes of values that no `saved` would give."""


class OnLIFCore:
    """A network on a core; an `Artefact` that also streams.

    Args:
        program: the network in floating numbers.
        numbers: its formats.
        points: binary points by layer, which stay when weights change.
        lanes: what is done at once.
        clock: Hz, for times.

    Raises:
        CompileError: see `fix_like`.
    """

    network: FixedNetwork
    """What it computes."""

    def __init__(
        self,
        program: DiscreteProgram,
        numbers: FixedPoint,
        points: Mapping[str, Points],
        lanes: Lanes,
        clock: float,
    ) -> None:
        self.numbers, self.points, self.lanes, self.clock = numbers, points, lanes, clock
        self._saturations: dict[str, int] = {}
        self._load(program)

    def _load(self, program: DiscreteProgram) -> None:
        self.network = fix_like(program, self.numbers, self.points)
        self.dt = program.dt

    @property
    def memory(self) -> Mapping[str, int]:
        """Bits of each kind of memory on the chip."""
        return memory_bits(self.network, self.lanes)

    @property
    def most_clocks(self) -> int:
        """Clocks of a step, whatever comes."""
        return most_clocks(self.network, self.lanes)

    def on(self, lanes: Lanes, clock: float) -> OnLIFCore:
        """The same network on other hardware; it answers the same."""
        made = copy.copy(self)
        made.lanes, made.clock = lanes, clock
        return made

    def cycles(self, x: Tensor) -> Whole:
        """Clocks of work of each layer for each sample, (layers, batch); see `busy_clocks`.

        Args:
            x: whole numbers of spikes, (time, batch, lines).

        Raises:
            ShapeError: another shape, or numbers out of range.
        """
        return busy_clocks(self.network, x.cpu().numpy(), self.lanes)

    def observe(self, x: Tensor, seed: int) -> Mapping[str, Observation]:
        """All layers, membranes and numbers of a readout in the network's units.

        Raises:
            ShapeError: the input is no whole number of spikes, or of more than there may be.
        """
        ran = self.network.walk(x.detach().cpu().numpy())
        layers = self.network.layers
        pairs = list(zip(layers, ran, strict=True))
        self._saturations = {layer.name: int(it.saturated.sum()) for layer, it in pairs}
        return {layer.name: _seen(layer, it, x) for layer, it in pairs}

    def stream(self, seed: int) -> Advance:
        """What takes the next steps of a sample, from a fresh start; nothing is drawn."""
        network, last = self.network, self.network.layers[-1]
        state: list[LayerState] | None = None

        def advance(x: Tensor) -> Tensor:
            nonlocal state
            ran = network.walk(x.cpu().numpy(), state)
            state = [each.after for each in ran]
            return _handed_on(last, ran[-1], x)

        return advance

    def reload(self, design: Design) -> None:
        """Take over weights and time constants, on the binary points that were chosen.

        Raises:
            ProgramError: the core cannot hold the network by now.
        """
        try:
            self._load(design.program)
        except CompileError as cause:
            raise ProgramError(f"fpga-lif.reload: {cause}") from cause

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Binary points, and a checksum of the network; its weights follow from the design."""
        points = {name: list(each) for name, each in self.points.items()}
        return {}, {"points": points, "network": checksum(self.network)}

    def saturations(self) -> Mapping[str, int]:
        """By layer, how often a state was cut to its range in the last run."""
        return self._saturations

    def emit(self, folder: str | Path, prefix: str = "") -> Path:
        """Write SystemVerilog, memory images and what they amount to, in ``summary.json``.

        Args:
            prefix: before the names of all modules, packages and images, so that several designs
                fit into one project.

        Raises:
            ParameterError: the prefix cannot begin a name.
            ProgramError: the folder cannot be written.
        """
        return emit(self.network, folder, self.lanes, self.summary(), prefix)

    def summary(self) -> dict[str, Any]:
        """Plain figures, ready for JSON: shapes, formats, clocks and memories."""
        network = self.network
        return {
            "inputs": [network.inputs],
            "outputs": [network.layers[-1].neurons],
            "dt": self.dt,
            "layers": dict(network.report),
            "output_scale": 1.0 if network.layers[-1].spiking else _scale(network.layers[-1]),
            "numbers": asdict(self.numbers),
            "lanes": list(self.lanes.of(network)),
            "queue": self.lanes.queue,
            "stream_weights": self.lanes.stream_weights,
            "identity": f"{identity(network, self.lanes):08x}",
            "most_clocks": self.most_clocks,
            "clock_hz": self.clock,
            "seconds": self.most_clocks / self.clock,
            "memory_bits": dict(self.memory),
        }


def restored(
    program: DiscreteProgram,
    values: Mapping[str, Any],
    settings: tuple[FixedPoint, Lanes, float],
) -> OnLIFCore:
    """The inverse of `OnLIFCore.saved`: made anew, and compared.

    Raises:
        ProgramError: no such values, or another network comes of them.
    """
    numbers, lanes, clock = settings
    try:
        given = {str(name): _points(pair) for name, pair in values["points"].items()}
        made = OnLIFCore(program, numbers, given, lanes, clock)
        same = checksum(made.network) == values["network"]
    except FAULTS as cause:
        raise _unlike(f"{type(cause).__name__}: {cause}") from cause
    if not same:
        raise _unlike("one of which another network is made now")
    return made


def checksum(network: FixedNetwork) -> str:
    """Equal for networks that answer alike, whatever comes."""
    parts = [repr((layer.step, layer.fraction, layer.places)) for layer in network.layers]
    parts += images(network, Lanes(1)).values()
    return hashlib.sha256("\0".join([str(network.spikes), *parts]).encode()).hexdigest()


def _points(pair: Any) -> Points:
    fraction, places = pair
    if not all(type(number) is int and abs(number) < 1000 for number in (fraction, places)):
        raise TypeError(f"binary points {pair!r}")
    return Points(fraction, places)


def _scale(layer: FixedLayer) -> float:
    return 2.0**-layer.fraction


def _handed_on(layer: FixedLayer, ran: Ran, x: Tensor) -> Tensor:
    value = torch.from_numpy(ran.outputs).to(x)
    return value if layer.spiking else value * _scale(layer)


def _seen(layer: FixedLayer, ran: Ran, x: Tensor) -> Observation:
    handed_on = _handed_on(layer, ran, x)
    v = None if ran.membrane is None else torch.from_numpy(ran.membrane).to(x) * _scale(layer)
    return Observation(handed_on, v) if layer.spiking else Observation(None, v, handed_on)


def _unlike(what: str) -> ProgramError:
    return ProgramError(
        f"fpga-lif.restore: the file must hold binary points for its program, got {what}. "
        "Compile the network again."
    )
