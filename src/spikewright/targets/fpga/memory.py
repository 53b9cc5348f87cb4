"""Memory images as ``$readmemh`` reads them: one word a line, two's complement, hexadecimal.

A word holds several numbers of the same width side by side, the first in the lowest bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import CompileError, ProgramError

Whole = NDArray[np.int64]
PART = 2**14
"""Words that are written at once."""
DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def image(numbers: Whole, bits: int, depth: int) -> str:
    """The image of numbers (words, numbers of a word), filled up with words of 0.

    Raises:
        CompileError: a number that does not fit into so many bits.

    >>> print(image(np.array([[1, -1], [2, 3]]), 3, 3), end="")
    39
    1a
    00
    """
    most = 2 ** (bits - 1)
    if numbers.size and (numbers.min() < -most or numbers.max() >= most):
        raise CompileError(
            f"fpga.memory: numbers must fit into {bits} bits, got {numbers.min()} to "
            f"{numbers.max()}. Quantise to fewer bits, or make the memory wider."
        )
    digits = -(-bits * numbers.shape[1] // 4)
    parts = [
        _lines(numbers[first : first + PART], bits, digits)
        for first in range(0, len(numbers), PART)
    ]
    return "".join(parts) + ("0" * digits + "\n") * (depth - len(numbers))


def read_image(text: str, bits: int, each: int) -> Whole:
    """The numbers of an image, (words, ``each``), sign extended.

    Raises:
        ProgramError: a line that is no word of this width.

    >>> read_image("39 1a", 3, 2).tolist()
    [[1, -1], [2, 3]]
    """
    try:
        words = [int(line, 16) for line in text.split()]
    except ValueError as cause:
        raise _damaged(str(cause)) from cause
    if any(word >> (bits * each) for word in words):
        raise _damaged("a word that is too wide")
    found = [[word >> (bits * k) & (2**bits - 1) for k in range(each)] for word in words]
    numbers = np.array(found, np.int64).reshape(len(words), each)
    return np.where(numbers >= 2 ** (bits - 1), numbers - 2**bits, numbers)


def _lines(numbers: Whole, bits: int, digits: int) -> str:
    """Words as lines of so many digits, all of them at once."""
    apart = (numbers[:, :, None] >> np.arange(bits) & 1).astype(np.uint8)
    apart = np.pad(
        apart.reshape(len(numbers), -1), ((0, 0), (0, 4 * digits - bits * numbers.shape[1]))
    )
    values = apart.reshape(len(numbers), digits, 4) @ np.array([1, 2, 4, 8], np.uint8)
    lines = np.full((len(numbers), digits + 1), ord("\n"), np.uint8)
    lines[:, :digits] = DIGITS[values[:, ::-1]]
    return lines.tobytes().decode("ascii")


def _damaged(what: str) -> ProgramError:
    return ProgramError(
        f"fpga.memory: an image must hold one hexadecimal word a line, got {what}. "
        "Compile the network again."
    )
