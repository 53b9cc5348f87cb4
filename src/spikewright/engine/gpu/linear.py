"""Whether a product with spikes on a GPU runs dense or event by event.

As on the CPU the choice is a function of shape, dtype and the number of events, never of a timing.
The number lies on the device, and to wait for it costs more than many a product: a product that
could not gain even from silence is dense without a look.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.engine.gpu.backend import obstacle as obstacle_of_device
from spikewright.engine.gpu.products import Events, survey
from spikewright.engine.products.costs import Path, Product


@dataclass(frozen=True)
class DeviceCosts:
    """Nanoseconds on a GPU, for numbers of four bytes unless said otherwise.

    Reckoned from the data sheet of an H100 (67 TFLOP/s in float32 and float64, 990 in half
    precision, 3.35 TB/s of memory) and 5.5 TB/s of second-level cache, not measured.

    Args:
        dense: for one multiply-add of a dense product.
        dense_half: the same in half precision.
        start: for a product by events more than for a dense one: launches and a wait.
        read: to look for events at one place and list them.
        add: for one output of one event.
    """

    dense: float = 3e-5
    dense_half: float = 2e-6
    start: float = 6e4
    read: float = 5e-3
    add: float = 7e-4

    def dense_product(self, size: Product, dtype: torch.dtype) -> float:
        """Of the dense product."""
        each = self.dense_half if dtype.itemsize < 4 else self.dense
        return each * size.rows * size.inputs * size.outputs

    def events(self, size: Product, dtype: torch.dtype, number: int) -> float:
        """Of the product of ``number`` events."""
        bytes_moved = dtype.itemsize / 4
        listed = self.read * size.rows * size.inputs
        return self.start + bytes_moved * (listed + self.add * number * size.outputs)


COSTS = DeviceCosts()


def choose(x: Tensor, weight: Tensor, path: Path) -> tuple[Events | None, str]:
    """The events of ``x``, (time, batch, inputs), if the product is to visit them, and why."""
    if path == "dense":
        return None, "asked for"
    hindrance = _obstacle(x, weight)
    if hindrance:
        return None, hindrance
    size = Product(x.shape[0] * x.shape[1], x.shape[2], weight.shape[0])
    dense = COSTS.dense_product(size, x.dtype)
    if path == "auto" and COSTS.events(size, x.dtype, 0) >= dense:
        return None, "too small to look for events"
    found = survey(x.flatten(0, 1), weight)
    if not found.counts:
        return None, "the input is no sequence of spikes"
    if not found.finite:  # these must spoil the result also where no event meets them
        return None, "weights are not finite"
    if path == "events":
        return found.events(), "asked for"
    share = f"{found.number / max(1, x.numel()):.2%} of the inputs are events"
    cheaper = COSTS.events(size, x.dtype, found.number) < dense
    return found.events() if cheaper else None, share


def _obstacle(x: Tensor, weight: Tensor) -> str | None:
    """Why a product cannot run event by event, or ``None``."""
    if weight.dtype != x.dtype or weight.device != x.device:
        return f"{x.dtype} on {x.device}"
    if torch.is_autocast_enabled(x.device.type):
        return "autocast"
    return obstacle_of_device(x.device, x.dtype)
