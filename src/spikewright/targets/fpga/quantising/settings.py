"""How a network is brought to whole numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from spikewright.errors import ParameterError, nearest

Clip = Literal["error", "sigma", "maximum"]
Ranges = Literal["maximum", "percentile", "error"]
Scales = Literal["free", "powers"]
MOST_BITS = 8


MOST_MARGIN = 32
"""Most bits that a bias may have beside those of weights and activations."""


@dataclass(frozen=True)
class WeightQuantisation:
    """How the weights of a layer are rounded.

    Args:
        bits: 2 to 8, with the sign: whole numbers -2^(bits-1) .. 2^(bits-1) - 1.
        clip: where they end: ``"error"``, the scale of least squared error; ``"sigma"``, at
            |mean| + sigma std; ``"maximum"``, nothing is cut off.
        sigma: r of that clip.

    Raises:
        ParameterError: an option is outside its range.
    """

    bits: int = 3
    clip: Clip = "error"
    sigma: float = 3.0

    def __post_init__(self) -> None:
        _bits("weight bits", self.bits, 2)
        _word("clip", self.clip, get_args(Clip))
        if not 0 < self.sigma < 100:
            raise ParameterError(
                f"fpga.quantise: sigma must be above 0 and below 100, got {self.sigma!r}. Use 3.0."
            )

    @property
    def least(self) -> int:
        """The smallest whole number."""
        return -(2 ** (self.bits - 1))

    @property
    def most(self) -> int:
        """The largest whole number."""
        return 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class Quantisation:
    """Settings of `quantise`.

    Args:
        weights: of all layers; layers: of single ones, by name.
        bits: T, 1 to 8: activations are 0 .. 2^T - 1 and take T steps.
        ranges: what the largest activation stands for: the largest of the calibration data, its
            ``percentile`` among the positive ones, or what makes the squared error least.
        percentile: above 0, at most 100.
        scales: ``"free"``, any number that leaves requantisations shifts; ``"powers"``, each
            weight scale is a power of two.
        input_top: what the largest input stands for; ``None`` for that of the calibration data.
        margin_bits: biases must fit into weight bits + T + margin_bits, with the sign.
        accumulator_bits: sums must fit into as many, with the sign; ``None`` for any number.

    Raises:
        ParameterError: an option is outside its range.

    >>> Quantisation(WeightQuantisation(bits=6), bits=6, layers={"out": WeightQuantisation(8)}).bits
    6
    """

    weights: WeightQuantisation = field(default_factory=WeightQuantisation)
    layers: Mapping[str, WeightQuantisation] = field(default_factory=dict[str, WeightQuantisation])
    bits: int = 4
    ranges: Ranges = "maximum"
    percentile: float = 99.9
    scales: Scales = "free"
    input_top: float | None = None
    margin_bits: int = 4
    accumulator_bits: int | None = None

    def __post_init__(self) -> None:
        _bits("bits", self.bits, 1)
        _word("ranges", self.ranges, get_args(Ranges))
        _word("scales", self.scales, get_args(Scales))
        top = self.input_top
        checks = (
            ("percentile", self.percentile, "above 0 and at most 100", 0 < self.percentile <= 100),
            (
                "margin_bits",
                self.margin_bits,
                f"whole, 0 to {MOST_MARGIN}",
                self.margin_bits in range(MOST_MARGIN + 1),
            ),
            (
                "accumulator_bits",
                self.accumulator_bits,
                "whole, 2 to 53",
                self.accumulator_bits is None or self.accumulator_bits in range(2, 54),
            ),
            ("input_top", self.input_top, "above 0 and finite", top is None or 0 < top < math.inf),
        )
        for name, value, rule, right in checks:
            if not right:
                raise ParameterError(
                    f"fpga.quantise: {name} must be {rule}, got {value!r}. Leave it out for its "
                    "default."
                )

    @property
    def most(self) -> int:
        """The largest activation."""
        return 2**self.bits - 1

    def of(self, layer: str) -> WeightQuantisation:
        """The settings of a layer's weights."""
        return self.layers.get(layer, self.weights)


def _bits(name: str, bits: int, least: int) -> None:
    if type(bits) is not int or not least <= bits <= MOST_BITS:
        raise ParameterError(
            f"fpga.quantise: {name} must be a whole number from {least} to {MOST_BITS}, got "
            f"{bits!r}. Use 4 for small images."
        )


def _word(name: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ParameterError(
            f"fpga.quantise: {name} must be one of {', '.join(map(repr, known))}, got {given!r}. "
            f"{nearest(str(given), known)}"
        )
