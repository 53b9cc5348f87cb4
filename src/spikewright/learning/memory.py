"""How much memory a training step takes, found out from steps with few samples."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.borrow import in_mode, streams_kept
from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine import memory
from spikewright.engine.forward import forward_by
from spikewright.engine.segments import cut_as_for
from spikewright.errors import NetworkError, ParameterError, ShapeError
from spikewright.learning.rule import Batch, Rule
from spikewright.learning.surrogate import Surrogate
from spikewright.learning.watch import Piece, Trace, watch
from spikewright.network import Network

DENSITY = 0.05
FEWEST = 4
"""Samples of the smaller of the two steps that are watched, if there are so many."""
SHARE = 8
"""The smaller step has the batch divided by it: many enough that products run as they will."""
HEAP = 1.3
"""What the C library holds for pieces that are not the engine's, as a multiple of their size."""
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
    x: Tensor | SpikeTimes | None = None,
    density: float = DENSITY,
) -> MemoryEstimate:
    """The memory that a training step will take, on the CPU; the network is not changed.

    Trains a copy for a step with an eighth of the batch and for one with a quarter, but at least 4
    and 8 samples, notes each piece of memory that is taken and given back, and plays the same
    through with pieces of the size that ``batch`` samples need. Where the two take other paths it
    tries twice as many. A heap that earlier work left in fragments can take a fifth more.

    Args:
        steps: length of the sequences.
        batch: samples in one training step.
        rule: how the network learns, with its ``memory`` and ``truncate``; by default
            ``Surrogate()``.
        x: input of at least one sample, (time, batch, *features) or spike times, to be like; it is
            repeated to ``steps`` steps. Without it the input is spikes at random.
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
    rule = rule or Surrogate()
    with streams_kept(), in_mode(network, training=True), cut_as_for(batch), forward_by(None):
        step = _Step(copy.deepcopy(network), rule, _outputs(network))
        few = max(1, min(max(FEWEST, batch // SHARE), batch // 2))
        while True:
            sample = _sample(network, (steps, 2 * few), x, density)
            traces = step.watched(sample[:, :few]), step.watched(sample)
            if traces[0].like(traces[1]) or 4 * few > batch:
                return _extrapolate(*traces, batch / few - 1)
            few *= 2


class _Step:
    """A training step of a copy of the network."""

    def __init__(self, twin: Network, rule: Rule, outputs: int) -> None:
        self.twin, self.rule, self.outputs = twin, rule, outputs
        self.state = rule.init(twin)

    def watched(self, x: Tensor) -> Trace:
        """The memory of a step with the input ``x`` that is not the first such."""
        # The first compiles, and makes the moments of the optimiser.
        _, self.state = self.rule.train_batch(self.twin, self._batch(x), self.state)
        batch = self._batch(x)
        return watch(self.twin, lambda: self.rule.train_batch(self.twin, batch, self.state))

    def _batch(self, x: Tensor) -> Batch:
        """Of tensors of its own, which carry no lists of events yet."""
        own = x.clone(memory_format=torch.contiguous_format)
        return Batch(own, torch.arange(x.shape[1]) % self.outputs)


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


def _sample(
    network: Network, sizes: tuple[int, int], x: Tensor | SpikeTimes | None, density: float
) -> Tensor:
    """(steps, samples, *features)."""
    assert network.shape is not None
    steps, samples = sizes
    if x is None:
        values = torch.rand(steps, samples, *network.shape) < density
        return network.to_floating(values)
    x = network.to_floating(x)
    if tuple(x.shape[2:]) != network.shape or 0 in x.shape[:2]:
        raise ShapeError(
            f"estimate_memory: x must be (time, batch, *{network.shape}), got {tuple(x.shape)}. "
            "Pass an input as the network takes it."
        )
    times, rows = torch.arange(steps) % len(x), torch.arange(samples) % x.shape[1]
    return x.detach()[times][:, rows]


def _extrapolate(few: Trace, more: Trace, share: float) -> MemoryEstimate:
    """Of a step with the samples of ``few`` and ``share`` times those that ``more`` has on top."""
    if few.like(more):
        return _play(few, more, share)
    # A product took another path with more samples: only the sums can be compared.
    a, b = _play(few, few, 0.0), _play(more, more, 0.0)
    layers = {n: _line(a.layers.get(n, 0), b.layers.get(n, 0), share) for n in b.layers}
    return MemoryEstimate(_line(a.peak, b.peak, share), layers)


def _line(few: int, more: int, share: float) -> int:
    return max(0, round(few + (more - few) * share))


def _play(few: Trace, more: Trace, share: float) -> MemoryEstimate:
    """Take and give back memory as ``more`` did, in pieces on the line through both sizes."""
    pieces = [
        replace(a, size=_line(a.size, b.size, share))
        for a, b in zip(few.pieces, more.pieces, strict=True)
    ]
    a, b = (max((event.arrays for event in trace.events), default=0) for trace in (few, more))
    growth = HEAP * _line(a, b, share) / max(1, b)
    best, blocks = MemoryEstimate(0, {}), _Blocks()
    for _ in range(ROUNDS):
        layers: Counter[str] = Counter()
        taken: set[int] = set()
        for event in more.events:
            piece = pieces[event.piece]
            (taken.add if event.taken else taken.discard)(event.piece)
            layers[piece.layer] += piece.size if event.taken else -piece.size
            blocks.move(piece, event.taken)
            peak = blocks.held + round(event.arrays * growth)
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
            self.held += round(HEAP * (piece.size if taken else -piece.size))
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
