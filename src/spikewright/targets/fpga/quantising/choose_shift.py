"""How far sums are shifted to become activations."""

from __future__ import annotations

import math

from spikewright.targets.fpga.quantising.histogram import Histogram
from spikewright.targets.fpga.quantising.settings import Quantisation


def choose_shift(
    seen: Histogram, unit: float, bound: int, settings: Quantisation, clip: float = math.inf
) -> int:
    """The smallest k with (2^T - 1) unit 2^k of at least the wanted range.

    A layer that calibration saw silent gets a range that holds whatever its sums can reach. With
    ``ranges="error"``, the k of least squared error.

    Args:
        seen: the activations on the calibration data.
        unit: what 1 stands for in the sums; bound: of the sums.
        clip: where activations end in any case, (2^T - 1) unit 2^k with a whole k.

    >>> import torch
    >>> choose_shift(Histogram().add(torch.tensor([15.0])), 0.5, 100, Quantisation())
    1
    """
    whole = _covering(seen.most or bound * unit, unit, settings.most)
    if math.isfinite(clip):
        whole = min(whole, round(math.log2(clip / (settings.most * unit))))
    if seen.most == 0 or settings.ranges == "maximum":
        return whole
    if settings.ranges == "percentile":
        return min(whole, _covering(seen.percentile(settings.percentile), unit, settings.most))
    tried = range(whole - settings.bits, whole + 1)
    return min(tried, key=lambda k: seen.squared_error(unit * 2.0**k, settings.most))


def _covering(top: float, unit: float, most: int) -> int:
    return math.ceil(math.log2(top / (most * unit)) - 1e-9) if top > 0 else 0
