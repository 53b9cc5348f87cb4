"""Runs a chain on a batch: packs what the kernels are given, and adds up what they count."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright import seeding
from spikewright.coding.encoder import check_unit
from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.learning.stochastic.chain import Packed

Form = Literal["causal", "whole"]
WORD = 32
"""Steps in a word of the kernels."""
PURPOSES = ("forward", "gradient", "mask")
_KINDS = 5


@dataclass(frozen=True)
class Plan:
    """How streams run.

    ``scale``: what one error spike of each layer stands for, the input's and the output's 1;
    ``least``: least weight of a new input in each layer's means; ``warm_up``: steps before the
    first coincidence counts; ``smoothing``: share of the label stream that shows any class.
    """

    form: Form
    scale: NDArray[np.float32]
    least: NDArray[np.float32]
    warm_up: int = 0
    smoothing: float = 0.0
    race: bool = False
    learn: bool = True


class Samples(NamedTuple):
    """What runs: ``x`` probabilities, (steps, batch, inputs), or (1, batch, inputs) that hold for
    all ``steps``; ``y`` classes; ``identities`` (batch,) uint64 of the samples' random streams,
    and the ``key`` of all of them.
    """

    x: NDArray[np.float32]
    steps: int
    y: NDArray[np.int64]
    identities: NDArray[np.uint64]
    key: int


class Counts(NamedTuple):
    """Coincidences, as whole rows of the kernels; see `Packed.block`."""

    up: NDArray[np.int32]
    up_bias: NDArray[np.int32]
    down: NDArray[np.int32]
    down_bias: NDArray[np.int32]
    by_layer: NDArray[np.int64]


class Streams(NamedTuple):
    """What a batch did.

    ``wins`` (batch, classes): output spikes; ``potential`` (batch, classes): last means;
    ``counts``: over the batch, with spikes, error spikes, clipped errors, open gates of samples
    that have errors and open gates of all, (5, layers); ``words`` (batch, words, 3, neurons): the
    streams, where they were asked for.
    """

    wins: NDArray[np.int32]
    potential: NDArray[np.float32]
    counts: Counts
    words: NDArray[np.uint32]


def read(where: str, x: Tensor) -> tuple[NDArray[np.float32], int]:
    """A batch of probabilities as the kernels take it, one row if it is constant; and the steps.

    Raises:
        ShapeError: a value is outside [0, 1].
    """
    x = x if x.is_floating_point() else x.float()
    steps = len(x)
    shown = x[:1] if steps and x.stride(0) == 0 else x
    check_unit(where, shown)
    return shown.detach().float().contiguous().numpy(), steps


def run(packed: Packed, plan: Plan, samples: Samples, *, keep: bool = False) -> Streams:
    """Run all samples, on the engine's threads; their number changes nothing.

    Args:
        keep: whether to hand out the words.
    """
    batch, layers = samples.x.shape[1], len(packed.sizes)
    words = -(-samples.steps // WORD)
    neurons, classes = int(packed.starts[-1]), int(packed.sizes[-1])
    kept = np.zeros((batch, words if keep else 0, 3, neurons), np.uint32)
    results = (np.zeros((batch, classes), np.int32), np.zeros((batch, classes), np.float32), kept)
    firsts = _first_streams(samples.key, layers)
    given = (
        (packed.sizes, packed.starts, packed.weight_starts),
        (packed.forward, packed.backward, packed.bias, packed.gain, packed.kept),
        _numbers(plan, samples.steps),
        (samples.x, samples.identities, firsts, samples.y),
    )
    kernel: Any = native(__package__ or "", plan.form).run
    rooms: list[tuple[Any, Any]] = []
    used: list[Any] = []
    held = words if keep or plan.form == "whole" else 1

    def part(first: int, last: int) -> None:
        try:
            room = rooms.pop()
        except IndexError:
            room = _totals(packed, plan.learn), _scratch(packed, held)
            used.append(room[0])
        kernel(*given, room[0], results, room[1], first, last)
        rooms.append(room)

    run_ranges(part, batch, batch * samples.steps * neurons)
    used = used or [_totals(packed, plan.learn)]
    sums: list[Any] = [sum(parts[1:], parts[0]) for parts in zip(*used, strict=True)]
    return Streams(results[0], results[1], Counts(*sums), kept)


def _numbers(plan: Plan, steps: int) -> tuple[Any, ...]:
    smoothing = np.float32(plan.smoothing)
    return steps, plan.warm_up, plan.least, plan.scale, smoothing, plan.race, plan.learn


def _first_streams(key: int, layers: int) -> NDArray[np.uint64]:
    """Where the random streams of each layer begin; a sample's is its identity further."""
    names = [[seeding.derive(key, layer, p) >> 2 for p in PURPOSES] for layer in range(layers)]
    return np.array(names, np.uint64)


def _totals(packed: Packed, learn: bool) -> tuple[Any, ...]:
    weights, neurons = len(packed.forward) if learn else 0, len(packed.bias) if learn else 0
    counts = [np.zeros(size, np.int32) for size in (weights, neurons, weights, neurons)]
    return *counts, np.zeros((_KINDS, len(packed.sizes)), np.int64)


def _scratch(packed: Packed, words: int) -> tuple[Any, ...]:
    neurons, most = len(packed.bias), -(-int(packed.sizes.max()) // 4) * 4
    return (
        np.zeros((words, 3, neurons), np.uint32),
        np.zeros((2, neurons), np.float32),
        np.ones(neurons, np.bool_),
        np.zeros((2, most), np.float32),
        np.zeros((2, most), np.int64),
        np.zeros(most, np.uint64),
    )


def identities(x: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A number for each sample that follows from its values, whatever batch it is in."""
    rows = (x[:, b].tobytes() for b in range(x.shape[1]))
    digests = [hashlib.blake2b(row, digest_size=8).digest() for row in rows]
    return np.array([int.from_bytes(d, "big") >> 2 for d in digests], np.uint64)


def unpack(words: NDArray[np.uint32], steps: int) -> Tensor:
    """Streams as zeros and ones, (steps, ...), from words (words, ...).

    >>> unpack(np.array([[5], [1]], np.uint32), 34).nonzero()[:, 0].tolist()
    [0, 2, 32]
    """
    places = np.arange(WORD, dtype=np.uint32).reshape(1, WORD, *(1,) * (words.ndim - 1))
    bits = (words[:, None] >> places) & 1
    return torch.from_numpy(bits.reshape(-1, *words.shape[1:])[:steps].astype(np.float32))
