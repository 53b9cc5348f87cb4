"""Recordings in files, read block by block at the rate that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikewright import optional
from spikewright.audio.resampling import Resampler
from spikewright.audio.wholeness import fault_of
from spikewright.errors import DataError

BLOCK = 1 << 16
FULL = 1.0 - 2.0**-15
"""The largest sample of 16 bits: at or above it a sound was likely cut off."""
RATES = range(100, 500_001)
"""Sampling rates of a file, Hz; a header with another one is damaged."""


@dataclass
class Heard:
    """What was met while reading: all samples, and those at full scale, which were clipped."""

    samples: int = 0
    clipped: int = 0


class Recording:
    """An open sound file; made by `open_recording`, closed by ``close`` or ``with``.

    Attributes:
        name: names the file in errors.
        rate: of the samples handed out, Hz.
        file_rate: of the samples in the file, Hz.
        file_channels: in the file; they are mixed down to one, their mean.
        heard: of the file's samples, those read so far and those of them at full scale.
    """

    def __init__(self, file: Any, name: str, rate: int | None) -> None:
        self._file = file
        self.name = name
        self.file_rate: int = file.samplerate
        self.file_channels: int = file.channels
        self.rate = self.file_rate if rate is None else rate
        self.heard = Heard()

    @property
    def seconds(self) -> float:
        """Length that the file claims, s."""
        return self._file.frames / self.file_rate

    def blocks(self, samples: int = BLOCK) -> Iterator[NDArray[np.float32]]:
        """The recording from where it stands to its end, in blocks of ``samples``, the last less.

        Raises:
            DataError: the file is damaged, or holds NaN or an infinity.
        """
        waiting: list[NDArray[np.float32]] = []
        count = 0
        for part in self._resampled():
            waiting.append(part)
            count += len(part)
            if count >= samples:
                whole = np.concatenate(waiting)
                full = count - count % samples
                yield from np.split(whole[:full], full // samples)
                waiting, count = [whole[full:]], count - full
        if count:
            yield np.concatenate(waiting)

    def read(self) -> NDArray[np.float32]:
        """The rest of the recording at once, for short ones."""
        return np.concatenate([np.empty(0, np.float32), *self.blocks()])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        resampler = Resampler(self.file_rate, self.rate)
        state, taken, given = resampler.initial(), 0, 0
        for part in self._mixed():
            out, state = resampler(part, state)
            taken, given = taken + len(part), given + len(out)
            yield out.astype(np.float32)
        yield resampler.finish(state, taken, given).astype(np.float32)

    def _mixed(self) -> Iterator[NDArray[np.float64]]:
        while True:
            try:
                part: NDArray[np.float64] = self._file.read(BLOCK, "float64", always_2d=True)
            except RuntimeError as cause:
                raise _damaged(self.name, str(cause)) from cause
            if not len(part):
                break
            if not np.isfinite(part).all():
                count = int((~np.isfinite(part)).any(axis=1).sum())
                fault = f"{count:,} samples with NaN or infinity from {self.heard.samples:,} on"
                raise _damaged(self.name, fault)
            self.heard.samples += len(part)
            self.heard.clipped += int((np.abs(part) >= FULL).any(axis=1).sum())
            yield part.mean(axis=1)
        self._check_whole()

    def _check_whole(self) -> None:
        # Its own position would count what a damaged part makes it skip.
        if self.heard.samples < self._file.frames:
            fault = f"{self.heard.samples:,} of {self._file.frames:,} samples"
            raise _damaged(self.name, f"{fault}; the rest cannot be read")


def open_recording(source: str | Path | BinaryIO, rate: int | None = None) -> Recording:
    """Open a wav, Ogg, FLAC or other file that libsndfile reads.

    Channels are mixed down to their mean and the rate is changed while blocks are read: however
    long the recording, only a block of it is in memory.

    Args:
        source: a path, or an open binary file that can seek.
        rate: wanted sampling rate, Hz; ``None`` keeps the file's.

    Raises:
        DataError: no such file, no sound in a known format, or a file that was cut short.
        MissingDependency: soundfile is not installed.

    >>> import io, wave
    >>> stream = io.BytesIO()
    >>> with wave.open(stream, "wb") as file:
    ...     file.setparams((2, 2, 8000, 0, "NONE", ""))
    ...     file.writeframes(bytes(4 * 8000))
    >>> with open_recording(io.BytesIO(stream.getvalue()), rate=16000) as recording:
    ...     [len(block) for block in recording.blocks(6000)]
    [6000, 6000, 4000]
    """
    name = str(source) if isinstance(source, str | Path) else getattr(source, "name", "the stream")
    soundfile = optional.require("soundfile", extra="audio")
    if isinstance(source, str | Path) and not Path(source).is_file():
        got = "something else" if Path(source).exists() else "nothing"
        raise DataError(
            f"audio.recording: file {name} must exist, got {got} there. Check the path."
        )
    try:
        file = soundfile.SoundFile(source)
    except (RuntimeError, TypeError) as cause:  # TypeError: a name that ends in .raw
        raise _damaged(name, f"{cause}".rpartition(": ")[2]) from cause
    fault = fault_of(source, file)
    if file.samplerate not in RATES:
        fault = f"a sampling rate of {file.samplerate:,} Hz"
    if fault is not None:
        file.close()
        raise _damaged(name, fault)
    return Recording(file, name, rate)


def load(source: str | Path | BinaryIO, rate: int | None = None) -> NDArray[np.float32]:
    """The samples of a short recording, (samples,), see `open_recording`."""
    with open_recording(source, rate) as recording:
        return recording.read()


def _damaged(name: str, fault: str) -> DataError:
    return DataError(
        f"audio.recording: file {name} must be a whole sound file, got {fault.rstrip('.')}. "
        "Get it anew, convert it to wav, or leave it out."
    )
