"""A spiking network compiled for a target."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spikewright.borrow import in_mode
from spikewright.coding.spike_times import SpikeTimes
from spikewright.compiler.carried import program_dtype
from spikewright.compiler.design import Design
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.fold import Fold
from spikewright.compiler.passes.quantise import requantise
from spikewright.compiler.program import Program
from spikewright.compiler.reload import check_structure, clamp_weights
from spikewright.compiler.reporting.placement import placement
from spikewright.compiler.software.observe import handed_on
from spikewright.compiler.target import Artefact
from spikewright.engine.checks import check_finite, check_sequence
from spikewright.engine.forward import Observation
from spikewright.network import Network
from spikewright.report import Occupancy

if TYPE_CHECKING:
    from spikewright.compiler.stream import ProgramStream


@dataclass(frozen=True, eq=False)
class _Taken:
    """The network whose weights were taken over last, and its numbers then."""

    network: weakref.ref[Network]
    numbers: dict[str, Tensor]

    @staticmethod
    def of(network: Network) -> _Taken:
        numbers = {name: t.detach().clone() for name, t in network.state_dict().items()}
        return _Taken(weakref.ref(network), numbers)

    def is_still(self, network: Network) -> bool:
        """Whether nothing has changed; by value, for not every change in place leaves a trace."""
        now = network.state_dict()
        return (
            self.network() is network
            and now.keys() == self.numbers.keys()
            and all(torch.equal(tensor, self.numbers[name]) for name, tensor in now.items())
        )


@dataclass(eq=False, kw_only=True)
class NetworkProgram(Program):
    """A spiking network on a target.

    It can stand in the forward pass of training: ``fit(..., forward=program)``.

    Args:
        source: the network in floating numbers.
        design: what the passes made of it.
        artefact: what is loaded onto the target.
    """

    source: DiscreteProgram
    design: Design
    artefact: Artefact
    _taken: _Taken | None = field(default=None, init=False, repr=False)

    @property
    def notes(self) -> Sequence[str]:
        return self.design.notes

    @property
    def places(self) -> Sequence[Occupancy]:
        return placement(self.design, self.target.grid)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.source.shape)

    @property
    def dt(self) -> float:
        return self.source.dt

    def run(self, x: Tensor | SpikeTimes, seed: int | None = None) -> Tensor:
        """What the target gives for a batch.

        Args:
            x: (time, batch, *features) or spike times.
            seed: of the noise of an analogue target; that of the program if left out.

        Returns:
            The output of the last layer, (time, batch, *n).

        Raises:
            ShapeError: ``x`` is of another shape, empty or not finite.
        """
        if isinstance(x, SpikeTimes):
            x = x.raster(self.source.dt, program_dtype(self.source.nodes))
        check_sequence("program", x, self.source.shape)
        if not x.is_floating_point():
            x = x.to(program_dtype(self.source.nodes))
        check_finite("program", x)
        with torch.no_grad():
            seen = self.artefact.observe(x, self.seed if seed is None else seed)
        return handed_on(seen[self.source.output])

    def stream(self) -> ProgramStream:
        from spikewright.compiler.stream import ProgramStream

        return ProgramStream(self)

    def observe(self, network: Network, x: Tensor) -> Mapping[str, Observation]:
        self.reload(network)
        seed = int(torch.randint(2**62, ()))
        with torch.no_grad():
            return self.artefact.observe(x.detach(), seed)

    def reload(self, network: Network) -> None:
        if self._taken is not None and self._taken.is_still(network):
            return
        with torch.no_grad(), in_mode(network, training=False):
            program = self._folded(network)
        self.artefact.reload(replace(self.design, program=program))
        self.design = replace(self.design, program=program)
        self._taken = _Taken.of(network)

    def _folded(self, network: Network) -> DiscreteProgram:
        """The network of this moment, in the number formats of this program."""
        source = discretise(network)
        check_structure(source, self.source)
        folded = Fold().apply(Design(source)).program
        check_structure(folded, self.design.program)  # what can be folded depends on the numbers
        if clamp_weights(network, (source, folded), self.design.program):
            folded = Fold().apply(Design(discretise(network))).program
        return requantise(folded, self.design.program)
