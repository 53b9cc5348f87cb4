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
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from spikewright import seeding
from spikewright.audio.augment import Wave
from spikewright.audio.front_end import Frames
from spikewright.audio.recording import Recording, open_recording
from spikewright.data.clip_split import ClipSplit, stream_order
from spikewright.data.derived import derived
from spikewright.data.hearing import Clip, Hearing
from spikewright.data.split import Arrays
from spikewright.errors import DataError

TOGETHER = 64
"""Clips that are read before the next are asked for."""
CLIPPED = 1e-3
"""Share of samples at full scale from which a clip is told of as clipped."""
NOTED = 1.01
"""Length, in those of all clips, from which one is told of as cut."""
T = TypeVar("T")


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
    """One clip's frames if they were asked for, or why it cannot be used."""

    clip: Clip
    frames: Frames | None = None
    fault: str = ""
    marks: dict[str, bool] = field(default_factory=dict[str, bool])


class ClipSet(ABC):
    """What all sets of clips share; a subclass names its clips and divides them.

    Attributes:
        name: of the set.
        classes: names of the classes, by number.
        dt: time step, s.
        steps: time steps of a clip, without those before it.
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
            ClipSplit(partial(self._part, part), steps, shape, hearing.lead_steps, hearing.seed)
            for part, steps in (
                ("train", trained),
                ("validation", self.steps),
                ("test", self.steps),
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

    def stream(self, part: str) -> tuple[Tensor, Tensor]:
        """A part as one stream for each of its copies, in which the front end never begins afresh.

        Returns:
            The clips' frames, (clips, copies, steps, channels), and the order in which they follow
            each other, (clips, copies). The streams go round: before the first comes the last.
        """
        numbers = self.numbers(part).tolist()
        copies = self.hearing.copies if part == "train" else 1
        order = stream_order(len(numbers), copies, self.hearing.seed)
        names = [self.names[number] for number in numbers]
        return self._kept({"stream": names}, lambda: self._follow(names, order))["frames"], order

    def _part(self, part: str) -> Arrays:
        index = self.numbers(part)
        labels = self._features["labels"][index]
        if self.hearing.lead:
            return self.stream(part)[0], labels
        frames = self._features["frames"][index]
        return frames if part == "train" else frames[:, :1], labels

    @cached_property
    def _features(self) -> dict[str, Tensor]:
        """Of the clips that can be used; with frames if each is heard afresh."""
        return self._kept({"afresh": not self.hearing.lead}, self._hear)

    def _kept(
        self, what: Mapping[str, Any], make: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """What is made of the clips, from the cache if nothing that it rests on has changed."""
        parts = (self.hearing.front_end, *self.hearing.augment)
        if not all(_is_own(type(part)) for part in parts):  # whose source may change unseen
            return make()
        key = {
            **what,
            "clips": dict(self.identity()),
            "hearing": repr(replace(self.hearing, window=None, lead=0.0)),
            "version": _version(type(self)),
        }
        return derived(self.name, key, make)

    def _hear(self) -> dict[str, Tensor]:
        heard = list(_told(self.name, self._heard()))
        good = [one for one in heard if not one.fault]
        if not good:
            raise DataError(
                f"data.{self.name}: there must be clips to learn from, got none of "
                f"{len(heard):,} that can be used. Check the folder."
            )
        frames = [one.frames for one in good if one.frames is not None]
        found = {
            "labels": torch.tensor([one.clip.label for one in good]),
            "names": _packed([one.clip.name for one in good]),
            "report": _packed(asdict(_report(heard))),
        }
        return found | ({"frames": _compact(np.stack(frames))} if frames else {})

    def _heard(self) -> Iterator[_Heard]:
        clips = self.clips()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            while some := list(itertools.islice(clips, TOGETHER)):
                yield from threads.map(self._hear_one, some)

    def _hear_one(self, clip: Clip) -> _Heard:
        try:
            whole, marks = self._read(clip)
        except DataError as cause:
            if self.hearing.on_error == "refuse":
                raise
            return _Heard(clip, fault=str(cause))
        if self.hearing.lead:
            return _Heard(clip, marks=marks)
        copies = range(self.hearing.copies)
        versions = [self._frames(self._version(clip, whole, copy))[0] for copy in copies]
        return _Heard(clip, np.stack(versions), marks=marks)

    def _read(self, clip: Clip) -> tuple[Wave, dict[str, bool]]:
        """A clip at the length of all, and what is to be told of it."""
        with _opened(clip, self.hearing.front_end.rate) as recording:
            wave, length = _beginning(recording, self.hearing.samples)
            heard = recording.heard
        if not heard.samples:
            raise DataError(
                f"data.{self.name}: clip {clip.name} must hold samples, got none. Leave it out."
            )
        whole = self.hearing.fit(wave)
        return whole, {
            "silent": not whole.any(),
            "clipped": heard.clipped > CLIPPED * heard.samples,
            "longer": length > NOTED * self.hearing.samples,
        }

    def _version(self, clip: Clip, whole: Wave, copy: int) -> Wave:
        """One of a clip's copies."""
        return self.hearing.varied(clip.name, self.scene(clip, whole, copy), copy)

    def _frames(self, wave: Wave, state: Any = None) -> tuple[Frames, Any]:
        """(steps, channels) of a clip, and the front end's state after it."""
        frames, state = self.hearing.front_end(wave, state)
        return frames[-self.steps :], state  # at times a step more, of samples left over before

    def _follow(self, names: Sequence[str], order: Tensor) -> dict[str, Tensor]:
        """The frames of clips that follow each other, a stream for each copy."""
        by_name = {clip.name: clip for clip in self.clips()}
        clips, channels = [by_name[name] for name in names], self.hearing.front_end.channels
        found = np.empty((*order.shape, self.steps, channels), np.float32)
        states: list[Any] = [None] * order.shape[1]

        def go_on(copy: int, number: int) -> None:
            wave = self._version(clips[number], waves[number], copy)
            found[number, copy], states[copy] = self._frames(wave, states[copy])

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            waves = [whole for whole, _ in threads.map(self._read, clips)]
            # The last comes before the first.
            for numbers in _told(self.name, iter([*order[-1:], *order])):
                list(threads.map(go_on, range(len(states)), numbers.tolist()))
        return {"frames": _compact(found)}


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
    good = [one for one in heard if not one.fault]
    named = {
        mark: tuple(one.clip.name for one in good if one.marks[mark])
        for mark in ("silent", "clipped", "longer")
    }
    return ClipReport(
        clips=len(good),
        skipped=tuple((one.clip.name, one.fault) for one in heard if one.fault),
        silent=named["silent"],
        clipped=named["clipped"],
        longer=len(named["longer"]),
    )


def _told(name: str, heard: Iterator[T]) -> Iterator[T]:
    """Pass clips on and say how many there were, where somebody may be looking."""
    seen = sys.stderr.isatty()
    for count, one in enumerate(heard, 1):
        if seen and count % 16 == 0:
            sys.stderr.write(f"\r{name}: {count:,} clips heard ")
            sys.stderr.flush()
        yield one
    if seen:
        sys.stderr.write("\r" + " " * (len(name) + 30) + "\r")


def _compact(frames: Frames) -> Tensor:
    whole = torch.from_numpy(frames)
    small = whole.to(torch.uint8)
    return small if torch.equal(small.float(), whole) else whole


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
