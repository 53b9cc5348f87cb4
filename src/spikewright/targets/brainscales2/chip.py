"""What passes between a program and a chip: configuration, stimulus, observations.

All arrays are NumPy's; times are seconds of the chip's own, accelerated clock. A twin, a chip
behind a wire and a real chip are used through `Chip` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCKS, ROWS, COLUMNS = 2, 256, 256
CIRCUITS = BLOCKS * COLUMNS
MOST_WEIGHT = 63
MOST_CODE = 1022
"""Largest code of an analogue parameter (10 bits, the highest one reserved)."""
MOST_ADDRESS = 2**14 - 1
"""Largest address of an event."""


@dataclass(frozen=True, eq=False)
class Configuration:
    """Everything that is written to a chip before it runs.

    Circuit ``c`` is column ``c % 256`` of block ``c // 256``.

    Args:
        weights: uint8 (blocks, rows, columns), 0 to 63.
        row_sign: int8 (blocks, rows), 1 excitatory, -1 inhibitory, 0 off.
        row_address: int32 (blocks, rows), the events that a row listens to, by their address, 0
            to `MOST_ADDRESS`; -1 none.
        neuron_address: int32 (circuits,), the address under which a circuit's spikes are sent to
            the rows and to the host; -1: neither.
        codes: int16 (circuits,) each, 0 to 1022: the analogue parameters, by the names of
            `spikewright.targets.brainscales2.transfer.TRANSFER`; those of `BASIC` must be there.
        switches: bool (circuits,) each: terms of the membrane equation, by the names of
            `spikewright.targets.brainscales2.transfer.SWITCHES`, which says what holds where one
            is left out.
        sampled: bool (circuits,), whether the parallel converter's samples are read out.
        fast_circuit: the one circuit that the fast converter samples; -1 none.
    """

    weights: NDArray[np.uint8]
    row_sign: NDArray[np.int8]
    row_address: NDArray[np.int32]
    neuron_address: NDArray[np.int32]
    codes: Mapping[str, NDArray[np.int16]]
    switches: Mapping[str, NDArray[np.bool_]]
    sampled: NDArray[np.bool_]
    fast_circuit: int = -1


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Events sent to the chip, for several samples that run one after the other, each from rest.

    Args:
        time: float64 (events,), s from the start of the sample; address: int32 (events,);
        sample: int32 (events,), in ascending order.
        samples: how many samples.
        seconds: how long each one runs.
        seed: of the temporal noise of a twin; a chip does not look at it.
    """

    time: NDArray[np.float64]
    address: NDArray[np.int32]
    sample: NDArray[np.int32]
    samples: int
    seconds: float
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Observations:
    """What the chip shows.

    Args:
        spike_time: float64 (events,), s; spike_circuit: int32 (events,); spike_sample: int32
            (events,); of circuits with an address, as recorded by the host.
        membrane: uint8 (moments, samples, sampled circuits), of the parallel converter.
        membrane_time: float64 (moments,), s.
        fast: uint8 (moments, samples) of the fast converter, or empty; fast_time: float64.
        lost: events that the link dropped, on the way in and on the way out.
        seconds: chip time of the whole run.
    """

    spike_time: NDArray[np.float64]
    spike_circuit: NDArray[np.int32]
    spike_sample: NDArray[np.int32]
    membrane: NDArray[np.uint8]
    membrane_time: NDArray[np.float64]
    fast: NDArray[np.uint8]
    fast_time: NDArray[np.float64]
    lost: tuple[int, int]
    seconds: float


class Chip(Protocol):
    """A chip, its twin, or either behind a wire."""

    def identity(self) -> dict[str, Any]:
        """Plain facts: which chip, its clocks and periods, whether it is a twin."""
        ...

    def run(self, configuration: Configuration, stimulus: Stimulus) -> Observations:
        """Write what changed of the configuration, then run all samples.

        Raises:
            DeviceError: it does not answer, or refuses.
        """
        ...
