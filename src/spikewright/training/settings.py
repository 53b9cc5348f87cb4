"""Every option of `fit`, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from spikewright.engine.segments import Memory
from spikewright.errors import SettingsError, nearest
from spikewright.learning.initialisation import DEFAULT_RATE
from spikewright.learning.rule import Rule
from spikewright.learning.surrogate import Surrogate

PRECISIONS = ("32-true", "bf16-mixed", "64-true")
Record = dict[str, Any]
"""One line of ``metrics.jsonl``."""


@dataclass(frozen=True)
class FitSettings:
    """Options of `fit`. One of ``epochs`` and ``seconds`` must be given.

    Attributes:
        epochs: passes over the training data.
        seconds: time budget, s, over all resumed parts; training stops at the first batch past it.
        batch_size: samples a step, over all processes together.
        folder: where ``metrics.jsonl``, ``last/`` and ``best/`` go; ``None`` writes nothing.
        resume: ``"auto"`` goes on from ``folder/last`` where there is one; ``True`` insists on it;
            ``False`` starts anew, and the first save replaces what is there; any other word names
            the checkpoint in the folder to go on from (``"best"``).
        seed: of the data's order, the encoders and the random streams during training.
        initial_rate: spikes per step and neuron that fresh weights are scaled to on a first batch,
            see `spikewright.learning.initialisation.aim_rates`; ``None`` leaves them as drawn.
        validate_every: epochs between validations.
        patience: validations without a better ``monitor`` after which training stops.
        monitor: the validation metric that says what is best; by default accuracy where the rule
            measures it, else loss.
        minimise: whether less of ``monitor`` is better; by default for names ending in loss or
            error.
        keep: whether the network is left with the ``"last"`` or the ``"best"`` weights.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; by default where the network is. Several
            processes come from torchrun.
        memory: ``"full"`` or ``"checkpoint"``, and
        truncate: steps after which no gradient passes on, 0 for none: both in place of the rule's
            own, see `spikewright.learning.Surrogate`; by default as the rule has them.
        precision: ``"32-true"``, ``"bf16-mixed"`` or ``"64-true"``; by default as the network is.
        costs: file with a table of what products cost on this machine, by which they run dense
            or event by event, see `spikewright.engine.products.costs`; by default the shipped
            table.
        checkpoint_every: seconds between saves of ``last`` inside an epoch; each epoch's end also
            saves.
        checkpoint_steps: the same in batches.
        log_every: batches between records of single batches (kind ``"batch"``).
        progress: show progress: a live display in a terminal, else plain lines.
        tensorboard: also write TensorBoard files to ``folder/tensorboard``.
        on_record: called with every record of metrics.
    """

    epochs: int | None = None
    seconds: float | None = None
    batch_size: int = 64
    folder: str | Path | None = None
    resume: bool | str = "auto"
    seed: int = 0
    initial_rate: float | None = DEFAULT_RATE
    validate_every: int = 1
    patience: int | None = None
    monitor: str | None = None
    minimise: bool | None = None
    keep: str = "last"
    device: str | None = None
    memory: Memory | None = None
    truncate: int | None = None
    precision: str | None = None
    costs: str | Path | None = None
    checkpoint_every: float = 60.0
    checkpoint_steps: int | None = None
    log_every: int | None = None
    progress: bool = True
    tensorboard: bool = False
    on_record: Callable[[Record], None] | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "validate_every"):
            _check_count(name, getattr(self, name))
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise SettingsError(
                f"fit: seed must be a whole number from 0 to 2**63 - 1, got {self.seed!r}. "
                "Pass for example seed=0."
            )
        for name in ("epochs", "patience", "checkpoint_steps", "log_every"):
            if getattr(self, name) is not None:
                _check_count(name, getattr(self, name))
        _check_seconds("seconds", self.seconds, positive=True)
        _check_seconds("checkpoint_every", self.checkpoint_every, positive=False)
        _check_choice("keep", self.keep, ("last", "best"))
        if self.precision is not None:
            _check_choice("precision", self.precision, PRECISIONS)
        if self.memory is not None:
            _check_choice("memory", self.memory, get_args(Memory))
        if self.truncate != 0 and self.truncate is not None:
            _check_count("truncate", self.truncate)
        self._check_together()

    def _check_together(self) -> None:
        if self.epochs is None and self.seconds is None:
            raise SettingsError(
                "fit: epochs or seconds must be given, got neither. "
                "Pass for example epochs=10, or seconds=600 for a time budget."
            )
        if self.folder is not None:
            return
        for name, default in (
            ("tensorboard", False),
            ("resume", "auto"),
            ("checkpoint_steps", None),
        ):
            value = getattr(self, name)
            if value not in (default, False):
                raise SettingsError(
                    f"fit: folder must be given with {name}={value!r}, got None. "
                    "Pass for example folder='runs/first'."
                )


def plain_settings(settings: FitSettings) -> dict[str, Any]:
    """The settings as JSON holds them, without the callback.

    >>> plain_settings(FitSettings(epochs=2))["epochs"]
    2
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    del values["on_record"]
    paths = {name: values[name] for name in ("folder", "costs")}
    return values | {name: None if path is None else str(path) for name, path in paths.items()}


def make_settings(settings: FitSettings | None, options: dict[str, Any]) -> FitSettings:
    """Settings from a ready object, with ``options`` on top.

    Raises:
        SettingsError: an option is unknown (the nearest one is named) or has a wrong value.

    >>> make_settings(None, {"epochs": 3}).batch_size
    64
    """
    known = [field.name for field in fields(FitSettings)]
    for name in options:
        if name not in known:
            raise SettingsError(
                f"fit: options must be those of FitSettings, got {name!r}. {nearest(name, known)}"
            )
    before = {name: getattr(settings, name) for name in known} if settings else {}
    return FitSettings(**(before | options))


def with_settings(rule: Rule, settings: FitSettings) -> Rule:
    """The rule with the settings' ``memory`` and ``truncate`` in place of its own.

    Raises:
        SettingsError: the rule does not know them.

    >>> from spikewright.learning import Surrogate
    >>> with_settings(Surrogate(), FitSettings(epochs=1, truncate=100)).truncate
    100
    """
    truncate = {} if settings.truncate is None else {"truncate": settings.truncate or None}
    given = ({} if settings.memory is None else {"memory": settings.memory}) | truncate
    if not given:
        return rule
    if not isinstance(rule, Surrogate):
        name = next(iter(given))
        raise SettingsError(
            f"fit: {name} must be left out with {type(rule).__name__}, got {given[name]!r}. "
            "It is an option of Surrogate."
        )
    return rule.with_memory(**given)


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise SettingsError(
            f"fit: {name} must be a whole number of at least 1, got {value!r}. "
            f"Pass for example {name}=10."
        )


def _check_seconds(name: str, value: Any, *, positive: bool) -> None:
    if value is None and positive:
        return
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        rule = "above 0" if positive else "of at least 0"
        raise SettingsError(
            f"fit: {name} must be a time in seconds {rule}, got {value!r}. Pass for example 60."
        )


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(
            f"fit: {name} must be one of {', '.join(choices)}, got {value!r}. "
            f"{nearest(str(value), choices)}"
        )
