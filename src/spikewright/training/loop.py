"""The training loop: batches, epochs, validations, saves, and the reasons to stop."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import RuleError, SettingsError
from spikewright.learning import processes
from spikewright.training.batches import draw_batch
from spikewright.training.evaluate import measure
from spikewright.training.in_the_loop import in_the_loop
from spikewright.training.means import Means, flat_metrics
from spikewright.training.order import epoch_order
from spikewright.training.prepare import prepare
from spikewright.training.progress import step_progress
from spikewright.training.rates import (
    TrainingWarning,
    most_spikes,
    rate_warnings,
    skipped_warnings,
    window_warnings,
)
from spikewright.training.session import Session, keep_best, save
from spikewright.training.settings import FitSettings, Record

_FIRST_LOOK = 20
"""Batches after which firing rates are first judged; later once an epoch."""


def train(session: Session) -> str:
    """Train until there is a reason to stop; return it."""
    while (reason := _why_stop(session)) is None:
        reason = _train_epoch(session)
        if reason is not None:
            return _stop_inside(session, reason)
    return reason


def _why_stop(session: Session) -> str | None:
    settings, status = session.settings, session.status
    if settings.epochs is not None and status.epoch >= settings.epochs:
        return "epochs"
    if settings.patience is not None and status.stale >= settings.patience:
        return "patience"
    return _why_stop_now(session)[0]


def _why_stop_now(session: Session) -> tuple[str | None, bool]:
    """What all processes agree on: a reason to stop at once, and whether a save is due."""
    settings, status = session.settings, session.status
    session.read_clock()
    over = settings.seconds is not None and status.seconds >= settings.seconds
    due = time.monotonic() - session.saved_at >= settings.checkpoint_every
    if settings.checkpoint_steps is not None:
        due = due or status.total % settings.checkpoint_steps == 0
    interrupted, over, due = processes.any_true(session.interrupt.asked, over, due)
    return "interrupted" if interrupted else "seconds" if over else None, due


def _train_epoch(session: Session) -> str | None:
    settings, status = session.settings, session.status
    order = epoch_order(len(session.data.train), settings.seed, status.epoch)
    for index in order.split(settings.batch_size)[status.step :]:
        with in_the_loop(session):
            _train_batch(session, index)
        if status.step == session.steps:
            break
        reason, due = _why_stop_now(session)
        if reason is not None:
            return reason
        if due:
            _save_last(session)
    with in_the_loop(session):
        _finish_epoch(session)
    return None


def _train_batch(session: Session, index: Tensor) -> None:
    settings, status = session.settings, session.status
    key = (settings.seed, status.epoch, status.step)
    batch = draw_batch(session.data.train, index, key, session.place)
    assert batch is not None  # check_data has seen to that
    with session.place.autocast():
        metrics, session.rule_state = session.rule.train_batch(
            session.network, batch, session.rule_state
        )
    processes.broadcast(list(session.network.buffers()))
    flat = flat_metrics(metrics, session.rule)
    _check_loss(session, flat)
    session.means = session.means.add(flat, batch.samples)
    status.step += 1
    status.total += 1
    session.read_clock()
    _after_batch(session, flat)


def _check_loss(session: Session, metrics: Mapping[str, float]) -> None:
    loss = metrics.get("loss", 0.0)
    (bad,) = processes.any_true(not math.isfinite(loss))
    if bad:
        status = session.status
        raise RuleError(
            f"fit: loss must be finite, got {loss} in epoch {status.epoch + 1}, batch "
            f"{status.step + 1}. {_last_good(session)}Lower the learning rate, or look at the "
            "inputs and the initial weights."
        )


def _last_good(session: Session) -> str:
    return f"{session.folder / 'last'} is from before that. " if session.folder else ""


def _after_batch(session: Session, metrics: Mapping[str, float]) -> None:
    settings, status = session.settings, session.status
    position = (status.epoch, status.step)
    session.progress = step_progress(session.progress, position, status.seconds, metrics)
    session.display.update(session.progress)
    if settings.log_every is not None and status.total % settings.log_every == 0:
        session.record(_record(session, "batch", Means().add(metrics, 1), status.epoch + 1))
    if status.total == _FIRST_LOOK:
        _warn(session, session.means.join().result())


def _record(session: Session, kind: str, means: Means, epoch: int) -> Record:
    session.read_clock()
    head = {"kind": kind, "epoch": epoch, "step": session.status.total}
    return head | means.join().result() | {"seconds": round(session.status.seconds, 3)}


def _warn(session: Session, found: Mapping[str, Any]) -> None:
    lines = rate_warnings(found.get("rates", {}), most_spikes(session.network))
    lines += window_warnings(found.get("active", {}))
    lines += skipped_warnings(found.get("skipped", 0.0))
    for line in lines:
        about = line.partition(", got")[0]
        if about not in session.status.warned:
            session.status.warned.append(about)
            session.warnings.append(line)
            if processes.rank() == 0:
                warnings.warn(line, TrainingWarning, stacklevel=2)


def _finish_epoch(session: Session) -> None:
    status = session.status
    record = _record(session, "train", session.means, status.epoch + 1)
    status.epoch, status.step, session.means = status.epoch + 1, 0, Means()
    session.record(record)
    _warn(session, record)
    if _validation_due(session.settings, status.epoch):
        _validate(session, status.epoch)
    _save_last(session)
    session.progress = replace(session.progress, epoch=status.epoch, step=0)
    session.display.update(session.progress)


def _validation_due(settings: FitSettings, epoch: int) -> bool:
    return epoch % settings.validate_every == 0 or epoch == settings.epochs


def _validate(session: Session, epoch: int) -> None:
    split = session.data.validation
    if split is None or len(split) == 0:
        return
    prepare(session, final=False)
    result = measure(
        session.network,
        split,
        session.rule,
        session.rule_state,
        place=session.place,
        batch_size=max(256, session.settings.batch_size),
        seed=session.settings.seed,
    )
    session.read_clock()
    status = session.status
    head = {"kind": "validation", "epoch": epoch, "step": status.total}
    record = head | result.metrics | {"seconds": round(status.seconds, 3)}
    session.record(record)
    _judge(session, record)
    session.progress = replace(session.progress, validation=record, best=status.best)


def _judge(session: Session, record: Record) -> None:
    """Keep the network where this validation is the best so far, else count it as stale."""
    name = monitored(session.settings, record)
    if name is None:
        return
    status, minimise = session.status, session.settings.minimise
    if minimise is None:
        minimise = name.endswith(("loss", "error"))
    value, before = record[name], None if status.best is None else status.best[name]
    sign = -1 if minimise else 1
    if not math.isfinite(value) or (before is not None and sign * value <= sign * before):
        status.stale += 1
        return
    status.best, status.stale = record, 0
    _check_weights(session)
    if session.folder is None and session.settings.keep == "best":
        keep_best(session)
    save(session, "best")


def monitored(settings: FitSettings, record: Record) -> str | None:
    """The metric that says what is best; ``None`` where the rule measures neither usual one.

    Raises:
        SettingsError: the one asked for is not measured, or one is needed and there is none.
    """
    measured = [name for name, value in record.items() if isinstance(value, float)]
    measured.remove("seconds")
    name = settings.monitor or next((n for n in ("accuracy", "loss") if n in measured), None)
    needed = settings.patience is not None or settings.keep == "best" or settings.monitor
    if name not in measured and needed:
        raise SettingsError(
            "fit: monitor must be a metric that the rule's evaluate measures "
            f"({', '.join(measured) or 'it measures none'}), got {name!r}. Choose one of them."
        )
    return name


def _save_last(session: Session) -> None:
    _check_weights(session)
    save(session, "last")


def _check_weights(session: Session) -> None:
    for name, weight in session.network.named_parameters():
        if weight.is_floating_point() and bool(torch.isnan(weight).any()):
            raise RuleError(
                f"fit: weights must be numbers, got NaN in {name!r} after batch "
                f"{session.status.total}. {_last_good(session)}Lower the learning rate."
            )


def _stop_inside(session: Session, reason: str) -> str:
    """Put away an epoch that is not finished, so that it can be taken up."""
    if reason == "seconds":
        with in_the_loop(session):
            _validate(session, session.status.epoch + 1)
    _save_last(session)
    return reason
