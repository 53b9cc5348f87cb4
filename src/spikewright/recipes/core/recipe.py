"""What a recipe is: a task, a network, a rule, and the figures that they must meet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from spikewright import seeding
from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import SettingsError, nearest
from spikewright.learning.initialisation import aim_rates
from spikewright.learning.rule import Rule
from spikewright.network import Network
from spikewright.recipes.core.say import Say, silent
from spikewright.settings import Settings, Source, make

if TYPE_CHECKING:
    from spikewright.recipes.core.hardware import Deployment, Plane
    from spikewright.recipes.core.metric_table import MetricTable
    from spikewright.recipes.core.run import Outcome
    from spikewright.recipes.core.sweep import Sweep

SIZES = ("small", "full")
FIRST_SAMPLES = 256


class RunSettings(Settings):
    """What every recipe can be told."""

    epochs: int = Field(10, ge=1)
    """passes over the training data"""
    seconds: float | None = Field(None, gt=0)
    """time budget, s: training stops at the first batch past it"""
    batch_size: int = Field(64, ge=1)
    """samples a step"""
    seed: int = Field(0, ge=0, lt=2**63)
    """of the first weights, the order of the samples and the encoder"""
    memory: Literal["full", "checkpoint"] | None = None
    """full, or checkpoint, which runs parts again in the backward pass; the rule's if not set"""
    truncate: int | None = Field(None, ge=0)
    """steps after which no gradient passes on, 0 for none; the rule's if not set"""
    threads: int | None = Field(None, ge=1)
    """processor threads; torch's own choice if not set"""


S = TypeVar("S", bound=RunSettings)


@dataclass(frozen=True)
class Figure:
    """A figure that a recipe must meet.

    Args:
        metric: name and unit; a key of what `Recipe.measure` returns.
        reference: the value to meet, in that unit.
        source: where the reference is from.
        better: whether a ``"higher"`` or a ``"lower"`` value is better.
        sizes: sizes of the recipe that show it.
    """

    metric: str
    reference: float
    source: str
    better: Literal["higher", "lower"] = "higher"
    sizes: tuple[str, ...] = SIZES

    def met(self, value: float) -> bool:
        """Whether a value is as good as the reference.

        >>> Figure("test accuracy, %", 97.0, "the paper").met(97.0)
        True
        """
        return value >= self.reference if self.better == "higher" else value <= self.reference


class Recipe(ABC, Generic[S]):
    """One system: give `data`, `network` and `rule`, and override the rest where it differs.

    Attributes:
        title: heading of reports.
        Settings: its settings; their defaults are those of ``small``.
        sizes: for each size, what differs from the defaults.
        seeds: for each size, how many runs `reproduce` averages over.
        figures: what must be met.
        sweeps: metrics that reports draw as curves.
        tables: metrics that are shown as tables.
        picture: rows and columns of the picture that inputs are, where reports are to show what
            each neuron of the first layer looks for.
    """

    title: ClassVar[str]
    Settings: type[S]
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {}, "full": {}}
    seeds: ClassVar[Mapping[str, int]] = {"small": 3, "full": 10}
    figures: ClassVar[Sequence[Figure]] = ()
    sweeps: ClassVar[Sequence[Sweep]] = ()
    tables: ClassVar[Sequence[MetricTable]] = ()
    picture: ClassVar[tuple[int, int] | None] = None

    @property
    def name(self) -> str:
        """The name on the command line: that of the file."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @abstractmethod
    def data(self, settings: S) -> Any:
        """The task: a `spikewright.data.DataSet`."""

    @abstractmethod
    def network(self, settings: S) -> Network:
        """A fresh network; drawn from torch's global stream, which the caller has seeded."""

    @abstractmethod
    def rule(self, settings: S) -> Rule:
        """How the network learns."""

    def prepare(self, network: Network, data: Any, settings: S) -> None:
        """Set the first weights; by default so that each layer fires at a usual rate."""
        aim_rates(network, self.first_batch(data, settings))

    def first_batch(self, data: Any, settings: S) -> Tensor | SpikeTimes:
        """Training samples to look at before training, (time, batch, *features) or spike times."""
        stream = seeding.generator(settings.seed, "first batch")
        index = torch.randperm(len(data.train), generator=stream)[:FIRST_SAMPLES]
        return data.train.batch(index, stream)[0]

    def fit_options(self, settings: S) -> dict[str, Any]:
        """Options of `fit`; by default the common settings, and the best validation is kept."""
        common = ("epochs", "seconds", "batch_size", "seed", "memory", "truncate")
        return {name: getattr(settings, name) for name in common} | {"keep": "best"}

    def deployments(self, settings: S) -> tuple[Deployment, ...]:
        """Where the trained network goes; by default nowhere."""
        return ()

    def plane(self, data: Any, settings: S) -> Plane | None:
        """Points of a plane to show the choices on; ``None`` where inputs are no points."""
        return None

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        """What is measured of a single run besides; by default nothing.

        Args:
            say: told in a few words what comes next.
        """
        return {}

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        """One value for each metric of `figures`; by default those of one run.

        Args:
            settings: with the seed to use.
            folder: an own folder for this seed.
            resume: whether to go on from what the folder holds.
            progress: whether to show progress.
        """
        from spikewright.recipes.core.run import run

        done = run(self, settings, folder, resume=resume, progress=progress)
        return done.metrics()

    def settings(self, size: str = "small", sources: Sequence[Source] = ()) -> S:
        """The settings of a size, with those of ``sources`` on top.

        Raises:
            SettingsError: an unknown size or key, or a wrong value.
        """
        if size not in self.sizes:
            raise SettingsError(
                f"recipe {self.name}: size must be one of {', '.join(self.sizes)}, got {size!r}. "
                f"{nearest(size, self.sizes)}"
            )
        return make(self.Settings, [Source(f"size {size}", self.sizes[size]), *sources])
