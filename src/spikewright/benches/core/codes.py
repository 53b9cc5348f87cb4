"""What a code of values holds and costs, found by encoding and decoding values even in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.coding import Bernoulli, Invertible

EVEN = 2**16
"""Values: the middles of as many equal parts of [0, 1]."""


@dataclass(frozen=True)
class Held:
    """Figures of a code.

    Args:
        levels: how many values come back, of all that went in.
        spikes: mean number for a value.
        greatest: error of a value.
        rms: error of all values.
        bits: information that the spikes hold about the value, bits a step.
    """

    levels: int
    spikes: float
    greatest: float
    rms: float
    bits: float


def even_values(number: int = EVEN) -> Tensor:
    """(number,) float64, even in [0, 1].

    >>> even_values(4).tolist()
    [0.125, 0.375, 0.625, 0.875]
    """
    return (torch.arange(number, dtype=torch.float64) + 0.5) / number


def hold(code: Invertible, values: Tensor) -> Held:
    """Encode and decode values; each of L levels is one of log2 L bits.

    Args:
        values: (number,) float64 in [0, 1]. What lies in the middle between two values that came
            back is looked at too, for the greatest error.
    """
    spikes = code(values[None])
    back = code.decode(spikes)[0]
    levels = back.unique()
    between = (levels[1:] + levels[:-1]) / 2
    worst = torch.cat([back - values, code.decode(code(between[None]))[0] - between])
    return Held(
        levels=len(levels),
        spikes=float(spikes.sum(0).mean()),
        greatest=float(worst.abs().max()),
        rms=float((back - values).square().mean().sqrt()),
        bits=math.log2(len(levels)) / code.steps,
    )


def hold_by_chance(code: Bernoulli, values: Tensor) -> Held:
    """The same of a count by chance, from the probabilities of all counts: nothing is drawn.

    The information is that which the count n and the value x have of each other, with all values
    as likely: sum over x and n of P(x, n) log2 (P(n | x) / P(n)).
    """
    counts = torch.arange(code.steps + 1, dtype=torch.float64)
    trains = (torch.arange(code.steps)[:, None] < counts).double()
    back = code.decode(trains[:, None])[0]
    chance = binomial(code.steps, values * code.peak)
    error = back - values[:, None]
    share = torch.where(chance > 0, (chance / chance.mean(0)).log2(), 0.0)
    return Held(
        levels=len(back.unique()),
        spikes=float((chance @ counts).mean()),
        greatest=float(error[chance > 0].abs().max()),
        rms=float((chance * error.square()).sum(1).mean().sqrt()),
        bits=float((chance * share).sum(1).mean()) / code.steps,
    )


def binomial(trials: int, p: Tensor) -> Tensor:
    """Chances of 0 to ``trials`` successes, (number, trials + 1), for chances p (number,) of one.

    >>> binomial(2, torch.tensor([0.5, 1.0])).tolist()
    [[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]]
    """
    n = torch.arange(trials + 1, dtype=p.dtype)
    ways = torch.tensor([math.comb(trials, k) for k in range(trials + 1)], dtype=p.dtype)
    return ways * p[:, None] ** n * (1 - p[:, None]) ** (trials - n)
