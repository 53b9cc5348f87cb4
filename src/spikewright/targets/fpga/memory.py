"""Memory images as ``$readmemh`` reads them: one word a line, two's complement, hexadecimal.

A word holds several numbers of the same width side by side, the first in the lowest bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import CompileError, ProgramError

Whole = NDArray[np.int64]


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
    each = numbers.shape[1]
    digits = -(-bits * each // 4)
    lines = [_word(row, bits, digits) for row in (numbers % 2**bits).tolist()]
    lines += ["0" * digits] * (depth - len(lines))
    return "\n".join(lines) + "\n"


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


def _word(row: list[int], bits: int, digits: int) -> str:
    word = 0
    for number in reversed(row):
        word = word << bits | number
    return f"{word:0{digits}x}"


def _damaged(what: str) -> ProgramError:
    return ProgramError(
        f"fpga.memory: an image must hold one hexadecimal word a line, got {what}. "
        "Compile the network again."
    )
