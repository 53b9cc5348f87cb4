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
ENDS = np.frombuffer(b"\n ", np.uint8)
NO_DIGIT = 16
VALUES = np.full(256, NO_DIGIT, np.uint8)
"""By character."""
VALUES[DIGITS] = np.arange(16)
VALUES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)


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
    digits = -(-bits * each // 4)
    content = np.frombuffer(text.rstrip().encode() + b"\n" * bool(text.strip()), np.uint8)
    if content.size % (digits + 1) or not np.isin(content[digits :: digits + 1], ENDS).all():
        raise _damaged(_odd_word(text, digits))
    lines = content.reshape(-1, digits + 1)
    parts = [
        _numbers(lines[first : first + PART], bits, each) for first in range(0, len(lines), PART)
    ]
    return np.concatenate([np.zeros((0, each), np.int64), *parts])


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


def _odd_word(text: str, digits: int) -> str:
    """What is wrong with an image whose lines are not all alike."""
    for word in text.split():
        if len(word) != digits:
            return f"{word[:20]!r}, a word that is too {'wide' if len(word) > digits else 'narrow'}"
    return "words further apart"


def _numbers(lines: NDArray[np.uint8], bits: int, each: int) -> Whole:
    """The numbers of words as lines with their ends, all of them at once."""
    values = VALUES[lines[:, -2::-1]]  # lowest first
    if (values == NO_DIGIT).any():
        row = lines[(values == NO_DIGIT).any(1)][0]
        raise _damaged(repr(row[:-1].tobytes().decode(errors="replace")))
    apart = np.unpackbits(values[:, :, None], axis=2, count=4, bitorder="little")
    apart = apart.reshape(len(values), -1)
    if apart[:, bits * each :].any():
        raise _damaged("a word that is too wide")
    apart = apart[:, : bits * each].reshape(len(values), each, bits)
    weights = 2 ** np.arange(bits)
    weights[-1] *= -1  # two's complement
    return apart @ weights


def _damaged(what: str) -> ProgramError:
    return ProgramError(
        f"fpga.memory: an image must hold one hexadecimal word a line, got {what}. "
        "Compile the network again."
    )
