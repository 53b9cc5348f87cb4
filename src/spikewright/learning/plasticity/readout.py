"""Which class an unsupervised network means: responses of its neurons, and votes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spikewright.errors import ShapeError

Readout = Literal["sum", "proportional", "most"]
NO_CLASS = -1
"""The prediction for a sample whose outputs were silent; it is right for no sample."""


def add_responses(table: Tensor | None, counts: Tensor, targets: Tensor) -> Tensor:
    """Add samples to a table of responses.

    Args:
        table: (neurons + 1, classes): the spikes of each neuron to samples of each class and, in
            the last row, how many samples; ``None`` for an empty one.
        counts: spikes of the output neurons, (batch, *n).
        targets: (batch,) classes.

    Raises:
        ShapeError: ``targets`` are no classes.

    >>> add_responses(None, torch.tensor([[2.0], [3.0]]), torch.tensor([0, 1])).tolist()
    [[2.0, 3.0], [1.0, 1.0]]
    """
    counts = counts.flatten(1).double()
    wrong = targets.shape != counts.shape[:1] or targets.is_floating_point()
    if wrong or bool((targets < 0).any()):
        raise ShapeError(
            "learning.Local: targets must be one class from 0 for each of the "
            f"{len(counts)} samples, got {tuple(targets.shape)} {targets.dtype}. "
            "Pass class numbers, (batch,) int64."
        )
    targets = targets.long()
    rows = torch.cat([counts, counts.new_ones(len(counts), 1)], 1)
    known = 0 if table is None else table.shape[1]
    classes = max(known, int(targets.max()) + 1)
    after = counts.new_zeros(rows.shape[1], classes)
    if table is not None:
        after[:, :known] = table
    return after.index_add_(1, targets, rows.T.contiguous())


def response(table: Tensor) -> Tensor:
    """Mean spikes of each neuron to a sample of each class, (neurons, classes)."""
    return table[:-1] / table[-1].clamp(min=1)


def votes(table: Tensor, readout: Readout) -> Tensor:
    """What a spike of each neuron says for each class, (neurons, classes).

    ``"proportional"``: its share of responses, which add up to 1. Else 1 for the class that it
    responds to most (of equals the first), its label. A neuron that never spiked says nothing.
    """
    mean = response(table)
    spoke = mean.sum(1, keepdim=True) > 0
    if readout == "proportional":
        return torch.where(spoke, mean / mean.sum(1, keepdim=True), 0.0)
    labels = torch.nn.functional.one_hot(mean.argmax(1), mean.shape[1])
    return torch.where(spoke, labels.double(), 0.0)


def predict(counts: Tensor, table: Tensor, readout: Readout) -> Tensor:
    """The class of each sample, (batch,) int64; `NO_CLASS` where no neuron with a vote spiked.

    Args:
        counts: spikes of the output neurons, (batch, *n).
        table: as `add_responses` makes it.
        readout: ``"sum"``: spikes for each label are added up; ``"proportional"``: each spike
            votes for all classes; ``"most"``: the label of the neuron that spiked most.

    >>> table = add_responses(None, torch.tensor([[2.0, 0], [0, 3]]), torch.tensor([1, 0]))
    >>> predict(torch.tensor([[4.0, 1.0], [0.0, 2.0], [0.0, 0.0]]), table, "sum").tolist()
    [1, 0, -1]
    """
    counts, says = counts.flatten(1).double(), votes(table, readout)
    if readout == "most":
        speaking = counts * (says.sum(1) > 0)
        most = torch.nn.functional.one_hot(speaking.argmax(1), counts.shape[1])
        counts = speaking * most
    scores = counts @ says
    return torch.where(scores.sum(1) > 0, scores.argmax(1), NO_CLASS)
