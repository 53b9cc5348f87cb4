"""Train a network: the one verb that joins a network, data and a rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from spikewright.borrow import in_mode, streams_kept
from spikewright.engine.forward import ForwardProgram, forward_by
from spikewright.engine.products.costs import costs_in_force, read_costs, using_costs
from spikewright.errors import SettingsError
from spikewright.learning.rule import Rule
from spikewright.training.batches import Data, check_data
from spikewright.training.evaluate import check_forward, check_rule
from spikewright.training.fabric import Place, open_place
from spikewright.training.interrupt import Interrupt
from spikewright.training.loop import train
from spikewright.training.prepare import finish
from spikewright.training.session import Session, load_best, open_session
from spikewright.training.settings import FitSettings, Record, make_settings, with_settings


@dataclass(frozen=True)
class FitResult:
    """What `fit` did.

    Attributes:
        history: all records of the run, as in ``metrics.jsonl``, resumed parts included.
        best: the best validation record; ``None`` without a validation.
        stopped: why it ended: ``"epochs"``, ``"seconds"``, ``"patience"`` or ``"interrupted"``.
        epochs: finished epochs.
        steps: finished batches.
        seconds: time in training, s.
        folder: where the run is kept.
        rule_state: what the rule holds at the end, for `evaluate`.
        warnings: what was warned of.
    """

    history: list[Record]
    best: Record | None
    stopped: str
    epochs: int
    steps: int
    seconds: float
    folder: Path | None
    rule_state: Any
    warnings: list[str]


def fit(
    network: nn.Module,
    data: Data,
    rule: Rule,
    *,
    forward: ForwardProgram | None = None,
    settings: FitSettings | None = None,
    **options: Any,
) -> FitResult:
    """Train ``network`` in place.

    Writes ``metrics.jsonl`` and the checkpoints ``last/`` and ``best/`` into ``folder``. On a CPU
    a resumed run equals an uninterrupted one bit for bit, wherever it was cut off. Ctrl-C finishes
    the batch, saves and returns; a second one stops at once. The process's random streams are left
    as they were. Started by torchrun, each process trains on its part of every batch.

    Args:
        network: changed in place; sizes that are left open are bound to the data.
        data: a data set with ``dt``, ``train`` and ``validation`` (which may be ``None``).
        rule: how it learns.
        forward: a compiled program that makes the forward pass of every batch, in training and
            validation, with the network's gradient behind it; ``None`` is software. If its device
            dies, ``last`` is saved as before that batch.
        settings: a ready `FitSettings`.
        options: any attribute of `FitSettings`, on top of ``settings``: ``epochs=40``,
            ``folder="runs/a"``.

    Raises:
        SettingsError: an option is unknown or wrong.
        RuleError: the rule does not support the network, or the loss or a weight became NaN.
        DataError: the data is empty or of another dt.
        DeviceError: the device of ``forward`` died; the same command goes on when it is back.
        CheckpointError: the folder cannot be written, or it holds something damaged or another run.
    """
    settings = make_settings(settings, options)
    build = getattr(network, "build", None)
    if build is not None:
        build(data.train.shape)
    rule = with_settings(rule, settings)
    check_rule("fit", network, rule)
    place = open_place(network, settings)
    check_data(network, data, settings.batch_size)
    _check_validation(data, settings)
    check_forward("fit", network, forward)
    costs = using_costs(costs_in_force() if settings.costs is None else read_costs(settings.costs))
    with (
        costs,
        forward_by(None),
        streams_kept(),
        in_mode(network, training=True),
        Interrupt() as interrupt,
    ):
        return _run(network, data, rule, settings, (place, interrupt, forward))


def _check_validation(data: Data, settings: FitSettings) -> None:
    if data.validation is not None and len(data.validation) > 0:
        return
    asked = {"patience": settings.patience, "monitor": settings.monitor}
    asked["keep"] = "best" if settings.keep == "best" else None
    for name, value in asked.items():
        if value is not None:
            raise SettingsError(
                f"fit: {name} must be left out where the data has no validation split, got "
                f"{value!r}. Split the training data."
            )


def _run(
    network: nn.Module,
    data: Data,
    rule: Rule,
    settings: FitSettings,
    around: tuple[Place, Interrupt, ForwardProgram | None],
) -> FitResult:
    session = open_session(network, data, rule, settings, around)
    try:
        stopped = train(session)
        if settings.keep == "best" and session.status.best is not None:
            load_best(session)
        if stopped != "interrupted":
            finish(session)
        if stopped == "interrupted":
            saved = f", saved to {session.folder / 'last'}" if session.folder else ""
            session.display.say(f"stopped by Ctrl-C after {session.status.total} batches{saved}")
        return _result(session, stopped)
    finally:
        session.close()


def _result(session: Session, stopped: str) -> FitResult:
    status = session.status
    return FitResult(
        history=session.history,
        best=status.best,
        stopped=stopped,
        epochs=status.epoch,
        steps=status.total,
        seconds=status.seconds,
        folder=session.folder,
        rule_state=session.rule_state,
        warnings=session.warnings,
    )
