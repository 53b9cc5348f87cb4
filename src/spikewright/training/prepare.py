"""What a rule may want to see before it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from spikewright import seeding
from spikewright.borrow import in_mode, streams_kept
from spikewright.learning.rule import Batch, BeforeEvaluation
from spikewright.training.batches import draw_batch
from spikewright.training.session import Session, save

SAMPLES = 256
"""Samples at once."""


def prepare(session: Session, *, final: bool) -> bool:
    """Let the rule look at training data, if it asks for it; return whether it did."""
    rule, network = session.rule, session.network
    if not isinstance(rule, BeforeEvaluation):
        return False
    with in_mode(network, training=False), torch.no_grad(), streams_kept():
        session.rule_state = rule.before_evaluation(
            network, _batches(session), session.rule_state, final=final
        )
    return True


def finish(session: Session) -> None:
    """Prepare for evaluation for good, and keep it in ``last`` where that is what was trained."""
    if prepare(session, final=True) and session.settings.keep == "last":
        save(session, "last")


def _batches(session: Session) -> Iterator[Batch]:
    split, seed = session.data.train, session.settings.seed
    order = torch.randperm(len(split), generator=seeding.generator(seed, "order", "prepare"))
    for step, index in enumerate(order.split(SAMPLES)):
        batch = draw_batch(split, index, (seed, "prepare", step), session.place)
        if batch is not None:
            yield batch
