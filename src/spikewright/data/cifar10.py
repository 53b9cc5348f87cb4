"""CIFAR-10: small photographs in ten classes.

The files are those of the binary version, as it is described on its page: each image is a byte for
its class and 3072 for red, green and blue, each row after row.
"""

from __future__ import annotations

import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.data.archive import read_members
from spikewright.data.images import LabelledImages
from spikewright.data.split import Arrays
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.errors import DataError

SHAPE = (3, 32, 32)
RECORD = 1 + 3072
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
CITATION = (
    "Krizhevsky. Learning multiple layers of features from tiny images. Technical report, 2009"
)
PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

Bytes = NDArray[np.uint8]


class CIFAR10(LabelledImages):
    """CIFAR-10, 50000 training (the last 5000 held out by default) and 10000 test images.

    A batch is (time, batch, 3, 32, 32), pixels in [0, 1].

    Args:
        encoder, steps, dt, folder, limit, augment: as for
            :class:`spikewright.data.images.ImageSet`.
        validation: how many training images are held out: the last ones, in file order.

    Raises:
        DataError: when first used: the file is missing, damaged or cannot be fetched.

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".

    >>> data = CIFAR10(steps=60)
    >>> data.train.shape, data.train.steps
    ((3, 32, 32), 60)
    """

    classes = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    source: ClassVar[DataSource] = DataSource(
        name="cifar10",
        title="CIFAR-10, small photographs",
        licence="none stated; cite",
        citation=CITATION,
        page=PAGE,
        files=(
            DataFile(
                "cifar10/cifar-10-binary.tar.gz",
                170_052_171,
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
    )

    @property
    def _shape(self) -> tuple[int, ...]:
        return SHAPE

    def _load(self, part: str) -> Arrays:
        train, test = self._read
        return test if part == "test" else train

    @cached_property
    def _read(self) -> tuple[Arrays, Arrays]:
        """Training and test images, (images, 3, 32, 32) uint8, with their classes."""
        path = locate(self.source, self.source.files[0], self._folder)
        members = read_members(path, lambda name: name.suffix == ".bin")
        return _joined(path, members, TRAINING), _joined(path, members, TEST)


class CIFAR10First4000(CIFAR10):
    """The first 4000 training images of CIFAR-10: 3000 training and 1000 test images.

    For trials where the whole set is not at hand; figures are not those of CIFAR-10. Arguments as
    for `CIFAR10`; 300 training images are held out by default.

    >>> CIFAR10First4000(steps=8).name
    'cifar10-first-4000'
    """

    source: ClassVar[DataSource] = DataSource(
        name="cifar10-first-4000",
        title="CIFAR-10, the first 4000 training images",
        licence="none stated; cite",
        citation=CITATION,
        page=PAGE,
        files=(
            DataFile(
                "cifar10/cifar10-train-first4000-lossless.npz",
                11_335_244,
                sha256="5a3a42d44290a419b420982b8bebee85690907a7a4ec2535b9ce037d0c54d8cb",
            ),
        ),
    )
    held_out: ClassVar[int] = 300

    @cached_property
    def _read(self) -> tuple[Arrays, Arrays]:
        path = locate(self.source, self.source.files[0], self._folder)
        images, labels = _unpacked(path)
        rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        values, targets = _arrays(path, rows, labels)
        cut = len(targets) * 3 // 4
        return (values[:cut], targets[:cut]), (values[cut:], targets[cut:])


def _joined(path: Path, members: dict[str, bytes], names: tuple[str, ...]) -> Arrays:
    parts: list[Bytes] = []
    for name in names:
        if name not in members:
            raise damaged(path, f"no {name} inside")
        raw = np.frombuffer(members[name], np.uint8)
        if len(raw) == 0 or len(raw) % RECORD:
            raise damaged(path, f"{len(raw)} bytes in {name}, no multiple of {RECORD}")
        parts.append(raw.reshape(-1, RECORD))
    rows = np.concatenate(parts)
    return _arrays(path, rows[:, 1:].reshape(-1, *SHAPE), rows[:, 0])


def _arrays(path: Path, images: Bytes, labels: Bytes) -> Arrays:
    if labels.max() >= len(CIFAR10.classes):
        raise damaged(path, f"label {labels.max()} of {len(CIFAR10.classes)} classes")
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def _unpacked(path: Path) -> tuple[Bytes, Bytes]:
    """Images (images, 32, 32, 3) and labels of the npz file."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            images, labels = (np.asarray(stored[name]) for name in ("x", "y"))
    except FileNotFoundError as cause:
        raise DataError(
            f"data: file {path} must exist, got nothing there. Check the path."
        ) from cause
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as cause:
        raise damaged(path, f"an npz file that cannot be read ({cause})") from cause
    fits = images.shape[1:] == (32, 32, 3) and labels.shape == images.shape[:1]
    if not fits or len(labels) == 0 or any(a.dtype != np.uint8 for a in (images, labels)):
        raise damaged(path, f"arrays of {images.shape} {images.dtype} and {labels.shape}")
    return images, labels
