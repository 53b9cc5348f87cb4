"""Samples of an uncompressed wav file."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

from spikewright.data.store import damaged


def decode_wav(raw: bytes, rate: int, where: str) -> NDArray[np.float32]:
    """Samples in [-1, 1) of a mono wav file of 16 bits, (samples,) float32.

    Args:
        raw: the file.
        rate: sampling rate that is expected, Hz.
        where: names the file in errors.

    Raises:
        DataError: no wav, cut short, or of another rate, width or number of channels.
    """
    try:
        with wave.open(io.BytesIO(raw)) as file:
            kind = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            frames = file.getnframes()
            samples = file.readframes(frames)
    except (wave.Error, EOFError) as cause:
        raise damaged(where, f"what is no wav file ({cause})") from cause
    if kind != (rate, 1, 2):
        raise damaged(where, f"{kind[0]} Hz, {kind[1]} channels, {8 * kind[2]} bits")
    if len(samples) != 2 * frames:
        raise damaged(where, f"{len(samples) // 2} of {frames} samples")
    return np.frombuffer(samples, "<i2").astype(np.float32) / 32768.0
