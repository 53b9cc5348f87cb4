"""Where sound comes from: a file, or raw samples that arrive while they are heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikewright.audio.recording import Recording, open_recording
from spikewright.audio.resampling import Resampler

WIDTH = 2
"""Bytes of a raw sample."""
SCALE = 2.0**15


class RawStream:
    """Raw samples, 16 bits signed, least byte first, one channel; in blocks as they arrive.

    Args:
        stream: binary; its end may come at any byte.
        rate: of the samples, Hz.
        wanted: rate to hand out, Hz.

    Attributes:
        left: bytes of an unfinished sample at the end.

    >>> import io
    >>> raw = RawStream(io.BytesIO(b"\\x00\\x40\\x00\\xc0\\x01"), rate=8000, wanted=8000)
    >>> [block.tolist() for block in raw.blocks(800)], raw.left
    ([[0.5, -0.5]], 1)
    """

    def __init__(self, stream: BinaryIO, rate: int, wanted: int) -> None:
        self._stream, self._resampler = stream, Resampler(rate, wanted)
        self.left = 0

    def blocks(self, samples: int) -> Iterator[NDArray[np.float32]]:
        """What has arrived, about so many samples at the rate wanted or fewer at once."""
        most = max(1, samples * self._resampler.before // self._resampler.after)
        state, taken, given = self._resampler.initial(), 0, 0
        for block in self._arriving(most):
            out, state = self._resampler(block, state)
            taken, given = taken + len(block), given + len(out)
            yield out.astype(np.float32)
        rest = self._resampler.finish(state, taken, given)
        if len(rest):
            yield rest.astype(np.float32)

    def _arriving(self, samples: int) -> Iterator[NDArray[np.float64]]:
        read = getattr(self._stream, "read1", self._stream.read)
        waiting = b""
        while chunk := read(samples * WIDTH - len(waiting)):
            waiting += chunk
            whole = len(waiting) - len(waiting) % WIDTH
            if whole:
                yield np.frombuffer(waiting[:whole], "<i2") / SCALE
            waiting = waiting[whole:]
        self.left = len(waiting)


def open_sound(
    source: str | Path, stream: BinaryIO, rate: int, wanted: int
) -> Recording | RawStream:
    """A sound file, or for ``"-"`` the raw samples of ``stream``.

    Args:
        source: path of a file, or ``"-"``.
        stream: raw samples, for ``"-"``.
        rate: of raw samples, Hz; a file has its own.
        wanted: rate to hand out, Hz.

    Raises:
        DataError: the file is missing or damaged.
    """
    if str(source) == "-":
        return RawStream(stream, rate, wanted)
    return open_recording(source, wanted)
