"""What every loss on events is, and what it sees of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import RuleError
from spikewright.events.solver import Fired, Samples, TimeWeight
from spikewright.learning.checks import Checked

Reads = Literal["membrane", "spikes"]


class Trace(Protocol):
    """A membrane that was not sampled yet, of the neurons of a readout."""

    def integrate(self, weight: TimeWeight) -> Tensor: ...

    def sample(self) -> Samples: ...

    def peak(self) -> Tensor: ...


class Readout(NamedTuple):
    """What a loss sees of a run.

    Args:
        output: the membrane of a readout, or what spiking outputs did.
        input: the spikes that went into the network, with the trial's duration.
        slope: of spiking outputs, () or (neurons,): threshold / tau_mem, membrane units a second.
    """

    output: Trace | Fired
    input: SpikeTimes
    slope: Tensor | None = None

    @property
    def membrane(self) -> Trace:
        """The output as a membrane."""
        if isinstance(self.output, Fired):
            raise _wrong("a membrane", "spikes", "CubaLI")
        return self.output

    @property
    def fired(self) -> Fired:
        """The output as spikes."""
        if not isinstance(self.output, Fired):
            raise _wrong("spikes", "a membrane", "CubaLIF")
        return self.output

    @property
    def duration(self) -> float:
        """Length of the trial, s."""
        return self.input.duration


def _wrong(wanted: str, got: str, layer: str) -> RuleError:
    return RuleError(
        f"event_losses: output must be {wanted} for this loss, got {got}. "
        f"End the network with {layer}, or choose another loss."
    )


class Scored(NamedTuple):
    """The scalar loss, a mean over the batch, and the scores (batch, classes), highest best."""

    loss: Tensor
    scores: Tensor


@dataclass(frozen=True)
class EventLoss(Checked):
    """A loss of what a network without a time grid does: ``loss(readout, targets) -> Scored``.

    Attributes:
        reads: ``"membrane"`` where the output must be a readout's, ``"spikes"`` where it must be
            of spiking neurons.
    """

    module: ClassVar[str] = "event_losses"
    name: ClassVar[str] = ""
    reads: ClassVar[Reads] = "membrane"

    def __call__(self, readout: Readout, targets: Tensor) -> Scored:
        """The loss of a batch.

        Args:
            readout: what the network did.
            targets: (batch,) int64 classes.

        Raises:
            ShapeError: targets that are no classes of the output.
            RuleError: an output of the other kind than ``reads``.
        """
        raise NotImplementedError
