"""How many neurons of each layer are worked on at once, and how long the queues are."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.errors import ParameterError
from spikewright.targets.fpga.lif.network import FixedLayer, FixedNetwork

LEAST_QUEUE = 4


@dataclass(frozen=True)
class Lanes:
    """The choices about the core.

    Args:
        lanes: neurons at once, for all layers or one number for each.
        queue: events that wait before a layer; a power of two.
        stream_weights: whether weights come over streams, a row when a spike asks for it; else
            they lie on the chip.

    Raises:
        ParameterError: a number out of range.
    """

    lanes: int | tuple[int, ...] = 8
    queue: int = 16
    stream_weights: bool = False

    def __post_init__(self) -> None:
        given = (self.lanes,) if isinstance(self.lanes, int) else self.lanes
        if not given or min(given) < 1:
            raise ParameterError(
                f"fpga.Lanes: lanes must be at least 1, got {self.lanes}. One works on all in turn."
            )
        if not isinstance(self.stream_weights, bool):
            raise ParameterError(
                f"fpga.Lanes: stream_weights must be True or False, got {self.stream_weights!r}. "
                "Leave it out to keep them on the chip."
            )
        if self.queue < LEAST_QUEUE or self.queue & (self.queue - 1):
            raise ParameterError(
                f"fpga.Lanes: queue must be a power of two from {LEAST_QUEUE}, got {self.queue}. "
                "Use 16."
            )

    def of(self, network: FixedNetwork) -> tuple[int, ...]:
        """For each layer, at most as many as it has neurons.

        Raises:
            ParameterError: another number of layers.
        """
        count = len(network.layers)
        given = (self.lanes,) * count if isinstance(self.lanes, int) else self.lanes
        if len(given) != count:
            raise ParameterError(
                f"fpga.Lanes: lanes must be one number or {count}, one a layer, got {len(given)}. "
                "Pass one number for all."
            )
        return tuple(min(n, it.neurons) for n, it in zip(given, network.layers, strict=True))


def groups(layer: FixedLayer, lanes: int) -> int:
    """In how many turns a layer's neurons are dealt with."""
    return -(-layer.neurons // lanes)
