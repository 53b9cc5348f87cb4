"""Training with a device in the forward pass: when the device dies, nothing is lost."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright import seeding
from spikewright.engine.forward import forward_by
from spikewright.errors import DeviceError
from spikewright.training.means import Means
from spikewright.training.session import Session, Status, copy_weights, save, saved_position


@dataclass(frozen=True)
class _Before:
    """Everything that a checkpoint holds, as it was at one moment."""

    weights: dict[str, Tensor]
    rule_state: Any
    status: Status
    means: Means
    random: Any
    position: int


@contextmanager
def in_the_loop(session: Session) -> Iterator[None]:
    """Run a part of the training with the session's program in the forward pass, if it has one.

    Raises:
        DeviceError: the device died. All is then as it was before the block, and saved as ``last``.
    """
    if session.forward is None:
        yield
        return
    before = _remember(session)
    try:
        with forward_by(session.forward):
            yield
    except DeviceError as cause:
        _put_back(session, before)
        save(session, "last", before.position)
        raise DeviceError(f"{cause} {_way_on(session)}") from cause


def _remember(session: Session) -> _Before:
    return _Before(
        copy_weights(session.network),
        pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), session.rule_state),
        copy.deepcopy(session.status),
        session.means,
        seeding.random_state(),
        saved_position(session),
    )


def _put_back(session: Session, before: _Before) -> None:
    session.network.load_state_dict(before.weights)
    session.rule_state, session.means = before.rule_state, before.means
    session.status = before.status
    seeding.restore_random_state(before.random)


def _way_on(session: Session) -> str:
    if session.folder is None:
        return (
            "The network is as it was before this batch, but nothing was saved. Give fit a folder, "
            "and it can go on when the device is back."
        )
    resume = session.settings.resume
    how = "" if resume in (True, "auto", "last") else ", with resume='auto',"
    return (
        f"Nothing is lost: run the same command{how} when the device is back; it resumes from "
        f"{session.folder / 'last'}, after {session.status.total} batches."
    )
