"""Made-up sounds."""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path

import numpy as np

from spikewright.data.free_spoken_digits import SPEAKERS


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


def write_digits(folder: Path, samples: int = 1600) -> Path:
    """The official archive's layout, each digit a tone of its own."""
    (folder / "fsdd").mkdir()
    clips = [wav(tone(300.0 * (digit + 1), samples)) for digit in range(10)]
    with zipfile.ZipFile(folder / "fsdd" / "v1.0.10.zip", "w") as archive:
        archive.writestr("free-spoken-digit-dataset-1.0.10/README.md", "")
        for speaker in SPEAKERS:
            for take in range(50):
                for digit in range(10):
                    name = f"recordings/{digit}_{speaker}_{take}.wav"
                    archive.writestr(f"free-spoken-digit-dataset-1.0.10/{name}", clips[digit])
    return folder


def write_folder(folder: Path, classes: dict[str, float], clips: int = 5) -> Path:
    """A folder of class folders, clips of 0.4 s, each a bit higher and louder than the last."""
    for name, hertz in classes.items():
        (folder / name).mkdir(parents=True)
        for clip in range(clips):
            sound = tone(hertz * (1 + 0.05 * clip), 3200, 4000.0 + 500 * clip)
            (folder / name / f"{clip}.wav").write_bytes(wav(sound))
    return folder
