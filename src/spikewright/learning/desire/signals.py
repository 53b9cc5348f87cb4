"""The ternary signal: which neurons should fire more, which less, and which do not matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikewright.errors import RuleError
from spikewright.learning.desire.chain import Chain
from spikewright.learning.desire.passes import Array, Spikes, backward, counts


@dataclass(frozen=True)
class Gates:
    """Which errors are passed on.

    Args:
        margin: steps by which the count that a label needs is below the number of steps.
        output: error of an output neuron above which it is told.
        hidden: sum of weighted errors from which on a hidden neuron is told.
    """

    margin: int
    output: float
    hidden: float

    def full(self, steps: int) -> int:
        """The count that stands for 1.

        Raises:
            RuleError: the margin leaves none.
        """
        if self.margin >= steps:
            raise RuleError(
                f"Desire: margin must be below the input's {steps} steps, got {self.margin}. "
                "Lower margin, or give the encoder more steps."
            )
        return steps - self.margin


def output_signs(fired: Array, targets: Array, full: int, gate: float) -> Array:
    """1 for labels that fire too little, -1 for others that fire too much, else 0.

    The error is n / full, for the label 1 - n / full; it counts where it is above ``gate``.

    Args:
        fired: spikes of the output neurons, (batch, classes).
        targets: (batch,).

    >>> output_signs(np.array([[11, 5], [12, 4]]), np.array([0, 0]), full=16, gate=0.3)
    array([[ 1, -1],
           [ 0,  0]], dtype=int8)
    """
    label = np.arange(fired.shape[1]) == targets[:, None]
    error = np.where(label, 1 - fired / full, fired / full)
    return np.where(error > gate, np.where(label, 1, -1), 0).astype(np.int8)


def errors_of(signs: Array, fired: Array, full: int) -> Array:
    """sign |d - n / full| with d = 1 where the sign is positive, else 0; 0 where there is none."""
    return signs * np.abs((signs > 0) - fired / full)


def signs_of(
    chain: Chain,
    spikes: Spikes,
    targets: Array,
    gates: Gates,
    dropped: Mapping[int, Array] | None = None,
) -> list[Array]:
    """The signal at the neurons of each stage, (batch, n) int8; 0 for those that are dropped."""
    full = gates.full(spikes.steps)
    signs = output_signs(counts(spikes.outputs), targets, full, gates.output)
    found = [signs]
    for stage in range(len(chain.stages) - 1, 0, -1):
        errors = errors_of(signs, counts(spikes.after(stage)), full)
        signs = backward(chain, stage, errors, gates.hidden)
        out = (dropped or {}).get(stage)
        if out is not None:
            signs[out] = 0
        found.append(signs)
    return found[::-1]
