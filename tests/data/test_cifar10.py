"""CIFAR-10 from made-up archives, and what changes images at random."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.data import CIFAR10, CIFAR10First4000
from spikewright.data.augment import CropAndPad, Flip, PadAndCrop
from spikewright.data.registry import info
from spikewright.errors import DataError, ParameterError, ShapeError

NAMES = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]


def write(folder: Path, **changed: bytes) -> dict[str, np.ndarray]:
    """The official archive's layout with four images in each member; return what is in them."""
    random = np.random.default_rng(0)
    made = {name: random.integers(0, 256, (4, 3073), dtype=np.uint8) for name in NAMES}
    (folder / "cifar10").mkdir(parents=True)
    with tarfile.open(folder / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, rows in made.items():
            rows[:, 0] %= 10
            raw = changed.get(name.removesuffix(".bin"), rows.tobytes())
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return made


def test_images_are_read_channel_by_channel_in_file_order(tmp_path: Path) -> None:
    made = write(tmp_path)
    data = CIFAR10(steps=2, folder=tmp_path, validation=5)
    assert (len(data.train), len(data.validation), len(data.test)) == (15, 5, 4)
    x, y = data.train.batch([6, 0])
    row = made["data_batch_2.bin"][2]
    assert x.shape == (2, 2, 3, 32, 32)
    assert x.stride(0) == 0
    assert np.array_equal(x[1, 0].numpy(), row[1:].reshape(3, 32, 32) / np.float32(255))
    assert y.tolist() == [int(row[0]), int(made["data_batch_1.bin"][0, 0])]
    assert data.test.targets.tolist() == made["test_batch.bin"][:, 0].tolist()


@pytest.mark.parametrize(
    ("raw", "fault"),
    [(b"", "0 bytes in"), (bytes(3000), "no multiple of"), (b"\x0b" * 3073, "label")],
)
def test_a_damaged_archive_is_named_with_its_fault(raw: bytes, fault: str, tmp_path: Path) -> None:
    write(tmp_path, data_batch_3=raw)
    with pytest.raises(DataError, match=rf"cifar-10-binary.*{fault}"):
        len(CIFAR10(folder=tmp_path).train)


def test_without_the_file_the_way_to_get_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="spikewright data fetch cifar10"):
        len(CIFAR10(folder=tmp_path).train)
    assert info("cifar10", tmp_path).size == 170_052_171


def test_the_first_4000_are_cut_in_training_and_test(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    y = random.integers(0, 10, 40, dtype=np.uint8)
    path = tmp_path / "cifar10" / "cifar10-train-first4000-lossless.npz"
    path.parent.mkdir()
    np.savez(path, x=x, y=y)
    data = CIFAR10First4000(steps=3, folder=tmp_path, validation=6)
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 6, 10)
    assert np.array_equal(data.test.values[3].numpy(), x[33].transpose(2, 0, 1))
    assert data.test.targets.tolist() == y[30:].tolist()
    np.savez(path, x=x[:, :20], y=y)
    with pytest.raises(DataError, match=r"arrays of \(40, 20, 32, 3\)"):
        len(CIFAR10First4000(folder=tmp_path).train)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="an npz file that cannot be read"):
        len(CIFAR10First4000(folder=tmp_path).train)


def test_the_lossless_part_is_the_one_described(shared_data: Path) -> None:
    path = shared_data / CIFAR10First4000.source.files[0].path
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == CIFAR10First4000.source.files[0].sha256
    data = CIFAR10First4000(folder=shared_data)
    assert data.train.targets[:6].tolist() == [6, 9, 9, 4, 1, 1]


def test_only_training_images_are_changed(tmp_path: Path) -> None:
    write(tmp_path)
    plain, flipped = (
        CIFAR10(steps=1, folder=tmp_path, validation=5, augment=augment)
        for augment in ((), (Flip(1.0),))
    )
    assert torch.equal(flipped.train.batch([0])[0], plain.train.batch([0])[0].flip(-1))
    assert torch.equal(flipped.test.batch([0])[0], plain.test.batch([0])[0])
    assert torch.equal(flipped.validation.batch([0])[0], plain.validation.batch([0])[0])


def test_windows_are_drawn_evenly_by_the_generator_given() -> None:
    image = torch.arange(1.0, 26.0).view(1, 1, 5, 5).expand(3000, 1, 5, 5)
    padded, cut = PadAndCrop(1), CropAndPad(2)
    one, two = (padded(image, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    middles = one[:, 0, 2, 2].unique(return_counts=True)
    assert middles[0].tolist() == [7, 8, 9, 12, 13, 14, 17, 18, 19]
    assert int(middles[1].min()) > 250
    found = cut(image, torch.Generator().manual_seed(4))
    assert found.shape == image.shape
    assert not found[:, :, 0].any()
    assert not found[:, :, :, -1].any()
    assert found[:, 0, 1, 1].unique().tolist() == [1, 2, 3, 6, 7, 8, 11, 12, 13]


def test_wrong_options_and_flat_images_are_refused() -> None:
    with pytest.raises(ParameterError, match="CropAndPad: margin must be an even"):
        CropAndPad(3)
    with pytest.raises(ParameterError, match="PadAndCrop: padding must be"):
        PadAndCrop(-1)
    with pytest.raises(ParameterError, match="Flip: p must be between"):
        Flip(1.5)
    with pytest.raises(ShapeError, match="Flip: images must be"):
        Flip()(torch.zeros(2, 784), None)
    with pytest.raises(ShapeError, match="larger than the margin"):
        CropAndPad(4)(torch.zeros(1, 1, 4, 4), None)
