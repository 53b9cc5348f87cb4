"""A network compiled for a target."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from spikewright.compiler.reload import check_structure, clamp_weights
from spikewright.compiler.reporting.agreement import Agreement
from spikewright.compiler.reporting.cost import Cost
from spikewright.compiler.software.observe import handed_on
from spikewright.compiler.target import Artefact, Target
from spikewright.engine.checks import check_finite, check_sequence
from spikewright.engine.forward import Observation
from spikewright.network import Network
from spikewright.report import Report

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


@dataclass(eq=False)
class Program:
    """What `spikewright.compile` returns: it runs as the target would.

    It can stand in the forward pass of training: ``fit(..., forward=program)``.

    Args:
        target: what it was compiled for.
        source: the network in floating numbers.
        design: what the passes made of it.
        artefact: what is loaded onto the target.
        agreement: the calibration sample in float, quantised and on the target.
        cost: of one sample.
        used: how much of each limit of the target it takes, by the limit's name.
        kind: what it runs on, options included, see `ForwardProgram`; weights are no part of it.
        seed: of the noise of an analogue target.
    """

    target: Target
    source: DiscreteProgram
    design: Design
    artefact: Artefact
    agreement: Agreement
    cost: Cost
    used: Mapping[str, float]
    kind: str
    seed: int = 0
    _taken: _Taken | None = field(default=None, init=False, repr=False)

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
        """The program to be run step by step over one sample; see `ProgramStream`.

        Raises:
            ProgramError: the target cannot run a sequence in parts.
        """
        from spikewright.compiler.stream import ProgramStream

        return ProgramStream(self)

    def observe(self, network: Network, x: Tensor) -> Mapping[str, Observation]:
        """Run a batch with a network's weights of this moment; see `ForwardProgram`.

        The seed of the target's noise is drawn from torch's global generator.

        Raises:
            ProgramError: the network is not of the structure that was compiled.
        """
        self.reload(network)
        seed = int(torch.randint(2**62, ()))
        with torch.no_grad():
            return self.artefact.observe(x.detach(), seed)

    def reload(self, network: Network) -> None:
        """Take over a network's weights, with the scales, places and routes of this program.

        Nothing happens where no number of the network has changed since the last time. Weights
        beyond the range of their format are brought to its end, in the network itself.

        Raises:
            ProgramError: the network is not of the structure that was compiled, or something
                changed that needs it to be compiled again. The program is as before.
        """
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

    def report(self) -> Report:
        """A page on this program: agreement, cost, limits, placement; ``.save("x.html")``."""
        from spikewright.compiler.reporting.page import report

        return report(self)

    def explain(self) -> str:
        """Agreement, cost, use of the limits and notes as text."""
        from spikewright.compiler.reporting.page import explain

        return explain(self)

    def __str__(self) -> str:
        return self.explain()

    def save(self, folder: str | Path) -> None:
        """Write the program into a folder; one that is there stays whole until it is replaced.

        Raises:
            ProgramError: the folder cannot be written.
        """
        from spikewright.compiler.files.saved import save

        save(self, Path(folder))

    @staticmethod
    def load(folder: str | Path, target: Target | None = None) -> Program:
        """Read a program that `save` wrote. No code from the files runs.

        Args:
            target: where it is to run, such as a chip behind a wire; made again from its name
                and options if left out.

        Raises:
            ProgramError: a file is missing or damaged; names the file and the fault.
        """
        from spikewright.compiler.files.saved import load

        return load(Path(folder), target)

    def as_dict(self) -> dict[str, Any]:
        """Agreement and cost as plain values, ready for JSON."""
        return {"agreement": self.agreement.plain(), "cost": self.cost.plain()}
