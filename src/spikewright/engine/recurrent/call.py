"""One call of a recurrent layer's kernels: its sizes, and what the forward pass leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from spikewright.engine.cpu.backend import Sizes
from spikewright.engine.products.events import Events, Marks
from spikewright.engine.wiring import Wiring

Array = np.ndarray[Any, Any]
SEGMENT = 8
"""Steps from one kept state to the next."""
TOGETHER = 8
"""The most samples that a kernel takes at a time."""
WORK = 4
"""Work of one neuron's step in units of a layer's without recurrence."""


@dataclass(eq=False)
class Call:
    """Sizes of one call and what one pass hands to the other.

    Args:
        kind: how spikes travel, see `Wiring`.
        delays: (neurons, inputs or 1) int32.
        broken: for each sample, whether its gradient of the drive is not finite somewhere.
        marks: a bit for each spike.
        active: a bit for each place where a gradient of the spikes is of use, if that is known.
        events: the spikes as lists, if the backward pass needs them and they are counts.
    """

    sizes: Sizes
    kind: str
    delays: Array
    broken: Array
    marks: Marks
    active: Marks | None
    events: Events | None = None

    @property
    def neurons(self) -> int:
        return self.sizes.features[0]

    @property
    def depth(self) -> int:
        """Steps that a spike may be on its way, the last one included."""
        return 1 + int(self.delays.max())

    @property
    def group(self) -> int:
        """Samples that a kernel takes together; no function of the threads."""
        return min(TOGETHER, -(-self.sizes.batch // 4))

    @property
    def groups(self) -> int:
        return -(-self.sizes.batch // self.group)

    @property
    def segments(self) -> int:
        """States that are kept."""
        return -(-self.sizes.steps // SEGMENT)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The sizes that each kernel is told."""
        return self.sizes.steps, self.sizes.batch, self.group, SEGMENT

    @property
    def work(self) -> int:
        """What `run_ranges` compares with the cost of waking a thread."""
        return WORK * self.sizes.steps * self.sizes.lanes


def make_call(sizes: Sizes, wiring: Wiring, local: bool) -> Call:
    """A call with room for its marks; ``local`` as in `RecurrentPlan`."""
    rows, neurons = sizes.steps * sizes.batch, sizes.features[0]
    marks = [Marks(rows, 1, neurons, sizes.batch) for _ in range(1 + local)]
    broken = np.empty(sizes.batch, np.uint8)
    delays = _delay_rows(wiring.delays, neurons)
    return Call(sizes, wiring.kind, delays, broken, marks[0], marks[1] if local else None)


def _delay_rows(delays: Tensor | None, neurons: int) -> Array:
    if delays is None:
        return np.zeros((neurons, 1), np.int32)
    values = delays.numpy().astype(np.int32)
    return values[:, None] if values.ndim == 1 else np.ascontiguousarray(values.T)


def cube(tensor: Tensor) -> Array:
    """(time, batch, ...) with the last axes side by side."""
    return tensor.detach().flatten(2).numpy()


def unbounded(weight: Tensor) -> bool:
    """Whether a weight is NaN or infinite: then it spoils products with zero as well."""
    return not bool(np.isfinite(weight.detach().numpy().sum()))
