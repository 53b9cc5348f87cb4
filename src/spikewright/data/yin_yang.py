"""The Yin-Yang data set: points of a disc in three classes, made on the spot."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.data.split import Arrays, Sequences, Split, checked_count
from spikewright.data.store import DataSource
from spikewright.errors import DataError, ParameterError, ShapeError
from spikewright.units import check_dt, format_seconds

RADIUS = 0.5
EYE_RADIUS = 0.1
ROUNDING = 1e-9
"""38 * 1e-6 lies below 38e-6."""
PUBLISHED_SHA256 = "d8337314c20ad10e904fef825451f951589728835d6368b75471d720bbf0648c"


def generate(size: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw ``size`` points: (size, 4) coordinates and (size,) classes.

    >>> samples, classes = generate(1, seed=42)
    >>> float(samples[0, 0] + samples[0, 2]), int(classes[0])
    (1.0, 2)
    """
    random = np.random.RandomState(seed)
    samples = np.empty((size, 4))
    classes = np.empty(size, np.int64)
    for row in range(size):
        goal = random.randint(3)
        x, y = _draw(random, goal)
        samples[row] = x, y, 1.0 - x, 1.0 - y
        classes[row] = goal
    return samples, classes


def class_of(x: float, y: float) -> int:
    """The class of a point of the disc: 2 in an eye, else 1 or 0 by the side of the curve.

    >>> class_of(0.75, 0.5), class_of(0.5, 0.9), class_of(0.5, 0.1)
    (2, 1, 0)
    """
    right = np.sqrt((x - 1.5 * RADIUS) ** 2 + (y - RADIUS) ** 2)
    left = np.sqrt((x - 0.5 * RADIUS) ** 2 + (y - RADIUS) ** 2)
    if right < EYE_RADIUS or left < EYE_RADIUS:
        return 2
    around_left = EYE_RADIUS < left <= 0.5 * RADIUS
    upper = y > RADIUS and right > 0.5 * RADIUS
    return int(right <= EYE_RADIUS or around_left or upper)


def check_published() -> None:
    """Raise DataError unless this NumPy still draws the published arrays."""
    digest = hashlib.sha256()
    for size, seed in ((5000, 42), (1000, 41), (1000, 40)):
        for array in generate(size, seed):
            digest.update(array.tobytes())
    if digest.hexdigest() != PUBLISHED_SHA256:
        raise DataError(
            f"data.verify: the generated Yin-Yang set must equal the published one, got SHA-256 "
            f"{digest.hexdigest()}. Its figures cannot be compared; use another NumPy."
        )


def _draw(random: np.random.RandomState, goal: int) -> tuple[float, float]:
    while True:
        x, y = random.rand(2) * 2.0 * RADIUS
        inside = np.sqrt((x - RADIUS) ** 2 + (y - RADIUS) ** 2) <= RADIUS
        if inside and class_of(x, y) == goal:
            return x, y


