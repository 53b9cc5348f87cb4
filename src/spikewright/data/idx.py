"""The idx format of MNIST: big-endian sizes, then bytes, packed with gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikewright.data.store import damaged
from spikewright.errors import DataError

UNSIGNED_BYTE = 8


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read a gzipped idx file of unsigned bytes.

    The file is two zero bytes, a type byte, the number of axes, one big-endian int32 size for
    each axis, then the values in row-major order.

    Returns:
        the array, writable.

    Raises:
        DataError: the file is truncated, not gzip, not idx of bytes, or of another length than
            its sizes say; the message names file and fault.
    """
    raw = _unpack(Path(path))
    shape = _shape(Path(path), raw)
    start = 4 + 4 * len(shape)
    expected = start + math.prod(shape)
    if len(raw) != expected:
        raise damaged(path, f"{len(raw)} bytes unpacked where its sizes {shape} need {expected}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _unpack(path: Path) -> bytearray:
    try:
        with gzip.open(path) as stream:
            return bytearray(stream.read())
    except FileNotFoundError as cause:
        raise DataError(
            f"data: file {path} must exist, got nothing there. Check the path."
        ) from cause
    except EOFError as cause:
        raise damaged(path, "a gzip file that ends too early") from cause
    except (OSError, zlib.error) as cause:
        raise damaged(path, f"what gzip cannot read ({cause})") from cause


def _shape(path: Path, raw: bytearray) -> tuple[int, ...]:
    if len(raw) < 4 or raw[0] or raw[1] or raw[2] != UNSIGNED_BYTE:
        raise damaged(path, f"an idx head of {bytes(raw[:4]).hex() or 'no bytes'}, not 000008..")
    sizes = raw[4 : 4 + 4 * raw[3]]
    if len(sizes) < 4 * raw[3]:
        raise damaged(path, f"an idx head cut short, of {len(raw)} bytes")
    return tuple(np.frombuffer(sizes, ">i4").tolist())
