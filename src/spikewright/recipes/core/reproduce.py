"""Reproduce the figures of a recipe: several seeds, mean and spread, met or not."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikewright.errors import SettingsError, SpikewrightError
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings
from spikewright.recipes.core.workers import side_by_side
from spikewright.report import environment
from spikewright.report.text import number

Values = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One figure: what it must be, what it is, and whether that is enough.

    Attributes:
        value: mean over the seeds.
        sd: standard deviation over the seeds (n - 1); 0 for a single one.
    """

    metric: str
    reference: float
    source: str
    value: float
    sd: float
    seeds: int
    better: str
    met: bool

    @property
    def wanted(self) -> str:
        """The reference as a bound."""
        return f"{'≥' if self.better == 'higher' else '≤'} {self.reference:g}"

    @property
    def ours(self) -> str:
        """The mean, with its spread over several seeds."""
        return f"{self.value:.2f} ± {self.sd:.2f}" if self.seeds > 1 else f"{self.value:.2f}"


def spread(values: Sequence[float]) -> str:
    """A mean with its spread over several seeds.

    >>> spread([97.0, 98.0]), spread([0.0021]), spread([90045.0])
    ('97.5 ± 0.71', '0.0021', '90,045')
    """
    mean = number(statistics.fmean(values), 4)
    return f"{mean} ± {number(statistics.stdev(values), 2)}" if len(values) > 1 else mean


@dataclass(frozen=True)
class Table:
    """The rows of a recipe at a size, the time it took, s, and where it ran.

    ``measured``: all that each seed gave, which is not part of the JSON.
    """

    system: str
    size: str
    rows: tuple[Row, ...]
    seconds: float
    environment: dict[str, Any]
    measured: tuple[Values, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The table as plain values."""
        fields = asdict(self) | {"rows": [asdict(row) for row in self.rows]}
        del fields["measured"]
        return fields

    @property
    def others(self) -> dict[str, str]:
        """What was measured besides the rows, by metric: the mean, over several seeds ± sd."""
        named = {row.metric for row in self.rows}
        first = self.measured[0] if self.measured else {}
        names = [name for name in first if name not in named]
        return {name: spread([values[name] for values in self.measured]) for name in names}


def judge(figure: Figure, values: Sequence[float]) -> Row:
    """A row from the values of the seeds; ``met`` follows from their mean.

    >>> judge(Figure("accuracy, %", 97.0, "the paper"), [96.0, 97.0, 99.0]).met
    True
    """
    mean = statistics.fmean(values)
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return Row(
        metric=figure.metric,
        reference=figure.reference,
        source=figure.source,
        value=mean,
        sd=sd,
        seeds=len(values),
        better=figure.better,
        met=figure.met(mean),
    )


@dataclass(frozen=True)
class Plan:
    """What to run: seeds ``settings.seed``, ``settings.seed + 1``, ... below ``folder``.

    ``workers``: processes that take seeds side by side; results are those of one.
    """

    recipe: Recipe[Any]
    settings: RunSettings
    size: str
    seeds: int
    folder: Path
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("seeds", "workers"):
            value = getattr(self, name)
            if value < 1:
                raise SettingsError(
                    f"reproduce: {name} must be at least 1, got {value}. Pass --{name} 3."
                )


def reproduce(
    plan: Plan,
    *,
    resume: bool | str = "auto",
    progress: bool = True,
    on_seed: Callable[[int, Values], None] | None = None,
) -> Table:
    """Measure a recipe with each seed.

    Args:
        resume: as for a single run, in a folder for each seed.
        progress: whether to show the progress of training, of a single worker.
        on_seed: called after each seed with it and what was measured.
    """
    recipe, start = plan.recipe, time.monotonic()
    seeds = range(plan.settings.seed, plan.settings.seed + plan.seeds)
    measured: list[Values] = []
    for seed, values in zip(seeds, _measure_each(plan, seeds, resume, progress), strict=True):
        measured.append(values)
        if on_seed is not None:
            on_seed(seed, values)
    shown = [figure for figure in recipe.figures if plan.size in figure.sizes]
    rows = tuple(judge(f, [_pick(recipe, f, values) for values in measured]) for f in shown)
    seconds = time.monotonic() - start
    return Table(recipe.name, plan.size, rows, seconds, dict(environment()), tuple(measured))


def _measure_each(
    plan: Plan, seeds: Sequence[int], resume: bool | str, progress: bool
) -> Iterator[Values]:
    """What is measured with each seed, in their order."""
    calls = [
        functools.partial(
            plan.recipe.measure,
            plan.settings.model_copy(update={"seed": seed}),
            plan.folder / f"seed-{seed}",
            resume=resume,
            progress=progress and plan.workers == 1,
        )
        for seed in seeds
    ]
    return side_by_side(calls, plan.workers)


def _pick(recipe: Recipe[Any], figure: Figure, values: Values) -> float:
    if figure.metric not in values:
        raise SpikewrightError(
            f"recipe {recipe.name}: measure must return {figure.metric!r}, got "
            f"{', '.join(values)}. Add it, or correct the figure."
        )
    return float(values[figure.metric])