class YinYang:
    """Yin-Yang: a point (x, y) in a disc, as one spike each on x, y, 1 - x, 1 - y and a bias.

    t = t_early + value (t_late - t_early), rounded to the grid, or exact.

    On a grid of 1 µs points of different classes share their steps, and about 2.5 % of the points
    cannot be told apart; exact times have no such limit.

    The points are drawn with NumPy's legacy generator by rejection, class first, so that classes
    are balanced; with the default sizes and seeds they equal the published arrays bit for bit.
    Class numbers are the publication's. Its names are kept too, although its code calls the
    region of class 1 "yin": trust the number.

    Args:
        steps: time steps.
        dt: time step, s.
        t_early: time of the spike for value 0, s.
        t_late: time of the spike for value 1, s.
        t_bias: time of the bias spike, s.
        bias: whether there is a fifth, bias channel.
        sizes: samples in train, validation and test.
        seeds: seeds of train, validation and test; equal ones would give overlapping sets.
        exact: hand out `SpikeTimes`, of a trial of ``steps * dt`` seconds, not spikes on the grid.

    Raises:
        ParameterError: a time lies outside the grid or trial, or sizes or seeds do not fit.

    Source: Kriener, Göltz, Petrovici, arXiv:2102.08211 (NICE 2022).

    >>> x, y = YinYang(sizes=(100, 10, 10)).train.batch([0, 1])
    >>> tuple(x.shape), x.sum(0).tolist()[0], y.tolist()
    ((38, 2, 5), [1.0, 1.0, 1.0, 1.0, 1.0], [2, 1])
    >>> data = YinYang(exact=True, bias=False)
    >>> data.encode(torch.tensor([[0.25, 0.51]])).times.mul(1e6).round(decimals=3).tolist()
    [8.0, 13.76, 14.24, 20.0]
    """

    classes = ("yin", "yang", "dot")
    source = DataSource(
        name="yin-yang",
        title="Yin-Yang (generated, nothing to fetch)",
        licence="MIT",
        citation="Kriener, Göltz, Petrovici. The Yin-Yang dataset. NICE 2022. arXiv:2102.08211",
        page="https://github.com/lkriener/yin_yang_data_set",
        files=(),
        check=check_published,
    )

    def __init__(  # noqa: PLR0913 - the settings of the publication, all with defaults
        self,
        steps: int = 38,
        dt: float = 1e-6,
        t_early: float = 2e-6,
        t_late: float = 26e-6,
        t_bias: float = 2e-6,
        bias: bool = True,
        sizes: tuple[int, int, int] = (5000, 1000, 1000),
        seeds: tuple[int, int, int] = (42, 41, 40),
        *,
        exact: bool = False,
    ) -> None:
        self.name = self.source.name
        self.dt = check_dt("YinYang", dt)
        self.steps = checked_count("YinYang", "steps", steps) or steps
        self.times = (t_early, t_late, t_bias)
        self.bias = bias
        self.exact = exact
        self._check_times()
        _check_sets(sizes, seeds)
        self.train, self.validation, self.test = (
            YinYangSplit(self, size, seed) for size, seed in zip(sizes, seeds, strict=True)
        )

    def _check_times(self) -> None:
        t_early, t_late, _ = self.times
        place = "in the trial" if self.exact else "on the grid"
        last = self.duration if self.exact else (self.steps - 1) * self.dt
        for name, time in zip(("t_early", "t_late", "t_bias"), self.times, strict=True):
            if not (time >= 0 and self._fits(time)):
                raise ParameterError(
                    f"YinYang: {name} must lie {place}, 0 to {format_seconds(last)}, got "
                    f"{format_seconds(time)}. Use more steps or another dt."
                )
        if not t_early < t_late:
            raise ParameterError(
                f"YinYang: t_early must be below t_late = {format_seconds(t_late)}, got "
                f"{format_seconds(t_early)}. Value 0 spikes at t_early, value 1 at t_late."
            )

    def _fits(self, time: float) -> bool:
        if self.exact:
            return time <= self.duration * (1 + ROUNDING)
        return round(time / self.dt) < self.steps

    @property
    def duration(self) -> float:
        """Length of a trial, s."""
        return self.steps * self.dt

    def encode(self, points: Tensor) -> Sequences:
        """Spikes for points of the plane, such as a grid that decision boundaries are drawn on.

        Args:
            points: (points, 2), x and y, each 0 to 1.

        Returns:
            (time, points, channels) or `SpikeTimes`, as the splits hand out their samples.

        Raises:
            ShapeError: another shape, or a coordinate outside 0 to 1.

        >>> YinYang().encode(torch.tensor([[0.25, 0.5]])).argmax(0).tolist()
        [[8, 14, 20, 14, 2]]
        """
        if (
            points.ndim != 2
            or points.shape[1] != 2
            or not bool(((points >= 0) & (points <= 1)).all())
        ):
            raise ShapeError(
                "YinYang.encode: points must be (points, 2) with coordinates from 0 to 1, got "
                f"shape {tuple(points.shape)}. Pass x and y of each."
            )
        return self.spikes(torch.cat([points, 1 - points], dim=1).double())

    def spikes(self, values: Tensor) -> Sequences:
        """Spikes for (samples, 4) values x, y, 1 - x, 1 - y: (time, samples, channels) or exact."""
        times = self.spike_times(values)
        if self.exact:
            # Rounding may carry the last one past the end.
            return SpikeTimes.from_first(times.clamp(max=self.duration), self.duration)
        steps = torch.round(times / self.dt).long()
        spikes = torch.zeros(self.steps, *steps.shape)
        return spikes.scatter_(0, steps[None], 1.0)

    def spike_times(self, values: Tensor) -> Tensor:
        """Time of each channel's spike, (samples, channels) float64, s."""
        t_early, t_late, t_bias = self.times
        times = t_early + values * (t_late - t_early)
        if self.bias:
            times = torch.cat([times, times.new_full((len(values), 1), t_bias)], dim=1)
        return times


class YinYangSplit(Split):
    """One drawn set of points; ``values`` are x, y, 1 - x, 1 - y in float64."""

    def __init__(self, data: YinYang, size: int, seed: int) -> None:
        super().__init__(partial(_tensors, size, seed), data.steps, (5 if data.bias else 4,))
        self._data = data

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Sequences:
        return self._data.spikes(self.values[index])


def _tensors(size: int, seed: int) -> Arrays:
    samples, classes = generate(size, seed)
    return torch.from_numpy(samples), torch.from_numpy(classes)


def _check_sets(sizes: tuple[int, int, int], seeds: tuple[int, int, int]) -> None:
    if len(sizes) != 3 or len(seeds) != 3:
        raise ParameterError(
            f"YinYang: sizes and seeds must be three numbers each, got {sizes} and {seeds}. "
            "They are for train, validation and test."
        )
    for size in sizes:
        checked_count("YinYang", "sizes", size)
    if len(set(seeds)) != 3:
        raise ParameterError(
            f"YinYang: seeds must differ from each other, got {seeds}. "
            "Sets of one seed hold the same points."
        )
