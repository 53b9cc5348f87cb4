"""What is read from the counts of streams: metrics, and coincidences of all processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spikewright.learning.processes import average, sum_over_processes, world_size
from spikewright.learning.stochastic.chain import Link
from spikewright.learning.stochastic.streams import Counts, Streams

SPIKES, ERRORS, CLIPPED, REACHED, OPEN = range(5)
"""Rows of ``Counts.by_layer``, as the kernels have them."""


def joined(counts: Counts) -> Counts:
    """The coincidences of all processes together."""
    processes = world_size()
    if processes == 1:
        return counts
    tensors = [torch.from_numpy(c.astype(np.float64)) for c in counts[:4]]
    average(tensors, 1)
    (total,) = sum_over_processes([1.0])
    up, up_bias, down, down_bias = (np.rint(t.numpy() * total).astype(np.int32) for t in tensors)
    return Counts(up, up_bias, down, down_bias, counts.by_layer)


def measured(
    chain: list[Link], done: Streams, targets: Tensor, steps: int, readout: str, *, learn: bool
) -> dict[str, Any]:
    """Means over the batch: what `Rule.train_batch` returns, and ``predictions``.

    ``loss`` is the cross-entropy of the last potentials. While learning: ``active``, the share of
    open gates; ``clipped``, the share of errors above the gradient scale; ``error_spikes``, spikes
    of the error streams a sample.
    """
    samples, places = len(targets), max(1, len(targets) * steps)
    scores = done.wins if readout == "spikes" else done.potential
    predictions = torch.from_numpy(scores.argmax(1))
    counts = done.counts.by_layer
    rates = {
        link.name: counts[SPIKES, layer] / (places * link.wires.out_features)
        for layer, link in enumerate(chain, 1)
    }
    found: dict[str, Any] = {
        "loss": float(cross_entropy(torch.from_numpy(done.potential), targets)),
        "accuracy": float((predictions == targets).double().mean()),
        "rates": rates,
        "predictions": predictions,
    }
    if learn:
        found["active"] = {
            link.name: counts[OPEN, layer] / (places * link.wires.out_features)
            for layer, link in enumerate(chain[:-1], 1)
        }
        found["clipped"] = float(counts[CLIPPED].sum() / max(1, counts[REACHED].sum()))
        found["error_spikes"] = float(counts[ERRORS].sum() / max(1, samples))
    return found
