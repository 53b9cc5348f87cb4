"""Spikes as lists of times, without a time grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.errors import ShapeError
from spikewright.units import check_dt, format_seconds

Shape = tuple[int, ...]
_SLACK = 1e-6
_MAKE = "Make them with SpikeTimes.sort."


@dataclass(frozen=True, eq=False)
class SpikeTimes:
    """The spikes of a batch: in each sample sorted by time, those of equal time by unit.

    Make one with `sort`, `from_raster` or `from_first`, which check what they are given; `check`
    does so for lists that are in order already.

    Attributes:
        times: (spikes,) float64, s, from 0 to ``duration``; may carry a gradient.
        units: (spikes,) int64, row-major index into ``shape``.
        offsets: (batch + 1,) int64; the spikes of sample b are ``offsets[b]:offsets[b + 1]``.
        shape: feature shape of the units.
        duration: length of the trial, s.

    >>> x = torch.zeros(4, 1, 2)
    >>> x[1, 0, 1] = x[3, 0, 0] = 1.0
    >>> spikes = SpikeTimes.from_raster(x, dt=0.5)
    >>> spikes.times.tolist(), spikes.units.tolist()
    ([0.5, 1.5], [1, 0])
    """

    times: Tensor
    units: Tensor
    offsets: Tensor
    shape: Shape
    duration: float

    @classmethod
    def sort(
        cls, times: Tensor, units: Tensor, samples: Tensor, like: tuple[int, Shape, float]
    ) -> SpikeTimes:
        """Spikes in any order.

        Args:
            times: (spikes,), s; differentiable.
            units: (spikes,), row-major index into the feature shape.
            samples: (spikes,), which sample each belongs to.
            like: batch size, feature shape and duration, s.

        Raises:
            ShapeError: lists of unequal length, a time that is not finite or outside of the trial,
                a unit or sample that does not exist, or a trial that is not positive and finite.
        """
        batch, shape, duration = like
        _check_duration(duration)
        _check_whole("units", units)
        _check_whole("samples", samples)
        times, units, samples = times.double(), units.long(), samples.long()
        _check_lists(times, units, samples)
        _check_range("times", times, duration, "the trial")
        _check_range("units", units, math.prod(shape) - 1, f"features {shape}")
        _check_range("samples", samples, batch - 1, "the batch")
        order = units.argsort(stable=True)
        order = order[times.detach()[order].argsort(stable=True)]
        order = order[samples[order].argsort(stable=True)]
        offsets = torch.zeros(batch + 1, dtype=torch.int64, device=times.device)
        offsets[1:] = torch.bincount(samples, minlength=batch).cumsum(0)
        return cls(times[order], units[order], offsets, tuple(shape), float(duration))

    @classmethod
    def from_raster(cls, x: Tensor, dt: float) -> SpikeTimes:
        """Spike counts on a grid, (time, batch, *features): a spike of step n is at n dt.

        Raises:
            ShapeError: ``x`` has no steps, no batch axis, or holds what is no count of spikes.
        """
        check_dt("SpikeTimes", dt)
        _check_duration(len(x) * dt)
        if x.ndim < 3 or not _are_counts(x):
            raise ShapeError(
                "SpikeTimes: raster must be (time, batch, *features) of spike counts, got "
                f"{tuple(x.shape)}{'' if x.ndim < 3 else ' with other numbers'}. Encode values "
                "as spikes first, for example with sw.coding.Latency."
            )
        # Sample first, then time, then unit: the order that the class promises.
        flat = x.detach().flatten(2).transpose(0, 1)
        sample, step, unit = flat.nonzero(as_tuple=True)
        count = flat[sample, step, unit].long()
        sample, step, unit = (v.repeat_interleave(count) for v in (sample, step, unit))
        offsets = torch.zeros(x.shape[1] + 1, dtype=torch.int64, device=x.device)
        offsets[1:] = torch.bincount(sample, minlength=x.shape[1]).cumsum(0)
        return cls(step.double() * dt, unit, offsets, tuple(x.shape[2:]), len(x) * dt)

    @classmethod
    def from_first(cls, first: Tensor, duration: float) -> SpikeTimes:
        """At most one spike a unit, at the times (batch, *features), s; infinity for none.

        Raises:
            ShapeError: no feature axis, or a time that is not in the trial.
        """
        if first.ndim < 2:
            raise ShapeError(
                "SpikeTimes: first times must be (batch, *features), got "
                f"{tuple(first.shape)}. Pass first[None] for a single sample."
            )
        fires = first.detach() != math.inf
        samples, *_ = fires.nonzero(as_tuple=True)
        units = fires.flatten(1).nonzero(as_tuple=True)[1]
        like = (len(first), tuple(first.shape[1:]), duration)
        return cls.sort(first[fires], units, samples, like)

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def size(self) -> int:
        """Number of units."""
        return math.prod(self.shape)

    @property
    def samples(self) -> Tensor:
        """The sample of each spike, (spikes,) int64."""
        index = torch.arange(self.batch, device=self.offsets.device)
        return index.repeat_interleave(self.offsets.diff(), output_size=len(self.times))

    def __len__(self) -> int:
        return len(self.times)

    def check(self) -> None:
        """Raise unless these are lists as `sort` makes them.

        Raises:
            ShapeError: what `sort` refuses, offsets that do not divide the lists, another dtype,
                or times that fall within a sample.
        """
        lists = (self.times, self.units, self.offsets)
        if tuple(part.dtype for part in lists) != (torch.float64, torch.int64, torch.int64):
            raise ShapeError(
                "SpikeTimes: times must be float64, units and offsets int64, got "
                f"{', '.join(str(part.dtype) for part in lists)}. {_MAKE}"
            )
        bounds = self.offsets.tolist()
        if bounds != sorted(bounds) or bounds[:1] != [0] or bounds[-1] != len(self):
            raise ShapeError(
                f"SpikeTimes: offsets must rise from 0 to the number of spikes, {len(self)}, got "
                f"{bounds[:8]}. {_MAKE}"
            )
        _check_duration(self.duration)
        _check_lists(self.times, self.units, self.samples)
        _check_range("times", self.times, self.duration, "the trial")
        _check_range("units", self.units, self.size - 1, f"features {self.shape}")
        if bool(((self.times.detach().diff() < 0) & (self.samples.diff() == 0)).any()):
            raise ShapeError(
                f"SpikeTimes: times must not fall within a sample, got some that do. {_MAKE}"
            )

    def steps(self, dt: float) -> int:
        """The trial's length in steps of ``dt`` seconds."""
        return max(1, round(self.duration / dt))

    def counts(self) -> Tensor:
        """Spikes of each unit, (batch, *shape) float64."""
        place = self.samples * self.size + self.units
        counts = torch.bincount(place, minlength=self.batch * self.size)
        return counts.double().reshape(self.batch, *self.shape)

    def first(self) -> Tensor:
        """Time of the first spike of each unit, (batch, *shape), s, infinity for none.

        Differentiable: each gets the gradient of the spike it is the time of.
        """
        place = self.samples * self.size + self.units
        found = self.times.new_full((self.batch * self.size,), math.inf)
        found = found.scatter_reduce(0, place, self.times, "amin", include_self=False)
        return found.reshape(self.batch, *self.shape)

    def raster(self, dt: float, dtype: torch.dtype | None = None) -> Tensor:
        """Spike counts on a grid, (steps, batch, *shape): each at the step nearest to its time.

        A spike nearer to the trial's end than to the last step is put in the last one.

        Raises:
            ShapeError: the trial is no whole number of steps.
        """
        steps = whole_steps("SpikeTimes", self.duration, check_dt("SpikeTimes", dt))
        step = (self.times.detach() / dt).round().long().clamp(max=steps - 1)
        place = (step * self.batch + self.samples) * self.size + self.units
        # bincount would hold whole numbers of 64 bits beside the result.
        counts = self.times.new_zeros(
            steps * self.batch * self.size, dtype=dtype or torch.get_default_dtype()
        )
        counts.index_add_(0, place, counts.new_ones(1).expand(len(place)))
        return counts.reshape(steps, self.batch, *self.shape)

    def __getitem__(self, part: slice) -> SpikeTimes:
        """The samples of a slice, in order."""
        if not isinstance(part, slice):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ShapeError(
                f"SpikeTimes: samples must be taken by a slice, got {part!r}. Write spikes[3:4]."
            )
        first, last, stride = part.indices(self.batch)
        if stride != 1:
            raise ShapeError(
                f"SpikeTimes: samples must be taken in order, got a stride of {stride}. "
                "Index neighbouring samples, spikes[3:7]."
            )
        bounds = self.offsets[first : max(first, last) + 1]
        inside = slice(int(bounds[0]), int(bounds[-1]))
        return replace(
            self,
            times=self.times[inside],
            units=self.units[inside],
            offsets=bounds - bounds[0],
        )

    def to(self, device: torch.device | str) -> SpikeTimes:
        """The same on another device."""
        moved = {n: getattr(self, n).to(device) for n in ("times", "units", "offsets")}
        return replace(self, **moved)


