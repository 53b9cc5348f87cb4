from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.coding import SpikeTimes
from spikewright.data import YinYang
from spikewright.data.yin_yang import generate
from spikewright.errors import ParameterError, ShapeError

SMALL = (60, 10, 10)


def published(folder: Path, name: str) -> np.ndarray:
    with tarfile.open(folder / "yin-yang" / "yin-yang-publication.tar.xz") as archive:
        stream = archive.extractfile(f"publication_data/{name}.npy")
        assert stream is not None
        return np.load(io.BytesIO(stream.read()))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_generated_arrays_equal_the_published_bit_for_bit(shared_data: Path, part: str) -> None:
    split = getattr(YinYang(), part)
    samples = published(shared_data, f"{part}_samples")
    labels = published(shared_data, f"{part}_labels")
    assert split.values.numpy().tobytes() == samples.tobytes()
    assert split.targets.tolist() == labels.tolist()


def test_classes_follow_the_distances_to_the_eyes() -> None:
    samples, classes = generate(400, seed=3)
    for (x, y, _, _), label in zip(samples.tolist(), classes.tolist(), strict=True):
        right, left = math.dist((x, y), (0.75, 0.5)), math.dist((x, y), (0.25, 0.5))
        side = int(left <= 0.25 or (y > 0.5 and right > 0.25))
        assert label == (2 if min(left, right) < 0.1 else side)
        assert math.dist((x, y), (0.5, 0.5)) <= 0.5


def test_classes_are_balanced_within_three_sigma() -> None:
    counts = np.bincount(generate(3000, seed=0)[1])
    assert np.abs(counts - 1000).max() < 3 * math.sqrt(3000 * (1 / 3) * (2 / 3))


@pytest.mark.parametrize("dt", [1e-6, 0.5e-6, 3e-6])
def test_each_channel_spikes_once_at_the_rounded_time(dt: float) -> None:
    steps = round(38e-6 / dt)
    split = YinYang(steps=steps, dt=dt, sizes=SMALL).train
    index = torch.tensor([5, 0, 59])
    x, y = split.batch(index)
    expected = torch.zeros(steps, 3, 5)
    for row, sample in enumerate(index.tolist()):
        for channel, value in enumerate([*split.values[sample].tolist(), 0.0]):
            expected[round((2e-6 + value * 24e-6) / dt), row, channel] = 1.0
    assert torch.equal(x, expected)
    assert torch.equal(y, split.targets[index])


def test_bias_spikes_at_its_own_time_and_can_be_left_out() -> None:
    x, _ = YinYang(t_bias=9e-6, sizes=SMALL).test.batch([3])
    assert x[:, 0, 4].nonzero().tolist() == [[9]]
    without, _ = YinYang(bias=False, sizes=SMALL).test.batch([3])
    assert torch.equal(without, x[:, :, :4])


def test_points_of_the_plane_are_encoded_as_the_samples_are() -> None:
    data = YinYang(sizes=SMALL)
    x, _ = data.train.batch(torch.arange(60))
    assert torch.equal(data.encode(data.train.values[:, :2]), x)
    for points in (torch.rand(3), torch.rand(3, 4), torch.tensor([[0.2, 1.01]])):
        with pytest.raises(ShapeError, match="coordinates from 0 to 1"):
            data.encode(points)


def test_exact_times_are_those_of_the_equation_and_not_rounded() -> None:
    data = YinYang(sizes=SMALL, exact=True)
    x, y = data.train.batch([7, 3])
    assert isinstance(x, SpikeTimes)
    assert (x.batch, x.shape, x.duration) == (2, (5,), 38 * 1e-6)
    for row, sample in enumerate((7, 3)):
        values = [*data.train.values[sample].tolist(), 0.0]
        assert x.first()[row].tolist() == pytest.approx([2e-6 + v * 24e-6 for v in values])
    assert torch.equal(x.counts(), torch.ones(2, 5))
    assert y.tolist() == data.train.targets[[7, 3]].tolist()


def test_exact_times_on_the_grid_are_the_spikes_of_the_grid() -> None:
    exact, grid = YinYang(sizes=SMALL, exact=True), YinYang(sizes=SMALL)
    x, _ = exact.test.batch(torch.arange(10))
    assert isinstance(x, SpikeTimes)
    assert torch.equal(x.raster(1e-6), grid.test.batch(torch.arange(10))[0])
    points = exact.encode(exact.test.values[:, :2])
    assert isinstance(points, SpikeTimes)
    assert torch.equal(points.times, x.times)


def test_an_exact_time_may_be_the_end_of_the_trial_and_none_later() -> None:
    x, _ = YinYang(sizes=SMALL, exact=True, t_bias=38e-6).train.batch([0])
    assert isinstance(x, SpikeTimes)
    assert x.times[-1] == x.duration
    with pytest.raises(ParameterError, match="t_late must lie in the trial, 0 to 38 µs, got 39 µs"):
        YinYang(exact=True, t_late=39e-6)


def test_splits_hold_different_points() -> None:
    data = YinYang(sizes=(100, 100, 100))
    rows = torch.cat([data.train.values, data.validation.values, data.test.values])
    assert len(rows.unique(dim=0)) == 300


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"t_late": 38e-6}, "t_late must lie on the grid, 0 to 37 µs, got 38 µs"),
        ({"t_bias": -1e-6}, "t_bias must lie on the grid"),
        ({"t_early": math.nan}, "t_early must lie on the grid"),
        ({"t_early": 30e-6}, "t_early must be below t_late"),
        ({"steps": 0}, "steps must be a whole number from 1 on, got 0"),
        ({"dt": 0.0}, "dt must be a positive"),
        ({"seeds": (1, 1, 2)}, "seeds must differ"),
        ({"sizes": (10, 10)}, "three numbers each"),
        ({"sizes": (10, 0, 10)}, "sizes must be a whole number"),
    ],
)
def test_bad_settings_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault.replace("(", r"\(")):
        YinYang(**options)


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        ([], "at least one integer"),
        ([[0]], "one axis"),
        ([0.5], "one axis of at least one integer"),
        ([True], "integer"),
        ([-1], "must lie in 0 to 59, got -1"),
        ([60], "got 60"),
    ],
)
def test_bad_indices_are_refused(index: list, fault: str) -> None:
    with pytest.raises(ShapeError, match=fault):
        YinYang(sizes=SMALL).train.batch(index)


def test_small_integer_indices_are_taken_as_numbers_not_as_a_mask() -> None:
    split = YinYang(sizes=SMALL).train
    x, y = split.batch(torch.tensor([1, 0, 1], dtype=torch.uint8))
    wide, wide_y = split.batch(torch.tensor([1, 0, 1]))
    assert torch.equal(x, wide)
    assert torch.equal(y, wide_y)
