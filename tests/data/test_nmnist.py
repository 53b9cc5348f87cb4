from __future__ import annotations

import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.data import NMNIST
from spikewright.data.events import bin_events, decode_bs2
from spikewright.data.nmnist import check_archive
from spikewright.errors import DataError, ParameterError

NUMBERS = {"train1K.txt": range(1, 1001), "test100.txt": range(60001, 60101)}


def recording(number: int) -> bytes:
    """Three events whose place and time depend on the number, the last one late."""
    x, y = number % 34, number % 29
    ticks = [number % 5 * 1000, 2000, 300_000]
    return b"".join(bytes([x, y, tick >> 16, tick >> 8 & 255, tick & 255]) for tick in ticks)


def write_zip(path: Path, changes: dict[str, bytes | None] | None = None) -> Path:
    members: dict[str, bytes | None] = {}
    for name, numbers in NUMBERS.items():
        lines = ["#sample\t#class", *(f"{n}\t{n % 10}" for n in numbers)]
        members[name] = "\r\n".join(lines).encode()
        members |= {f"{n}.bs2": recording(n) for n in numbers}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in (members | (changes or {})).items():
            if raw is not None:
                archive.writestr(f"NMNISTsmall/{name}", raw)
    return path


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nmnist")
    write_zip(folder / "events" / "NMNISTsmall.zip")
    return folder


def test_real_set_has_the_published_events_and_classes(shared_data: Path) -> None:
    data = NMNIST(folder=shared_data)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [900, 100, 100]
    assert sum(len(split.values) for split in splits) == 4518827
    assert [split.left_out for split in splits] == [0, 0, 0]
    train = torch.cat([data.train.targets, data.validation.targets])
    assert torch.bincount(train).tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert torch.bincount(data.test.targets).tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]
    assert int(torch.cat([split.values for split in splits])[:, 0].max()) == data.steps - 1
    index = torch.tensor([7, 2, 7])
    lengths = data.test.offsets[index + 1] - data.test.offsets[index]
    x, _ = data.test.batch(index)
    assert x.sum(dim=(0, 2, 3, 4)).tolist() == lengths.tolist()


def test_real_recordings_are_known_by_their_bytes(shared_data: Path) -> None:
    check_archive(shared_data / "events" / "nmnist-small.tar.xz")


def test_batch_equals_the_recordings_binned_one_by_one(made_up: Path) -> None:
    data = NMNIST(dt=2e-3, folder=made_up)
    index = torch.tensor([899, 0, 5, 5])
    x, y = data.train.batch(index)
    assert x.shape == (data.steps, 4, 2, 34, 34)
    for row, number in enumerate([900, 1, 6, 6]):
        events = decode_bs2(recording(number), 34, 34, "")
        assert torch.equal(x[:, row], bin_events(events, 2e-3, data.steps))
    assert y.tolist() == [0, 1, 6, 6]


def test_shorter_grid_counts_what_it_leaves_out(made_up: Path) -> None:
    data = NMNIST(steps=100, folder=made_up)
    assert data.test.left_out == 100
    assert data.test.batch([0, 1])[0].sum() == 4


def test_maximum_makes_counts_into_spikes(made_up: Path) -> None:
    counts, _ = NMNIST(dt=0.1, folder=made_up).test.batch([1])
    spikes, _ = NMNIST(dt=0.1, folder=made_up, maximum=1).test.batch([1])
    assert counts.max() == 2
    assert torch.equal(spikes, counts.clamp(max=1))


def test_polarities_are_merged_on_request(tmp_path: Path) -> None:
    on, off = bytes([3, 4, 0x80, 0, 0]), bytes([3, 4, 0, 0, 0])
    write_zip(tmp_path / "events" / "NMNISTsmall.zip", {"6.bs2": on + off})
    apart, _ = NMNIST(dt=2e-3, folder=tmp_path).train.batch([5, 899])
    merged, _ = NMNIST(dt=2e-3, folder=tmp_path, polarity=False).train.batch([5, 899])
    assert apart[0, 0, :, 4, 3].tolist() == [1, 1]
    assert merged[0, 0, 4 * 34 + 3] == 2
    assert torch.equal(merged, apart.sum(2).flatten(2))


def test_validation_and_limit_follow_the_list(made_up: Path) -> None:
    data = NMNIST(folder=made_up, validation=10, limit=4)
    assert data.validation.targets.tolist() == [1, 2, 3, 4]
    assert [len(split) for split in (data.train, data.validation, data.test)] == [4, 4, 4]
    assert len(NMNIST(folder=made_up, validation=0).validation) == 0


@pytest.mark.parametrize("options", [{"dt": 0}, {"steps": 0}, {"maximum": 0}, {"validation": -1}])
def test_numbers_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
        NMNIST(**options)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"test100.txt": None}, "no readable test100.txt"),
        ({"test100.txt": b"60001\tseven"}, "no readable test100.txt"),
        ({"test100.txt": b"60001\t7"}, "1 of 100 in test100.txt"),
        ({"60001.bs2": None}, "1 without a file"),
        ({"60001.bs2": b"1234"}, "60001.bs2 .* 4 bytes"),
    ],
)
def test_archive_with_a_fault_is_refused(tmp_path: Path, changes: dict, fault: str) -> None:
    path = write_zip(tmp_path / "events" / "NMNISTsmall.zip", changes)
    with pytest.raises(DataError, match=fault) as caught:
        len(NMNIST(folder=tmp_path).test)
    assert str(path) in str(caught.value)


def test_other_recordings_than_the_published_are_refused(made_up: Path) -> None:
    with pytest.raises(DataError, match="1100 recordings that are not the published 1100"):
        check_archive(made_up / "events" / "NMNISTsmall.zip")


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_truncated_archive_is_refused(tmp_path: Path, kind: str) -> None:
    whole = write_zip(tmp_path / "whole.zip").read_bytes()
    name = "NMNISTsmall.zip"
    if kind == "tar.xz":
        name = "nmnist-small.tar.xz"
        with tarfile.open(tmp_path / "whole.tar.xz", "w:xz") as archive:
            archive.add(tmp_path / "whole.zip")
        whole = (tmp_path / "whole.tar.xz").read_bytes()
        assert len(lzma.decompress(whole)) > len(whole)
    path = tmp_path / "events" / name
    path.parent.mkdir()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="an archive that cannot be read") as caught:
        len(NMNIST(folder=tmp_path).test)
    assert str(path) in str(caught.value)


def test_list_numbers_are_read_as_written(made_up: Path) -> None:
    expected = np.arange(1, 901) % 10
    assert np.array_equal(NMNIST(folder=made_up).train.targets.numpy(), expected)
