"""Sets of short recordings, each heard once by a front end and kept as frames."""

from __future__ import annotations

import hashlib
import inspect
import io
import itertools
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from spikewright import seeding
from spikewright.audio.augment import Augment, Wave
from spikewright.audio.front_end import FrontEnd
from spikewright.audio.recording import Recording, open_recording
from spikewright.data.derived import derived
from spikewright.data.split import Arrays, Split, checked_count
from spikewright.errors import DataError, ParameterError
from spikewright.units import check_dt

TOGETHER = 64
"""Clips that are read before the next are asked for."""
CLIPPED = 1e-3
"""Share of samples at full scale from which a clip is told of as clipped."""
NOTED = 1.01
"""Length, in those of all clips, from which one is told of as cut."""
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
        lead: s of the end of another clip of the same part that come before each sample, so that
            a network is trained and tested with what another sound left behind in it; the front
            end begins afresh with each clip. Which one is drawn anew each time to train on, and
            once to validate and test.

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
        """Time steps of another clip before each."""
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


@dataclass(frozen=True)
class ClipReport:
    """What was met while reading.

    Attributes:
        clips: how many are used.
        skipped: name and fault of those left out.
        silent, clipped: names of those without any sound in what is kept of them, and of those
            with one sample in a thousand at full scale.
        longer: how many were cut at their end.
    """

    clips: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    silent: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()
    longer: int = 0

    def __str__(self) -> str:
        said = [f"{self.clips:,} clips"]
        counts = {"silent": self.silent, "clipped": self.clipped, "skipped": self.skipped}
        said += [f"{len(names):,} {what}" for what, names in counts.items() if names]
        said += [f"{self.longer:,} cut at the end"] if self.longer else []
        return ", ".join(said) + "".join(f"\n  {name}: {fault}" for name, fault in self.skipped)


@dataclass
class _Heard:
    """One clip's frames, or why there are none."""

    clip: Clip
    frames: np.ndarray[Any, np.dtype[np.float32]] | None = None
    fault: str = ""
    marks: dict[str, bool] = field(default_factory=dict[str, bool])


