"""Made-up sounds."""

from __future__ import annotations

import io
import wave

import numpy as np


def wav(samples: np.ndarray, rate: int = 8000, channels: int = 1) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()


def tone(hertz: float, samples: int = 1600, height: float = 8000.0) -> np.ndarray:
    return np.rint(height * np.sin(2 * np.pi * hertz / 8000.0 * np.arange(samples)))
