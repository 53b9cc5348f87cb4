"""How much memory a training step takes, found out from steps with few samples."""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.borrow import in_mode, streams_kept
from spikewright.engine import memory
from spikewright.errors import NetworkError, ParameterError, ShapeError
from spikewright.learning.rule import Batch, Rule
from spikewright.learning.surrogate import Surrogate
from spikewright.learning.watch import Piece, Trace, watch
from spikewright.network import Network

DENSITY = 0.05
FEW = (4, 8)
"""Samples of the steps that are watched: enough that products run as they do with many."""
ROUNDS = 2
"""Steps that are played through: from the second on there are blocks to be used again."""


@dataclass(frozen=True)
class MemoryEstimate:
    """What a training step adds to a process that holds network, optimiser and data.

    Attributes:
        peak: most bytes in use at one time.
        layers: of these, bytes that each layer's forward pass made, by the layer's name.
    """

    peak: int
    layers: Mapping[str, int]

    def __str__(self) -> str:
        rows = {**self.layers, "gradients and the rest": self.peak - sum(self.layers.values())}
        width = max(map(len, rows))
        lines = [f"{name:<{width}} {size / 1e6:10.1f} MB" for name, size in rows.items()]
        return "\n".join([*lines, f"{'peak':<{width}} {self.peak / 1e6:10.1f} MB"])


def estimate_memory(
    network: Network,
    steps: int,
    batch: int,
    *,
    rule: Rule | None = None,
    x: Tensor | None = None,
    density: float = DENSITY,
) -> MemoryEstimate:
    """The memory that a training step will take, on the CPU; the network is not changed.

    Trains a copy for a step with 4 samples and for one with 8, notes each piece of memory that is
    taken and given back, and plays the same through with pieces of the size that ``batch`` samples
    need.

    Args:
        steps: length of the sequences.
        batch: samples in one training step.
        rule: how the network learns, with its ``memory`` and ``truncate``; by default
            ``Surrogate()``.
        x: input of at least one sample, (time, batch, *features), to be like; it is repeated to
            ``steps`` steps. Without it the input is spikes at random.
        density: share of ones in those.

    Raises:
        NetworkError: the network has no sizes yet.
        ParameterError: ``steps``, ``batch`` or ``density`` is out of range.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> net = Sequential(Linear(100, 50), LIF(), Linear(50, 4), LI(), dt=1e-3)
    >>> small = estimate_memory(net, steps=50, batch=32)
    >>> large = estimate_memory(net, steps=50, batch=64)
    >>> large.peak > small.peak
    True
    """
    _check(network, steps, batch, density)
    rule, outputs = rule or Surrogate(), _outputs(network)
    with streams_kept(), in_mode(network, training=True):
        twin = copy.deepcopy(network)
        sample = _sample(twin, steps, x, density)
        state = rule.init(twin)
        # The first step compiles, and makes the moments of the optimiser.
        _, state = rule.train_batch(twin, _batch(sample, FEW[0], outputs), state)
        traces = [
            watch(
                twin, functools.partial(rule.train_batch, twin, _batch(sample, n, outputs), state)
            )
            for n in FEW
        ]
    return _extrapolate(traces[0], traces[1], batch)


def _batch(sample: Tensor, samples: int, outputs: int) -> Batch:
    """Of tensors of its own, which carry no lists of events yet."""
    return Batch(
        sample[:, :samples].clone(memory_format=torch.contiguous_format),
        torch.arange(samples) % outputs,
    )


def _check(network: Network, steps: int, batch: int, density: float) -> None:
    for name, value in (("steps", steps), ("batch", batch)):
        if type(value) is not int or value < 1:
            raise ParameterError(
                f"estimate_memory: {name} must be a whole number of at least 1, got {value!r}. "
                f"Pass for example {name}=100."
            )
    if not 0 <= density <= 1:
        raise ParameterError(
            f"estimate_memory: density must lie between 0 and 1, got {density!r}. Pass the share "
            "of ones in the input, or x."
        )
    if network.shape is None:
        raise NetworkError(
            "estimate_memory: network must know its sizes, got none. Call net.build(shape) first."
        )


def _outputs(network: Network) -> int:
    """The number of classes."""
    assert network.shape is not None
    return network.build(network.shape)[0]


def _sample(network: Network, steps: int, x: Tensor | None, density: float) -> Tensor:
    """(steps, samples, *features)."""
    assert network.shape is not None
    if x is None:
        values = torch.rand(steps, FEW[1], *network.shape) < density
        return network.to_floating(values)
    if tuple(x.shape[2:]) != network.shape or 0 in x.shape[:2]:
        raise ShapeError(
            f"estimate_memory: x must be (time, batch, *{network.shape}), got {tuple(x.shape)}. "
            "Pass an input as the network takes it."
        )
    times, samples = torch.arange(steps) % len(x), torch.arange(FEW[1]) % x.shape[1]
    return network.to_floating(x.detach()[times][:, samples])


def _extrapolate(few: Trace, more: Trace, batch: int) -> MemoryEstimate:
    share = (batch - FEW[0]) / (FEW[1] - FEW[0])
    if few.like(more):
        return _play(few, more, share)
    # A product took another path with more samples: only the sums can be compared.
    a, b = _play(few, few, 0.0), _play(more, more, 0.0)
    layers = {n: _line(a.layers.get(n, 0), b.layers.get(n, 0), share) for n in b.layers}
    return MemoryEstimate(_line(a.peak, b.peak, share), layers)


def _line(few: int, more: int, share: float) -> int:
    return max(0, round(few + (more - few) * share))


def _play(few: Trace, more: Trace, share: float) -> MemoryEstimate:
    """Take and give back memory as the steps did, in pieces on the line through their sizes."""
    pieces = [
        replace(a, size=_line(a.size, b.size, share))
        for a, b in zip(few.pieces, more.pieces, strict=True)
    ]
    best, blocks = MemoryEstimate(0, {}), _Blocks()
    for _ in range(ROUNDS):
        layers: Counter[str] = Counter()
        taken: set[int] = set()
        for a, b in zip(few.events, more.events, strict=True):
            piece = pieces[a.piece]
            (taken.add if a.taken else taken.discard)(a.piece)
            layers[piece.layer] += piece.size if a.taken else -piece.size
            blocks.move(piece, a.taken)
            peak = blocks.held + _line(a.arrays, b.arrays, share)
            if peak > best.peak:
                best = MemoryEstimate(peak, {name: n for name, n in layers.items() if name})
        for number in taken:
            blocks.move(pieces[number], False)
    return best


class _Blocks:
    """Memory as the engine and PyTorch hold it: free blocks of the engine stay mapped."""

    def __init__(self) -> None:
        self.held = 0
        self.free: Counter[int] = Counter()

    def move(self, piece: Piece, taken: bool) -> None:
        """Take a piece or give it back."""
        block = memory.block_size(piece.size) if piece.pooled else None
        if block is None:
            self.held += piece.size if taken else -piece.size
        elif not taken:
            self.free[block] += 1
            if self._unused() > memory.KEEP_AT_MOST:
                self.held -= self._unused()
                self.free.clear()
        elif self.free[block]:
            self.free[block] -= 1
        else:
            self.held += block

    def _unused(self) -> int:
        return sum(size * count for size, count in self.free.items())
