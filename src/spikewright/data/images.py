"""What MNIST and its successors share: four idx files, pixels in [0, 1], encoded by batch.

Measured on one core: loading takes 0.4 s, a batch of 128 with the default encoder 0.3 ms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from spikewright.coding.constant import Constant
from spikewright.coding.spike_times import SpikeTimes
from spikewright.data.augment import ImageAugmentation
from spikewright.data.idx import read_idx
from spikewright.data.split import Arrays, Sequences, Split, checked_count, hold_out, limited
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.errors import ParameterError, ShapeError
from spikewright.units import check_dt, format_seconds

STEPS = 25
DT = 1e-3
SIDE = 28


class Encoder(Protocol):
    """Turns values in [0, 1], (batch, *features), into (steps, batch, *features) or spikes."""

    @property
    def steps(self) -> int: ...
    @property
    def dt(self) -> float: ...
    def __call__(
        self, values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor | SpikeTimes: ...


class LabelledImages(ABC):
    """Images in classes, some of the training images held out: what their data sets share.

    Attributes:
        held_out: training images that are held out by default, the last ones in file order.

    Arguments as for `ImageSet`.
    """

    source: ClassVar[DataSource]
    classes: ClassVar[tuple[str, ...]]
    held_out: ClassVar[int] = 5000

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        steps: int | None = None,
        dt: float | None = None,
        folder: str | Path | None = None,
        validation: int | None = None,
        limit: int | None = None,
        augment: tuple[ImageAugmentation, ...] = (),
    ) -> None:
        where = type(self).__name__
        self.name = self.source.name
        self.steps, self.dt = grid_of(where, encoder, steps, dt)
        self._folder = folder
        asked = self.held_out if validation is None else validation
        self._held_out = checked_count(where, "validation", asked, least=0) or 0
        self._limit = checked_count(where, "limit", limit)
        self.train, self.validation, self.test = (
            ImageSplit(
                partial(self._part, part),
                encoder or Constant(self.steps, self.dt),
                self._shape,
                augment if part == "train" else (),
            )
            for part in ("train", "validation", "test")
        )

    @property
    @abstractmethod
    def _shape(self) -> tuple[int, ...]:
        """Of one image, as it is encoded."""

    @abstractmethod
    def _load(self, part: str) -> Arrays:
        """All images of ``"train"`` or ``"test"``, (images, ...) uint8, and their classes."""

    @cached_property
    def _training(self) -> Arrays:
        return self._load("train")

    def _part(self, part: str) -> Arrays:
        if part == "test":
            return limited(self._load("test"), self._limit)
        images, labels = self._training
        kept = hold_out(type(self).__name__, len(labels), self._held_out)
        cut = slice(None, kept) if part == "train" else slice(kept, None)
        return limited((images[cut], labels[cut]), self._limit)


class ImageSet(LabelledImages):
    """Images of 28 x 28 pixels.

    Args:
        encoder: turns pixel values into a sequence by batch, or into spikes at exact times, with
            its own ``steps`` and ``dt``; ``None`` holds each pixel's value over time, as a
            constant current.
        steps: time steps; default the encoder's, else 25.
        dt: time step, s; default the encoder's, else 1 ms.
        folder: folder with the files; default as for :func:`spikewright.data.data_folder`.
        validation: how many training images are held out: the last ones, in file order.
        limit: at most that many images of each split, the first ones.
        flatten: features are (784,), else (1, 28, 28).
        augment: changes training images at random, one after another; needs ``flatten=False``.
            See :mod:`spikewright.data.augment`.

    Raises:
        ParameterError: ``steps`` or ``dt`` differ from the encoder's, or a number is out of range.
        DataError: when first used: a file is missing, damaged or cannot be fetched.
    """

    def __init__(  # noqa: PLR0913 - one for each part that a user may choose
        self,
        encoder: Encoder | None = None,
        *,
        steps: int | None = None,
        dt: float | None = None,
        folder: str | Path | None = None,
        validation: int = 5000,
        limit: int | None = None,
        flatten: bool = True,
        augment: tuple[ImageAugmentation, ...] = (),
    ) -> None:
        self._flatten = flatten
        super().__init__(
            encoder,
            steps=steps,
            dt=dt,
            folder=folder,
            validation=validation,
            limit=limit,
            augment=augment,
        )

    @property
    def _shape(self) -> tuple[int, ...]:
        return (SIDE * SIDE,) if self._flatten else (1, SIDE, SIDE)

    def _load(self, part: str) -> Arrays:
        return self._read(*(self.source.files[:2] if part == "train" else self.source.files[2:]))

    def _read(self, image_file: DataFile, label_file: DataFile) -> Arrays:
        paths = [locate(self.source, file, self._folder) for file in (image_file, label_file)]
        images, labels = (read_idx(path) for path in paths)
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise damaged(paths[0], f"an array of {images.shape}, not (images, 28, 28)")
        if labels.shape != images.shape[:1]:
            raise damaged(paths[1], f"labels of {labels.shape} beside {len(images)} images")
        if labels.size and labels.max() >= len(self.classes):
            raise damaged(paths[1], f"label {labels.max()} of {len(self.classes)} classes")
        return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


class ImageSplit(Split):
    """Images as bytes, ``values`` (images, ...) uint8, made into sequences by batch."""

    def __init__(
        self,
        load: Callable[[], Arrays],
        encoder: Encoder,
        shape: tuple[int, ...],
        augment: tuple[ImageAugmentation, ...] = (),
    ) -> None:
        super().__init__(load, encoder.steps, shape)
        self._encoder, self._augment = encoder, augment

    @cached_property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Feature shape of a batch; an encoder may change it (population code)."""
        stream = torch.Generator().manual_seed(0)
        encoded = self._encoder(torch.zeros(1, *self._shape), generator=stream)
        return encoded.shape if isinstance(encoded, SpikeTimes) else tuple(encoded.shape[2:])

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Sequences:
        pixels = self.values[index].view(len(index), *self._shape).float().div_(255.0)
        for change in self._augment:
            pixels = change(pixels, generator)
        encoded = self._encoder(pixels, generator=generator)
        if isinstance(encoded, SpikeTimes):
            made = (encoded.steps(self._encoder.dt), encoded.batch)
        else:
            made = tuple(encoded.shape[:2])
        if made != (self.steps, len(index)):
            raise ShapeError(
                f"{type(self._encoder).__name__}: output must begin with (steps, batch) = "
                f"{(self.steps, len(index))}, got {made}. Correct the encoder."
            )
        return encoded


def grid_of(
    where: str, encoder: Encoder | None, steps: int | None, dt: float | None
) -> tuple[int, float]:
    """Steps and dt, the encoder's if there is one; what is asked beside it has to agree."""
    checked_count(where, "steps", steps)
    if dt is not None:
        check_dt(where, dt)
    if encoder is None:
        return steps or STEPS, dt or DT
    if dt is not None and dt != encoder.dt:
        raise ParameterError(
            f"{where}: dt must be the encoder's, {format_seconds(encoder.dt)}, got "
            f"{format_seconds(dt)}. Give both the network's dt, or leave out this one."
        )
    if steps is not None and steps != encoder.steps:
        raise ParameterError(
            f"{where}: steps must be the encoder's, {encoder.steps}, got {steps}. "
            "Give both the same number, or leave out this one."
        )
    return encoder.steps, encoder.dt
