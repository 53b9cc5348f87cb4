"""Progress as a value: a pure state that batches and records advance, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spikewright.training.means import NESTED, nest
from spikewright.training.settings import Record

SHARES = ("skipped", "truncated")
"""Metrics that are shares, and worth showing only where they are not zero."""
_MEMORY = 0.95
"""How much of the running mean of speed and metrics is kept from one batch to the next."""
_NEXT_TO_NOTHING = 1e-4


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        epoch: finished epochs.
        epochs: epochs asked for; ``None`` with a time budget only.
        step: finished batches of the epoch under way.
        steps: batches in an epoch.
        seconds: time in training so far, s, resumed parts included.
        budget: time budget, s.
        speed: running mean of batches per second of training; 0 before the second batch.
        metrics: running means of loss, accuracy and other metrics over batches.
        rates: running means of spikes per step and neuron, by layer.
        validation: the last validation record.
        best: the best one.
        memory: bytes of main memory the process holds, where that is known.
    """

    steps: int
    epochs: int | None = None
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    budget: float | None = None
    speed: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    validation: Record | None = None
    best: Record | None = None
    memory: int | None = None


def init_progress(steps: int, epochs: int | None = None, budget: float | None = None) -> Progress:
    """Progress before the first batch of ``steps`` an epoch."""
    return Progress(steps=steps, epochs=epochs, budget=budget)


def step_progress(
    progress: Progress, position: tuple[int, int], seconds: float, metrics: Mapping[str, float]
) -> Progress:
    """Progress after a batch.

    Args:
        progress: before it.
        position: finished epochs, finished batches of the one under way.
        seconds: time in training so far, s.
        metrics: of this batch, flat (`flat_metrics`).

    >>> start = init_progress(steps=10, epochs=1)
    >>> step_progress(start, (0, 1), 0.5, {"loss": 2.0}).metrics
    {'loss': 2.0}
    """
    nested = nest(metrics)
    rates = nested.get("rates", {})
    plain = {name: value for name, value in nested.items() if name not in NESTED}
    return replace(
        progress,
        epoch=position[0],
        step=position[1],
        seconds=seconds,
        speed=_speed(progress, seconds),
        metrics=_blend(progress.metrics, plain),
        rates=_blend(progress.rates, rates),
    )


def _speed(progress: Progress, seconds: float) -> float:
    took = seconds - progress.seconds
    if not progress.metrics or took <= 0:  # the first batch compiles kernels and says little
        return progress.speed
    if progress.speed == 0:
        return 1 / took
    return 1 / (_MEMORY / progress.speed + (1 - _MEMORY) * took)


def _blend(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    return {
        name: _MEMORY * before[name] + (1 - _MEMORY) * value if name in before else value
        for name, value in now.items()
    }


def seconds_left(progress: Progress) -> float | None:
    """Time until the epochs or the budget are used up, s; ``None`` while that is not known.

    >>> seconds_left(Progress(steps=10, epochs=3, epoch=1, step=5, speed=5.0))
    3.0
    """
    limits: list[float] = []
    if progress.budget is not None:
        limits.append(max(0.0, progress.budget - progress.seconds))
    if progress.epochs is not None and progress.speed > 0:
        steps = (progress.epochs - progress.epoch) * progress.steps - progress.step
        limits.append(steps / progress.speed)
    return min(limits, default=None)


def share_done(progress: Progress) -> float:
    """The part of the run that is done, 0 to 1, by epochs or by time, whichever is further.

    >>> share_done(Progress(steps=10, epochs=4, epoch=1))
    0.25
    """
    parts = [0.0]
    if progress.epochs is not None:
        done = progress.epoch + progress.step / progress.steps
        parts.append(done / progress.epochs)
    if progress.budget is not None:
        parts.append(progress.seconds / progress.budget)
    return min(1.0, max(parts))


def format_clock(seconds: float | None) -> str:
    """Hours, minutes and seconds as a clock shows them.

    >>> format_clock(75.4), format_clock(3700), format_clock(None)
    ('1:15', '1:01:40', '--:--')
    """
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_metric(name: str, value: float) -> str:
    """A metric as people write it.

    >>> format_metric("accuracy", 0.9712), format_metric("loss", 0.123456)
    ('97.12 %', '0.1235')
    >>> format_metric("truncated", 0.0123456)
    '1.2 %'
    """
    if name in SHARES:
        return f"{100 * value:.2g} %"
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"


def shown_metrics(progress: Progress) -> dict[str, float]:
    """The metrics that say something: without shares that are next to nothing.

    >>> shown_metrics(Progress(steps=10, metrics={"loss": 0.5, "truncated": 2e-6, "skipped": 0.1}))
    {'loss': 0.5, 'skipped': 0.1}
    """
    return {
        name: value
        for name, value in progress.metrics.items()
        if name not in SHARES or value >= _NEXT_TO_NOTHING
    }


def plain_line(progress: Progress) -> str:
    """One line for a log.

    >>> plain_line(Progress(steps=10, epochs=3, epoch=1, metrics={"loss": 0.5}, speed=5.0))
    'epoch 1/3  loss 0.5  5.0 batches/s  4 s left'
    """
    of = f"/{progress.epochs}" if progress.epochs is not None else ""
    batch = f" batch {progress.step}/{progress.steps}" if progress.step else ""
    words = [f"epoch {progress.epoch + bool(progress.step)}{of}{batch}"]
    shown = shown_metrics(progress)
    words += [f"{name} {format_metric(name, value)}" for name, value in shown.items()]
    words += [f"validation {_brief(progress.validation)}"] if progress.validation else []
    words += [f"rates {_rates(progress.rates)}"] if progress.rates else []
    words += [f"{progress.speed:.1f} batches/s"] if progress.speed else []
    left = seconds_left(progress)
    words += [f"{left:.0f} s left" if left < 60 else f"{format_clock(left)} left"] if left else []
    return "  ".join(words)


def _brief(record: Record) -> str:
    names = [name for name in ("accuracy", "loss") if name in record]
    return " ".join(format_metric(name, record[name]) for name in names[:1]) or "done"


def _rates(rates: Mapping[str, float]) -> str:
    return " ".join(f"{layer}={_rate(rate)}" for layer, rate in rates.items())


def _rate(rate: float) -> str:
    """Short, but with two digits of whatever is not zero."""
    return f"{rate:.2g}" if 0 < rate < 0.01 else f"{rate:.3f}"