class ClipSplit(Split):
    """Clips as frames: ``values`` (clips, copies, steps, channels), whole counts as uint8.

    A batch takes of each clip one of its copies, and so many steps of it, drawn anew each time.
    ``lead`` steps of another clip come before them: drawn likewise, or always the same one.
    """

    def __init__(
        self,
        load: Callable[[], Arrays],
        steps: int,
        shape: tuple[int, ...],
        lead: int,
        seed: int | None,
    ) -> None:
        super().__init__(load, lead + steps, shape)
        self._lead, self._seed = lead, seed

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        asked = self._piece(index, self.steps - self._lead, generator)
        if not self._lead:
            return asked
        before = self._others(index, generator)
        copy = _drawn(self.values.shape[1], len(index), generator)
        ahead = self.values[before, copy, -self._lead :].float().transpose(0, 1)
        return torch.cat([ahead, asked])

    def _others(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        """For each clip another one; itself only where there is no other."""
        count = len(self.values)
        if self._seed is None:
            return (index + 1 + _drawn(max(1, count - 1), len(index), generator)) % count
        # One round through all of them, so that none comes before itself.
        order = torch.randperm(count, generator=seeding.generator(self._seed, "lead"))
        return torch.empty_like(order).scatter_(0, order, order.roll(1))[index]

    def _piece(self, index: Tensor, steps: int, generator: torch.Generator | None) -> Tensor:
        """So many steps of a clip each, (steps, batch, channels)."""
        _, copies, whole, _ = self.values.shape
        copy, first = (
            _drawn(choices, len(index), generator) for choices in (copies, whole - steps + 1)
        )
        place = first + torch.arange(steps)[:, None]
        return self.values[index, copy, place].float()


def _drawn(choices: int, count: int, generator: torch.Generator | None) -> Tensor:
    """Numbers below ``choices``; the stream is left alone where there is but one."""
    if choices == 1:
        return torch.zeros(count, dtype=torch.int64)
    return torch.randint(choices, (count,), generator=generator)


class ClipSet(ABC):
    """What all sets of clips share; a subclass names its clips and divides them.

    Attributes:
        name: of the set.
        classes: names of the classes, by number.
        dt: time step, s.
        steps: time steps of a clip, without those of another before it.
    """

    name: str
    classes: tuple[str, ...]

    def __init__(self, hearing: Hearing) -> None:
        self.hearing = hearing
        self.dt = hearing.front_end.dt
        self.steps = hearing.steps
        shape = (hearing.front_end.channels,)
        trained = self.steps
        if hearing.window is not None:
            trained = round(hearing.window / self.dt)
        self.train, self.validation, self.test = (
            ClipSplit(partial(self._part, part), steps, shape, hearing.lead_steps, seed)
            for part, steps, seed in (
                ("train", trained, None),
                ("validation", self.steps, hearing.seed),
                ("test", self.steps, hearing.seed),
            )
        )

    @abstractmethod
    def clips(self) -> Iterator[Clip]:
        """The clips, read one after the other as they are asked for."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Plain values that change when the clips do: checksums, or names with sizes and times."""

    @abstractmethod
    def chosen(self, part: str, names: Sequence[str], labels: Tensor) -> Tensor:
        """Which clips belong to ``"train"``, ``"validation"`` or ``"test"``, (clips,) bool."""

    def scene(self, clip: Clip, wave: Wave, copy: int) -> Wave:
        """What stands for a clip in all its versions; by default the clip itself."""
        return wave

    @property
    def report(self) -> ClipReport:
        """What was met while reading the clips; reads them if need be."""
        found: dict[str, Any] = json.loads(bytes(self._features["report"].numpy()))
        lists = ("skipped", "silent", "clipped")
        found |= {name: tuple(map(_tupled, found[name])) for name in lists}
        return ClipReport(**found)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clips that are used, in the order of all parts together."""
        return tuple(json.loads(bytes(self._features["names"].numpy())))

    def numbers(self, part: str) -> Tensor:
        """Which of ``names`` a part holds, in its order."""
        return self.chosen(part, self.names, self._features["labels"]).nonzero()[:, 0]

    def _part(self, part: str) -> Arrays:
        index = self.numbers(part)
        frames = self._features["frames"][index]
        return frames if part == "train" else frames[:, :1], self._features["labels"][index]

    @cached_property
    def _features(self) -> dict[str, Tensor]:
        parts = (self.hearing.front_end, *self.hearing.augment)
        if not all(_is_own(type(part)) for part in parts):  # whose source may change unseen
            return self._hear()
        key = {
            "clips": dict(self.identity()),
            "hearing": repr(replace(self.hearing, window=None, lead=0.0)),
            "version": _version(type(self)),
        }
        return derived(self.name, key, self._hear)

    def _hear(self) -> dict[str, Tensor]:
        heard = list(_told(self.name, self._heard()))
        good = [one for one in heard if one.frames is not None]
        if not good:
            raise DataError(
                f"data.{self.name}: there must be clips to learn from, got none of "
                f"{len(heard):,} that can be used. Check the folder."
            )
        frames = torch.from_numpy(np.stack([one.frames for one in good if one.frames is not None]))
        return {
            "frames": _compact(frames),
            "labels": torch.tensor([one.clip.label for one in good]),
            "names": _packed([one.clip.name for one in good]),
            "report": _packed(asdict(_report(heard))),
        }

    def _heard(self) -> Iterator[_Heard]:
        clips = self.clips()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            while some := list(itertools.islice(clips, TOGETHER)):
                yield from threads.map(self._hear_one, some)

    def _hear_one(self, clip: Clip) -> _Heard:
        try:
            with _opened(clip, self.hearing.front_end.rate) as recording:
                wave, length = _beginning(recording, self.hearing.samples)
                heard = recording.heard
            if not heard.samples:
                raise DataError(
                    f"data.{self.name}: clip {clip.name} must hold samples, got none. Leave it out."
                )
        except DataError as cause:
            if self.hearing.on_error == "refuse":
                raise
            return _Heard(clip, fault=str(cause))
        whole, hearing = self.hearing.fit(wave), self.hearing
        marks = {
            "silent": not whole.any(),
            "clipped": heard.clipped > CLIPPED * heard.samples,
            "longer": length > NOTED * hearing.samples,
        }
        versions = [
            hearing.frames(hearing.varied(clip.name, self.scene(clip, whole, copy), copy))
            for copy in range(hearing.copies)
        ]
        return _Heard(clip, np.stack(versions), marks=marks)


def _opened(clip: Clip, rate: int) -> Recording:
    if isinstance(clip.source, Path):
        return open_recording(clip.source, rate)
    stream = io.BytesIO(clip.source)
    stream.name = clip.name  # what errors call it
    return open_recording(stream, rate)


def _beginning(recording: Recording, samples: int) -> tuple[Wave, int]:
    """The first samples of a recording, and its length; it is read to its end, for its faults."""
    kept, length = [np.empty(0, np.float32)], 0
    for block in recording.blocks():
        if length < samples:
            kept.append(block[: samples - length])
        length += len(block)
    return np.concatenate(kept), length


def _report(heard: Iterable[_Heard]) -> ClipReport:
    heard = list(heard)
    good = [one for one in heard if one.frames is not None]
    named = {
        mark: tuple(one.clip.name for one in good if one.marks[mark])
        for mark in ("silent", "clipped", "longer")
    }
    return ClipReport(
        clips=len(good),
        skipped=tuple((one.clip.name, one.fault) for one in heard if one.frames is None),
        silent=named["silent"],
        clipped=named["clipped"],
        longer=len(named["longer"]),
    )


def _told(name: str, heard: Iterator[_Heard]) -> Iterator[_Heard]:
    """Pass clips on and say how many there were, where somebody may be looking."""
    seen = sys.stderr.isatty()
    for count, one in enumerate(heard, 1):
        if seen and count % 16 == 0:
            sys.stderr.write(f"\r{name}: {count:,} clips heard ")
            sys.stderr.flush()
        yield one
    if seen:
        sys.stderr.write("\r" + " " * (len(name) + 30) + "\r")


def _compact(frames: Tensor) -> Tensor:
    small = frames.to(torch.uint8)
    return small if torch.equal(small.float(), frames) else frames


def _tupled(value: Any) -> Any:
    """What JSON made a list of."""
    return tuple(value) if isinstance(value, list) else value


def _packed(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _is_own(kind: type) -> bool:
    return kind.__module__.startswith("spikewright.")


def _version(kind: type[ClipSet]) -> str:
    """A checksum of the source that makes frames of clips: a change to it makes other frames."""
    folder = Path(__file__).parents[1]
    sets = [Path(inspect.getfile(base)) for base in kind.__mro__ if _is_own(base)]
    paths = [*sets, *sorted((folder / "audio").rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def even_folds(labels: Tensor, folds: int, seed: int) -> Tensor:
    """A fold for each clip, 0 to folds - 1, drawn so that each has its share of every class.

    >>> even_folds(torch.tensor([0, 0, 0, 1, 1, 1]), 3, 0).bincount().tolist()
    [2, 2, 2]
    """
    found = torch.empty_like(labels)
    for label in labels.unique().tolist():
        place = (labels == label).nonzero()[:, 0]
        source = seeding.generator(seed, "folds", label)
        found[place[torch.randperm(len(place), generator=source)]] = (
            torch.arange(len(place)) % folds
        )
    return found


def of_folds(part: str, folds: Tensor, count: int, test: int, validation: bool) -> Tensor:
    """Which clips a part has: one fold is the test's, the one after it the validation's.

    Args:
        part: ``"train"``, ``"validation"`` or ``"test"``.
        folds: of each clip, (clips,).
        count: number of folds.
        test: the fold to test on.
        validation: whether a fold is held out of training; if not there is no validation.
    """
    is_test = folds == test
    held = (folds == (test + 1) % count) & ~is_test & validation
    return {"train": ~is_test & ~held, "validation": held, "test": is_test}[part]
