"""What `spikewright.compile` returns, whatever was compiled and for whatever target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from spikewright.compiler.reporting.agreement import Agreement
from spikewright.compiler.reporting.cost import Cost
from spikewright.compiler.target import TargetFacts
from spikewright.engine.forward import Observation
from spikewright.errors import ProgramError
from spikewright.network import Network
from spikewright.report import Occupancy, Report

if TYPE_CHECKING:
    from spikewright.compiler.stream import ProgramStream


@dataclass(eq=False, kw_only=True)
class Program(ABC):
    """What `spikewright.compile` returns: it runs as the target would.

    Of a spiking network it is a `NetworkProgram`, which can stand in the forward pass of
    training; of a trained module a `ModuleProgram`.

    Args:
        target: what it was compiled for.
        agreement: the calibration sample in float, quantised and on the target.
        cost: of one sample.
        used: how much of each limit of the target it takes, by the limit's name.
        kind: what it runs on, options included, see `ForwardProgram`; weights are no part of it.
        seed: of the noise of an analogue target.
    """

    target: TargetFacts
    agreement: Agreement
    cost: Cost
    used: Mapping[str, float]
    kind: str
    seed: int = 0

    @property
    @abstractmethod
    def notes(self) -> Sequence[str]:
        """What the compiler assumed or changed."""

    @property
    def places(self) -> Sequence[Occupancy]:
        """What sits where on the target, as pictures; none where nothing has a place."""
        return ()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one input, without time and batch."""

    @property
    @abstractmethod
    def dt(self) -> float | None:
        """Time step of its input, s; ``None`` where samples have no time axis."""

    @abstractmethod
    def run(self, x: Any, seed: int | None = None) -> Tensor:
        """What the target gives for a batch.

        Args:
            x: such inputs as it was compiled with.
            seed: of the noise of an analogue target; that of the program if left out.

        Returns:
            The output of the last layer.

        Raises:
            ShapeError: ``x`` is of another shape, empty or not finite.
        """

    def stream(self) -> ProgramStream:
        """The program to be run step by step over one sample; see `ProgramStream`.

        Raises:
            ProgramError: the target cannot run a sequence in parts.
        """
        raise ProgramError(
            f"program.stream: the program must be of a spiking network, got one for "
            f"{self.target.name!r}, whose samples have no time axis. Use program.run."
        )

    def observe(self, network: Network, x: Tensor) -> Mapping[str, Observation]:
        """Run a batch with a network's weights of this moment; see `ForwardProgram`.

        The seed of the target's noise is drawn from torch's global generator.

        Raises:
            ProgramError: the network is not of the structure that was compiled, or what was
                compiled was no network.
        """
        raise self._untrainable("observe")

    def reload(self, network: Network) -> None:
        """Take over a network's weights, with the scales, places and routes of this program.

        Nothing happens where no number of the network has changed since the last time. Weights
        beyond the range of their format are brought to its end, in the network itself.

        Raises:
            ProgramError: the network is not of the structure that was compiled, or something
                changed that needs it to be compiled again. The program is as before.
        """
        raise self._untrainable("reload")

    def _untrainable(self, verb: str) -> ProgramError:
        return ProgramError(
            f"program.{verb}: the program must be of a spiking network, got one for "
            f"{self.target.name!r}, which was made of a module. Train the module, and compile it "
            "again."
        )

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
    def load(folder: str | Path, target: TargetFacts | None = None) -> Program:
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