def sample_count(x: Tensor | SpikeTimes) -> int:
    """Number of samples of a batch, on a grid (time, batch, *features) or as spike times."""
    return x.batch if isinstance(x, SpikeTimes) else x.shape[1]


def take_samples(x: Tensor | SpikeTimes, part: slice) -> Tensor | SpikeTimes:
    """Some samples of a batch, on a grid (time, batch, *features) or as spike times."""
    return x[part] if isinstance(x, SpikeTimes) else x[:, part]


def whole_steps(where: str, duration: float, dt: float) -> int:
    """How many steps of ``dt`` a trial of ``duration`` has, both in s.

    Raises:
        ShapeError: it is no whole number of steps.
    """
    steps = max(1, round(duration / dt))
    if abs(duration / dt - steps) > _SLACK * steps:
        raise ShapeError(
            f"{where}: duration must be a whole number of steps of {format_seconds(dt)}, got "
            f"{format_seconds(duration)}. Choose dt, or a trial, that fits."
        )
    return steps


def _are_counts(x: Tensor) -> bool:
    if not x.is_floating_point():
        return not bool((x < 0).any())
    return bool(((x >= 0) & (x == x.round()) & (x < math.inf)).all())


def _check_duration(duration: float) -> None:
    if not 0 < duration < math.inf:
        raise ShapeError(
            f"SpikeTimes: duration must be a positive, finite time in seconds, got {duration!r}. "
            "Give the length of the trial."
        )


def _check_whole(what: str, values: Tensor) -> None:
    if values.is_floating_point() and bool((values != values.round()).any()):
        raise ShapeError(
            f"SpikeTimes: {what} must be whole numbers, got {values.tolist()[:8]}. Number them "
            "from 0."
        )


def _check_lists(times: Tensor, units: Tensor, samples: Tensor) -> None:
    if not times.shape == units.shape == samples.shape or times.ndim != 1:
        raise ShapeError(
            "SpikeTimes: times, units and samples must be lists of one length, got "
            f"{tuple(times.shape)}, {tuple(units.shape)} and {tuple(samples.shape)}. "
            "Give each spike one of each."
        )


def _check_range(what: str, values: Tensor, highest: float, inside: str) -> None:
    wrong = values.detach()[~((values >= 0) & (values <= highest))]
    if not wrong.numel():
        return
    worst = float(wrong[0])
    shown = format_seconds(worst) if what == "times" and math.isfinite(worst) else f"{worst:g}"
    raise ShapeError(
        f"SpikeTimes: {what} must lie between 0 and {highest:g}, inside {inside}, got {shown}. "
        "Correct or leave out such spikes."
    )
