from __future__ import annotations

import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spikewright.data.events import Events, bin_events, read_atis, read_bs1, read_bs2, read_hdf5
from spikewright.errors import DataError, ParameterError

# x = 3, y = 33, polarity 1, 70000 µs; x = 0, y = 1, polarity 0, 8388607 µs, worked out by hand.
TWO_EVENTS = bytes([3, 33, 0x81, 0x11, 0x70, 0, 1, 0x7F, 0xFF, 0xFF])
COUNTS = {
    "dvs-gesture/1.bs2": 63471,
    "dvs-gesture/10.bs2": 85936,
    "formats/NTIDIGITS_1.bs1": 898,
    "formats/sample_nmnist.bin": 4325,
    "oxford/input.bs1": 1889,
    "oxford/output.bs1": 10361,
}


@pytest.fixture(scope="module")
def samples(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    with tarfile.open(shared_data / "events" / "event-samples.tar.xz") as archive:
        for name in COUNTS:
            stream = archive.extractfile(name)
            assert stream is not None
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(stream.read())
    return folder


@pytest.mark.parametrize("name", COUNTS)
def test_real_recordings_have_the_published_number_of_events(samples: Path, name: str) -> None:
    if name.endswith(".bs1"):
        events = read_bs1(samples / name, units=200 if "oxford" in name else 64)
    elif name.endswith(".bin"):
        events = read_atis(samples / name)
    else:
        events = read_bs2(samples / name, 128, 128)
    assert len(events) == COUNTS[name]
    counts = bin_events(events, dt=5e-3)
    assert counts.sum() == COUNTS[name]


def test_address_events_are_decoded_bit_by_bit(tmp_path: Path) -> None:
    (tmp_path / "a.bs2").write_bytes(TWO_EVENTS)
    events = read_bs2(tmp_path / "a.bs2")
    polarity, y, x = events.coordinates()
    assert (x.tolist(), y.tolist(), polarity.tolist()) == ([3, 0], [33, 1], [1, 0])
    assert events.times.tolist() == pytest.approx([0.07, 8.388607], rel=1e-15)


def test_channel_events_have_sixteen_bit_units(tmp_path: Path) -> None:
    (tmp_path / "a.bs1").write_bytes(bytes([1, 2, 0x80, 0, 9]))
    events = read_bs1(tmp_path / "a.bs1", units=300)
    assert events.units.tolist() == [258]
    assert events.times.tolist() == pytest.approx([9e-6])


def test_overflow_marks_of_atis_move_later_events_on(tmp_path: Path) -> None:
    mark = bytes([0, 240, 0, 0, 0])
    event = bytes([1, 1, 0, 0, 5])
    (tmp_path / "a.bin").write_bytes(event + mark + event + mark + event)
    events = read_atis(tmp_path / "a.bin")
    assert np.rint(events.times * 1e6).tolist() == [5, 5 + 8192, 5 + 2 * 8192]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (TWO_EVENTS[:-1], "9 bytes, not a whole number of 5-byte events"),
        (bytes([34, 0, 0, 0, 0]), "an event at x = 34 of 34"),
        (bytes([0, 99, 0, 0, 0]), "an event at y = 99 of 34"),
    ],
)
def test_damaged_event_file_is_refused_with_its_fault(tmp_path: Path, raw: bytes, fault) -> None:
    (tmp_path / "bad.bs2").write_bytes(raw)
    with pytest.raises(DataError, match=fault) as caught:
        read_bs2(tmp_path / "bad.bs2")
    assert "bad.bs2" in str(caught.value)


def test_unit_outside_the_channels_and_absent_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bs1").write_bytes(bytes([0, 64, 0x80, 0, 9]))
    with pytest.raises(DataError, match="unit = 64 of 64"):
        read_bs1(tmp_path / "a.bs1", units=64)
    with pytest.raises(DataError, match=r"none\.bs1 must be readable"):
        read_bs1(tmp_path / "none.bs1", units=64)


def test_recording_without_events_is_silent(tmp_path: Path) -> None:
    (tmp_path / "a.bs2").write_bytes(b"")
    assert torch.equal(bin_events(read_bs2(tmp_path / "a.bs2"), 1e-3), torch.zeros(1, 2, 34, 34))


