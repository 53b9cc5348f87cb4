"""EMNIST on made-up files: transposed images, 47 classes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from spikewright.data import EMNIST
from spikewright.data.download import fetch_file
from spikewright.data.store import locate
from spikewright.errors import DataError


def write(folder: Path, largest: int = 46) -> np.ndarray:
    """The four files with random pixels; the training images as they are stored."""
    random = np.random.default_rng(0)
    (folder / "emnist").mkdir()
    stored = random.integers(0, 256, (12, 28, 28), dtype=np.uint8)
    for part, images in (("train", stored), ("test", stored[:4])):
        labels = np.linspace(0, largest, len(images)).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            raw = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
            name = f"emnist-balanced-{part}-{kind}-ubyte.gz"
            (folder / "emnist" / name).write_bytes(gzip.compress(raw))
    return stored


def test_images_stand_upright_and_classes_are_those_of_the_balanced_split(tmp_path: Path) -> None:
    stored = write(tmp_path)
    data = EMNIST(folder=tmp_path, validation=2)
    assert np.array_equal(data.train.values.numpy(), stored[:10].transpose(0, 2, 1))
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 2, 4)
    assert data.classes[int(data.test.targets[-1])] == "t"
    assert len(set(data.classes)) == 47


def test_a_label_beyond_the_classes_and_an_absent_file_are_named(tmp_path: Path) -> None:
    write(tmp_path, largest=47)
    with pytest.raises(DataError, match="label 47 of 47 classes"):
        len(EMNIST(folder=tmp_path, validation=2).train)
    (tmp_path / "emnist" / "emnist-balanced-test-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"emnist-balanced-test-labels.* must lie in"):
        len(EMNIST(folder=tmp_path, validation=2).test)


def test_files_that_nothing_fetches_are_asked_for_by_hand(tmp_path: Path) -> None:
    source, file = EMNIST.source, EMNIST.source.files[0]
    advice = "must lie in .*, got absent. Put it there by hand, from https://www.nist.gov"
    with pytest.raises(DataError, match=advice):
        fetch_file(source, file, tmp_path)
    with pytest.raises(DataError, match=advice):
        locate(source, file, tmp_path)
    (tmp_path / "emnist").mkdir()
    (tmp_path / file.path).write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"got data: .*Put it there by hand"):
        fetch_file(source, file, tmp_path)
