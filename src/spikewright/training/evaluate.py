"""Measure a network on a split, exactly, and count which class was taken for which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.borrow import in_mode, streams_kept
from spikewright.engine.forward import ForwardProgram, forward_by
from spikewright.errors import DataError, RuleError, SettingsError
from spikewright.learning import processes
from spikewright.learning.rule import Rule
from spikewright.network import Network
from spikewright.training.batches import Split, draw_batch
from spikewright.training.fabric import Place
from spikewright.training.means import Means, flat_metrics


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        metrics: means over all samples; ``rates`` maps layers to spikes per step and neuron.
        confusion: (classes, classes) int64, rows the target, columns the prediction; ``None``
            where the rule does not predict classes. Samples without a class are in no column.
        samples: how many samples.
        predictions: the class chosen for each sample, (samples,) int64, in the order of the split,
            negative where the rule chose none; ``None`` like ``confusion``, and with several
            processes.
    """

    metrics: dict[str, Any]
    confusion: Tensor | None
    samples: int
    predictions: Tensor | None = None


def evaluate(  # noqa: PLR0913 - one for each part that a user may choose
    network: nn.Module,
    split: Split,
    rule: Rule,
    *,
    forward: ForwardProgram | None = None,
    rule_state: Any = None,
    batch_size: int = 256,
    seed: int = 0,
    classes: int | None = None,
) -> Evaluation:
    """Measure ``network`` on all samples of ``split``; nothing is changed.

    The same seed encodes the samples into the same spikes. With several processes each measures
    a part, and all return the whole.

    Args:
        network: on the device where it is to run.
        split: for example ``data.test``.
        rule: measures by its read-out and loss.
        forward: a compiled program that makes the forward pass; ``None`` is software. Weights
            that its target cannot hold are brought to the nearest ones that it can.
        rule_state: what training left (`FitResult.rule_state`); by default a fresh one, which
            serves a rule that learns nothing outside the network.
        batch_size: samples at once, at least 1.
        seed: of the encoder.
        classes: rows of the confusion counts; by default up to the highest class that occurs.

    Raises:
        DataError: the split is empty.
        RuleError: the rule does not support the network.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise SettingsError(
            f"evaluate: batch_size must be a whole number of at least 1, got {batch_size!r}. "
            "Pass batch_size=256."
        )
    check_rule("evaluate", network, rule)
    check_forward("evaluate", network, forward)
    state = rule.init(network) if rule_state is None else rule_state
    place = Place(network)
    with forward_by(forward):
        result = measure(network, split, rule, state, place=place, batch_size=batch_size, seed=seed)
    return replace(result, confusion=_widen(result.confusion, classes or 0))


def _widen(confusion: Tensor | None, classes: int) -> Tensor | None:
    if confusion is None:
        return None
    missing = max(0, classes - len(confusion))
    return nn.functional.pad(confusion, (0, missing, 0, missing))


def check_rule(where: str, network: nn.Module, rule: Rule) -> None:
    """Raise RuleError with every requirement that the network does not meet."""
    problems = rule.requirements(network)
    if problems:
        raise RuleError(
            f"{where}: network must suit {type(rule).__name__}, got {'; '.join(problems)}. "
            "Change these layers or choose another rule."
        )


def check_forward(where: str, network: nn.Module, forward: ForwardProgram | None) -> None:
    """Raise SettingsError unless ``forward`` may make the forward pass of ``network`` here."""
    if forward is None:
        return
    obstacle = None
    if not isinstance(forward, ForwardProgram):
        obstacle = f"{type(forward).__name__}, which has no kind and observe(network, x)"
    elif not isinstance(network, Network):
        obstacle = f"it for a {type(network).__name__}, which is no spikewright Network"
    elif processes.world_size() > 1:
        obstacle = f"it in {processes.world_size()} processes, which would share one device"
    if obstacle is not None:
        raise SettingsError(
            f"{where}: forward must be a program that runs a Network in one process, got "
            f"{obstacle}. Pass what sw.compile gives, or leave it out."
        )


def measure(
    network: nn.Module,
    split: Split,
    rule: Rule,
    rule_state: Any,
    *,
    place: Place,
    batch_size: int,
    seed: int,
) -> Evaluation:
    """`evaluate` with everything decided."""
    if len(split) == 0:
        raise DataError("evaluate: split must have at least one sample, got 0. Pass another split.")
    means, pairs = Means(), _Pairs()
    with in_mode(network, training=False), torch.no_grad(), streams_kept(), place.autocast():
        for step, index in enumerate(torch.arange(len(split)).split(batch_size)):
            batch = draw_batch(split, index, (seed, "evaluate", step), place)
            if batch is None:
                continue
            metrics = rule.evaluate(network, batch, rule_state)
            means = means.add(flat_metrics(metrics, rule), batch.samples)
            pairs.add(batch.y, metrics.get("predictions"))
    return Evaluation(means.join().result(), pairs.count(), len(split), pairs.predictions())


class _Pairs:
    """Targets and predictions seen so far."""

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, Tensor]] = []

    def add(self, targets: Tensor, predictions: Tensor | None) -> None:
        if predictions is not None:
            self._seen.append((targets.cpu().long(), predictions.detach().cpu().long()))

    def predictions(self) -> Tensor | None:
        if not self._seen or processes.world_size() > 1:
            return None
        return torch.cat([predictions for _, predictions in self._seen])

    def count(self) -> Tensor | None:
        parts = [pair for part in processes.gather(self._seen) for pair in part]
        if not parts:
            return None
        targets, predictions = (torch.cat(column) for column in zip(*parts, strict=True))
        classes = int(torch.maximum(targets.max(), predictions.max())) + 1
        chosen = predictions >= 0
        cells = torch.bincount((targets * classes + predictions)[chosen], minlength=classes**2)
        return cells.view(classes, classes)