def shd_file(path: Path, times: list, units: list, labels: list) -> Path:
    with h5py.File(path, "w") as file:
        for name, rows, dtype in (("times", times, np.float16), ("units", units, np.uint16)):
            kind = h5py.vlen_dtype(np.dtype(dtype))
            entry = file.create_dataset(f"spikes/{name}", (len(rows),), dtype=kind)
            for row, values in enumerate(rows):
                entry[row] = np.asarray(values, dtype)
        file["labels"] = np.asarray(labels, np.uint16)
    return path


def test_hdf5_recordings_come_back_with_labels(tmp_path: Path) -> None:
    path = shd_file(tmp_path / "a.h5", [[0.0, 0.25, 0.5], [0.125]], [[5, 699, 5], [0]], [19, 3])
    recordings, labels = read_hdf5(path)
    assert labels.tolist() == [19, 3]
    assert recordings[0].times.tolist() == [0.0, 0.25, 0.5]
    assert recordings[0].units.tolist() == [5, 699, 5]
    assert recordings[1].units.tolist() == [0]
    assert bin_events(recordings[0], dt=0.25).nonzero().tolist() == [[0, 5], [1, 699], [2, 5]]


@pytest.mark.parametrize(
    ("times", "units", "labels", "fault"),
    [
        ([[0.0]], [[700]], [1], "unit = 700 of 700"),
        ([[0.0, 1.0]], [[7]], [1], "one for each unit"),
        ([[np.nan]], [[7]], [1], "not finite"),
        ([[0.0]], [[7]], [1, 2], "1 times, 1 units, 2 labels"),
    ],
)
def test_hdf5_that_does_not_fit_is_refused(tmp_path: Path, times, units, labels, fault) -> None:
    with pytest.raises(DataError, match=fault):
        read_hdf5(shd_file(tmp_path / "a.h5", times, units, labels))


def test_file_that_is_no_hdf5_or_lacks_entries_is_refused(tmp_path: Path) -> None:
    whole = shd_file(tmp_path / "a.h5", [[0.0]], [[7]], [1]).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.h5"):
        read_hdf5(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(DataError, match=r"empty\.h5.*cannot read as SHD"):
        read_hdf5(tmp_path / "empty.h5")
    with pytest.raises(DataError, match="must exist"):
        read_hdf5(tmp_path / "none.h5")


def random_events(count: int) -> Events:
    random = np.random.default_rng(1)
    times = np.sort(random.integers(0, 300_000, count)) * 1e-6
    return Events(times, random.integers(0, 18, count), (2, 3, 3))


@pytest.mark.parametrize("dt", [1e-6, 1e-3, 7e-4, 0.1, 1.0])
def test_binning_keeps_every_event_and_agrees_with_integer_arithmetic(dt: float) -> None:
    events = random_events(500)
    counts = bin_events(events, dt)
    assert counts.sum() == 500
    expected = np.zeros(counts.shape).reshape(len(counts), 18)
    for tick, unit in zip(np.rint(events.times * 1e6).astype(int), events.units, strict=True):
        expected[tick // round(dt * 1e6), unit] += 1
    assert np.array_equal(counts.reshape(len(counts), 18).numpy(), expected)


def test_shorter_grid_leaves_out_what_comes_after_its_end() -> None:
    events = random_events(500)
    whole = bin_events(events, 1e-3)
    assert torch.equal(bin_events(events, 1e-3, steps=100), whole[:100])


def test_maximum_caps_the_counts() -> None:
    events = random_events(500)
    whole = bin_events(events, 0.1)
    assert whole.max() > 4
    assert torch.equal(bin_events(events, 0.1, maximum=4), whole.clamp(max=4))


def test_bad_grids_and_times_before_zero_are_refused() -> None:
    with pytest.raises(ParameterError, match="steps and maximum must be 1 or more"):
        bin_events(random_events(3), 1e-3, steps=0)
    with pytest.raises(ParameterError, match="dt must be"):
        bin_events(random_events(3), 0.0)
    with pytest.raises(DataError, match="times must be 0 s or later"):
        bin_events(Events(np.array([-1e-3]), np.array([0]), (1,)), 1e-3)
