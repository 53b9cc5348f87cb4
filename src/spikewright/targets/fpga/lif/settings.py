"""Number formats of the event-driven core: the choices that a user has."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.errors import ParameterError

RANGES = {"weight": (2, 16), "membrane": (4, 32), "coefficient": (1, 20)}


@dataclass(frozen=True)
class FixedPoint:
    """How many bits each kind of number has.

    Args:
        weight: bits of a weight, the sign included; its scale is a power of two, one for a layer.
        membrane: bits of each state field, the sign included.
        coefficient: bits of a decay or gain c, held as C / 2^k with a whole C.
        digits: nonzero signed binary digits of C. ``None`` allows all and multiplies; 2 makes
            c v out of two shifts of v, such as v - v / 16 for a decay near 0.94.
        spikes: the most spikes that one line of the input brings in a step.

    Raises:
        ParameterError: a number out of range.
    """

    weight: int = 8
    membrane: int = 16
    coefficient: int = 12
    digits: int | None = None
    spikes: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            _check(name, getattr(self, name), least, most)
        _check("spikes", self.spikes, 1, 255)
        if self.digits is not None:
            _check("digits", self.digits, 1, self.coefficient)


def _check(name: str, value: int, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ParameterError(
            f"fpga.FixedPoint: {name} must be a whole number from {least} to {most}, got "
            f"{value!r}. Leave it out for the default."
        )
