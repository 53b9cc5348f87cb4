"""Scenes: a sound in front of another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spikewright.audio.augment import Wave, scale_for
from spikewright.errors import ParameterError


@dataclass(frozen=True, eq=False)
class Foreground:
    """Puts one of several sounds somewhere in front of a background, at a ratio drawn evenly.

    The ratio is that of the background's mean square over the whole scene to the foreground's
    over those of its samples that sound. A foreground longer than the scene is cut at a random
    place, a shorter one lies at a random place. What the sum leaves of -1 .. 1 is clipped.

    Args:
        sounds: to choose from, each (samples,).
        low, high: background over foreground, dB.

    Raises:
        ParameterError: no sounds, or a range that is none.

    >>> beep = np.sin(np.arange(100, dtype=np.float32))
    >>> scene = Foreground([beep], 0.0, 0.0)(np.full(400, 0.1, np.float32), torch.Generator())
    >>> int((scene != np.float32(0.1)).sum())
    99
    """

    sounds: Sequence[Wave]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.sounds or not -np.inf < self.low <= self.high < np.inf:
            raise ParameterError(
                f"mixing.Foreground: there must be sounds and a range of ratios in dB, got "
                f"{len(self.sounds)} sounds, {self.low!r} to {self.high!r}. "
                "Pass for example low=0.0, high=20.0."
            )

    def __repr__(self) -> str:
        """With a checksum of the sounds: sets of clips are known by it in the cache."""
        digest = hashlib.sha256()
        for sound in self.sounds:
            digest.update(len(sound).to_bytes(8, "little") + np.ascontiguousarray(sound).tobytes())
        return f"Foreground({digest.hexdigest()}, low={self.low!r}, high={self.high!r})"

    def __call__(self, wave: Wave, generator: torch.Generator) -> Wave:
        """The scene, of the background's length."""
        chosen = int(torch.randint(len(self.sounds), (), generator=generator))
        place, ratio = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        sound = trimmed(self.sounds[chosen])
        spare = len(wave) - len(sound)
        start = int(place * (abs(spare) + 1))
        scene = wave.copy()
        if spare < 0:
            part, sound = scene, sound[start : start + len(wave)]
        else:
            part = scene[start : start + len(sound)]
        decibels = self.low + (self.high - self.low) * ratio
        part += np.float32(scale_for(wave, sound[sound != 0], decibels)) * sound
        return np.clip(scene, -1.0, 1.0, out=scene)


def trimmed(sound: Wave) -> Wave:
    """A sound without the silence before and after it."""
    heard = np.flatnonzero(sound)
    return sound[heard[0] : heard[-1] + 1] if len(heard) else sound[:0]
