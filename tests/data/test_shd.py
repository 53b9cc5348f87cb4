"""The readers of SHD and SSC, on small files made in their format."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from heidelberg import write
from spikewright.coding import SpikeTimes
from spikewright.data import SHD, SSC, verify
from spikewright.errors import DataError, ParameterError

SPEAKERS = [0, 3, 0, 11, 3, 3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "shd/shd_train.h5", [0, 19, 2, 3, 4, 5], SPEAKERS)
    write(tmp_path / "shd/shd_test.h5", [7, 8], [4, 5], seed=1)
    return tmp_path


def test_validation_is_one_speaker_and_training_the_others(folder: Path) -> None:
    data = SHD(folder=folder, speaker=3)
    assert data.train.targets.tolist() == [0, 2, 3]
    assert data.validation.targets.tolist() == [19, 4, 5]
    assert data.test.targets.tolist() == [7, 8]
    assert SHD(folder=folder).validation.targets.tolist() == [0, 2]
    everyone = SHD(folder=folder, speaker=None)
    assert (len(everyone.train), len(everyone.validation)) == (6, 0)
    assert SHD(folder=folder, speaker=3, limit=1).train.targets.tolist() == [0]


def test_a_speaker_who_is_not_in_the_training_set_is_refused(folder: Path) -> None:
    with pytest.raises(ParameterError, match="training speakers, 0, 3, 11, got 4"):
        len(SHD(folder=folder, speaker=4).train)


def test_spikes_come_as_times_and_on_a_grid(folder: Path) -> None:
    times = write(folder / "shd/shd_train.h5", [0, 19, 2, 3, 4, 5], SPEAKERS)
    x, _ = SHD(folder=folder, exact=True, speaker=None).train.batch([3, 1])
    assert isinstance(x, SpikeTimes)
    assert (x.shape, x.duration) == ((700,), 1400 * 1e-3)
    assert x.times.tolist() == [*times[3].astype(float), *times[1].astype(float)]
    data = SHD(dt=0.1, steps=10, folder=folder, speaker=None)
    raster, _ = data.train.batch([3, 1])
    assert isinstance(raster, torch.Tensor)
    for row, sample in enumerate((3, 1)):
        kept = times[sample].astype(float)
        kept = kept[kept <= 1.0]
        steps = np.minimum(np.rint(kept / 0.1).astype(int), 9)
        assert raster[:, row].sum(1).tolist() == np.bincount(steps, minlength=10).tolist()
    assert data.train.left_out == sum(int((part.astype(float) > 1.0).sum()) for part in times)


def test_files_may_be_packed_as_published(folder: Path) -> None:
    whole, _ = SHD(folder=folder, exact=True).train.batch([0])
    for name in ("shd_train", "shd_test"):
        file = folder / f"shd/{name}.h5"
        (folder / f"shd/{name}.h5.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed, _ = SHD(folder=folder, exact=True).train.batch([0])
    assert isinstance(whole, SpikeTimes)
    assert isinstance(packed, SpikeTimes)
    assert torch.equal(whole.times, packed.times)
    assert torch.equal(whole.units, packed.units)
    assert [state.fault for state in verify("shd", folder)] == [None, None]


def test_ssc_has_its_own_validation_file(tmp_path: Path) -> None:
    for seed, name in enumerate(("train", "valid", "test")):
        write(tmp_path / f"ssc/ssc_{name}.h5", [seed, 34], [1, 2], seed)
    data = SSC(folder=tmp_path)
    parts = (data.train, data.validation, data.test)
    assert [part.targets.tolist() for part in parts] == [[0, 34], [1, 34], [2, 34]]
    assert len(data.classes) == 35


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.9])
def test_a_packed_file_that_was_cut_is_refused(folder: Path, keep: float) -> None:
    file = folder / "shd/shd_train.h5"
    packed = gzip.compress(file.read_bytes())
    (folder / "shd/shd_train.h5.gz").write_bytes(packed[: int(keep * len(packed))])
    with pytest.raises(DataError, match=r"shd_train\.h5\.gz must be whole and as published"):
        len(SHD(folder=folder).train)
    fault = verify("shd", folder)[0].fault
    assert fault is not None
    assert "whole and as published" in fault


@pytest.mark.parametrize(
    ("labels", "speakers", "fault"),
    [
        ([0, 20], [0, 1], "a class outside 0 to 19"),
        ([0, 1], [0], "1 speakers of 2 recordings"),
    ],
)
def test_contents_that_do_not_fit_are_refused(
    folder: Path, labels: list[int], speakers: list[int], fault: str
) -> None:
    write(folder / "shd/shd_train.h5", labels, speakers)
    with pytest.raises(DataError, match=fault):
        len(SHD(folder=folder).train)


@pytest.mark.parametrize("options", [{"steps": 0}, {"dt": 0.0}, {"limit": 0}, {"speaker": -1}])
def test_numbers_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
        SHD(**options)


def test_the_real_set_has_the_published_counts(shared_data: Path) -> None:
    if not (shared_data / "shd").is_dir():
        pytest.skip("the Spiking Heidelberg Digits are not among the real data sets here")
    data = SHD(folder=shared_data, speaker=None)
    assert (len(data.train), len(data.test)) == (8156, 2264)
