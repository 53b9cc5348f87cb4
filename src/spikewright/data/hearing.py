"""How clips are turned into frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikewright import seeding
from spikewright.audio.augment import Augment, Wave
from spikewright.audio.front_end import FrontEnd
from spikewright.data.split import checked_count
from spikewright.errors import ParameterError
from spikewright.units import check_dt

OnError = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Clip:
    """A recording with its class.

    Args:
        name: unique in its set; names it in errors and fixes what is drawn for it.
        label: number of its class.
        source: its file, or that file's contents.
    """

    name: str
    label: int
    source: Path | bytes


@dataclass(frozen=True)
class Hearing:
    """How clips are turned into frames.

    Args:
        front_end: hears them.
        seconds: length that all are brought to: cut at the end, or filled up with silence.
        copies: versions of each clip; the first is the clip itself, ``augment`` makes the others.
        augment: what the others go through, one after the other.
        seed: of what is drawn for it.
        window: length of a sample to train on, s, cut out at a place drawn anew each time; ``None``
            trains on whole clips.
        on_error: ``"refuse"`` raises at a clip that cannot be used, ``"skip"`` leaves it out and
            names it in the report.
        lead: s of sound before each sample, so that a network is trained and tested with what it
            left behind. With any, the clips of a part follow each other in one stream, in an order
            that is drawn for each of the copies, and the front end never begins afresh: before a
            sample comes the end of another clip, or the clip itself up to there. With none, front
            end and network begin afresh with each clip.

    Raises:
        ParameterError: copies without ``augment`` or the other way round, or an option that is
            out of its range.
    """

    front_end: FrontEnd
    seconds: float
    copies: int = 1
    augment: Sequence[Augment] = ()
    seed: int = 0
    window: float | None = None
    on_error: OnError = "refuse"
    lead: float = 0.0

    def __post_init__(self) -> None:
        check_dt("Hearing", self.front_end.dt)
        checked_count("Hearing", "copies", self.copies)
        if not self.front_end.dt <= self.seconds < 3600:
            raise ParameterError(
                f"Hearing: seconds must lie between a step of {self.front_end.dt:g} s and an "
                f"hour, got {self.seconds!r}. Pass for example seconds=1.0."
            )
        if self.window is not None and not self.front_end.dt <= self.window <= self.seconds:
            raise ParameterError(
                f"Hearing: window must lie between a step and the clips' {self.seconds:g} s, got "
                f"{self.window!r}. Leave it out to train on whole clips."
            )
        if self.lead != 0 and not self.front_end.dt <= self.lead <= self.seconds:
            raise ParameterError(
                f"Hearing: lead must be 0 or lie between a step and the clips' {self.seconds:g} s, "
                f"got {self.lead!r}. Leave it out to begin each clip afresh."
            )
        if (self.copies > 1) != bool(self.augment):
            raise ParameterError(
                f"Hearing: copies must be more than 1 just where augment is given, got "
                f"{self.copies} and {len(self.augment)} augmentations. Pass both or neither."
            )
        if self.on_error not in ("refuse", "skip"):
            raise ParameterError(
                f"Hearing: on_error must be 'refuse' or 'skip', got {self.on_error!r}. "
                "Pass on_error='skip' to leave out clips that cannot be read."
            )

    @property
    def steps(self) -> int:
        """Time steps of a clip."""
        return round(self.seconds / self.front_end.dt)

    @property
    def lead_steps(self) -> int:
        """Time steps of sound before each sample."""
        return round(self.lead / self.front_end.dt)

    @property
    def samples(self) -> int:
        """Samples of a clip that fill these steps."""
        return -(-round(self.steps * self.front_end.dt * self.front_end.rate * 1e6) // 1_000_000)

    def fit(self, wave: Wave) -> Wave:
        """A sound brought to the clips' length."""
        whole = np.zeros(self.samples, np.float32)
        kept = wave[: self.samples]
        whole[: len(kept)] = kept
        return whole

    def varied(self, name: str, wave: Wave, copy: int) -> Wave:
        """A version of a clip; number 0 is the clip."""
        if copy:
            source = seeding.generator(self.seed, "augment", name, copy)
            for change in self.augment:
                wave = change(wave, source)
        return wave

    def frames(self, wave: Wave) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(steps, channels) of a sound of the clips' length."""
        return self.front_end(wave)[0][: self.steps]
