"""Free Spoken Digits as the spikes of a model ear."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikewright.data.cochlea import Cochlea, model_version
from spikewright.data.derived import derived
from spikewright.data.events import Events
from spikewright.data.free_spoken_digits import (
    RATE,
    SPEAKERS,
    TAKES,
    TEST_TAKES,
    FreeSpokenDigits,
    clip_names,
    read_clips,
)
from spikewright.data.spike_lists import SpikeLists, SpikeListSplit
from spikewright.data.split import checked_count
from spikewright.data.store import locate, sha256_of
from spikewright.data.wav import decode_wav
from spikewright.errors import ParameterError
from spikewright.units import check_dt

EAR = Cochlea()


class SpokenDigitSpikes:
    """The 3000 clips of Free Spoken Digits, heard by :class:`spikewright.data.cochlea.Cochlea`.

    A stand-in for the Spiking Heidelberg Digits where these are not at hand: as many channels,
    about as many spikes, ten classes, six speakers, 8 kHz. A batch is (time, batch, channels),
    spikes at their nearest step, or `SpikeTimes`. Spikes after the end are left out, and
    ``split.left_out`` counts them. Takes 0 to 4 are the test set, as the publisher says.

    All clips are heard when first used, in half a minute on two cores, and kept in the cache
    (about 170 MB for 700 channels), for each model apart.

    Args:
        dt: time step, s.
        steps: time steps; 1000 of 1 ms hold 99 % of the clips.
        exact: hand out spikes at their times, not on the grid.
        ear: the model; ``Cochlea(channels=70)`` makes fewer channels of the same frequencies.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.
        validation: what is held out of training: that many takes of each digit and speaker, the
            last, or all training takes of the speaker of that name. The test set has all speakers.
        limit: at most that many clips of each split, taken evenly over digits and speakers.
        seed: of the chance in the ear.

    Raises:
        ParameterError: an ear of another sampling rate, an unknown speaker, too many takes held
            out, or a number out of range.
        DataError: when first used: the file is missing, damaged or cannot be fetched.

    Source: Jackson and others, doi:10.5281/zenodo.1342401; see the model for its own.

    >>> data = SpokenDigitSpikes(ear=Cochlea(channels=70), validation="theo")
    >>> data.train.shape, data.train.steps, data.dt
    ((70,), 1000, 0.001)
    """

    classes = FreeSpokenDigits.classes
    source = replace(
        FreeSpokenDigits.source,
        name="spoken-digit-spikes",
        title="Free Spoken Digit Dataset, as spikes of a model ear",
    )

    def __init__(  # noqa: PLR0913 - grid, model and split, all with defaults
        self,
        dt: float = 1e-3,
        steps: int = 1000,
        *,
        exact: bool = False,
        ear: Cochlea = EAR,
        folder: str | Path | None = None,
        validation: int | str = 5,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        where = "SpokenDigitSpikes"
        self.name = self.source.name
        self.dt = check_dt(where, dt)
        self.steps = checked_count(where, "steps", steps) or steps
        self.ear = ear
        self._folder = folder
        self._held_out = _checked_validation(where, validation)
        self._limit = checked_count(where, "limit", limit)
        self._seed = checked_count(where, "seed", seed, least=0) or 0
        if ear.rate != RATE:
            raise ParameterError(
                f"{where}: ear must hear at the clips' {RATE} Hz, got {ear.rate:g} Hz. "
                f"Pass Cochlea(rate={RATE})."
            )
        self.train, self.validation, self.test = (
            SpikeListSplit(partial(self._part, part), (steps, dt), (ear.channels,), exact)
            for part in ("train", "validation", "test")
        )

    def _part(self, part: str) -> SpikeLists:
        chosen = chosen_clips(part, self._held_out).nonzero()[:, 0]
        return self._spikes.take(chosen[: self._limit])

    @cached_property
    def _spikes(self) -> SpikeLists:
        """All clips, in the order of ``clip_names``."""
        path = locate(self.source, self.source.files[0], self._folder)
        key = {
            "clips": sha256_of(path),
            "model": model_version(),
            "ear": asdict(self.ear),
            "seed": self._seed,
        }
        return SpikeLists(**derived(self.name, key, partial(self._hear_all, path)))

    def _hear_all(self, path: Path) -> dict[str, Tensor]:
        clips, names = read_clips(path), clip_names(range(TAKES))

        def hear(name: str) -> Events:
            wave = decode_wav(clips[name], RATE, f"{path}: {name}")
            return self.ear.spikes(wave, name, seed=self._seed)

        # The model's loop runs without Python's lock, and each clip has its own stream of chance.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            recordings = threads.map(hear, names)
            targets = torch.tensor([int(name[0]) for name in names])
            return vars(SpikeLists.gather(recordings, targets))


def chosen_clips(part: str, held_out: int | str) -> Tensor:
    """Which of all clips, in the order of ``clip_names``, belong to a split, (3000,) bool.

    >>> [int(chosen_clips(part, "theo").sum()) for part in ("train", "validation", "test")]
    [2250, 450, 300]
    """
    number = np.arange(TAKES * len(SPEAKERS) * 10)
    take, speaker = number // (10 * len(SPEAKERS)), number // 10 % len(SPEAKERS)
    if isinstance(held_out, str):
        held = speaker == SPEAKERS.index(held_out)
    else:
        held = take >= TAKES - held_out
    test = take < TEST_TAKES
    chosen = {"train": ~test & ~held, "validation": ~test & held, "test": test}[part]
    return torch.from_numpy(chosen)


def _checked_validation(where: str, validation: int | str) -> int | str:
    if isinstance(validation, str):
        if validation not in SPEAKERS:
            raise ParameterError(
                f"{where}: validation must be a number of takes or a speaker, "
                f"{', '.join(SPEAKERS)}, got {validation!r}. Choose one of them."
            )
        return validation
    held_out = checked_count(where, "validation", validation, least=0) or 0
    if held_out >= TAKES - TEST_TAKES:
        raise ParameterError(
            f"{where}: validation must be below the {TAKES - TEST_TAKES} training takes, got "
            f"{validation}. Hold out fewer takes."
        )
    return held_out
