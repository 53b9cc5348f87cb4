"""Numbers as few signed powers of two, and coefficients as a whole number over a power of two."""

from __future__ import annotations

import math

from spikewright.errors import CompileError


def signed_digits(number: int) -> list[tuple[int, int]]:
    """The canonical signed digits of a whole number, (+1 or -1, power of two), largest first.

    >>> signed_digits(15), signed_digits(-10)
    ([(1, 4), (-1, 0)], [(-1, 3), (-1, 1)])
    """
    digits: list[tuple[int, int]] = []
    power = 0
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            digits.append((digit, power))
            number -= digit
        number >>= 1
        power += 1
    return digits[::-1]


def nearest_of_digits(value: float, digits: int, finest: int) -> float:
    """A number of few signed digits near ``value``, none of them below 2^-finest.

    >>> nearest_of_digits(0.9512, 2, 12)  # 1 - 1 / 16
    0.9375
    """
    found = 0.0
    for _ in range(digits):
        rest = value - found
        if abs(rest) < 2.0 ** (-finest - 1):
            break
        below = 2.0 ** math.floor(math.log2(abs(rest)))
        power = below if abs(rest) - below <= 2 * below - abs(rest) else 2 * below
        found += math.copysign(max(power, 2.0**-finest), rest)
    return found


def fixed_coefficient(value: float, bits: int, digits: int | None, where: str) -> tuple[int, int]:
    """C and k of the coefficient C / 2^k nearest to ``value``; C is odd, or 0.

    Args:
        bits: of C.
        digits: the most signed digits of C; ``None`` allows any number.
        where: names the coefficient in an error.

    Raises:
        CompileError: what is not 0 or 1 would become so, and a leak would vanish.

    >>> fixed_coefficient(0.9512, 12, None, "decay"), fixed_coefficient(0.9512, 12, 2, "decay")
    ((487, 9), (15, 4))
    """
    if value == 0:
        return 0, 0
    finest = bits - 1 - math.floor(math.log2(abs(value)))
    near = value if digits is None else nearest_of_digits(value, digits, finest)
    whole = math.floor(math.ldexp(near, finest) + 0.5)
    while whole and whole % 2 == 0:
        whole, finest = whole // 2, finest - 1
    if whole == 0 or (abs(value) != 1 and abs(whole) == 1 and finest == 0):
        raise CompileError(
            f"fpga.lif: {where} must differ from {'0' if whole == 0 else '1'} in {bits} bits, got "
            f"{value!r}. Allow more bits or digits for coefficients, or shorter time constants."
        )
    return whole, finest
