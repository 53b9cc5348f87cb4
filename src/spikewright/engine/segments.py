"""Sequences run in parts: gradients cut between them, or each part run again for its gradient.

Where parts are run again, only the input and the state at the start of each are kept from the
forward pass; their number grows with the square root of the steps, and so does memory. Where they
are not, a long sequence still runs in parts: what is in use for a moment only is then small.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine import memory
from spikewright.engine.once import differentiable_once
from spikewright.engine.products.events import pass_on
from spikewright.engine.products.weights import Derived, weights_unchanged
from spikewright.errors import ParameterError, nearest

ROUNDING = 4
"""The length of parts is a multiple of it: kernels take 4 steps at a time."""
FEWEST = 4
"""Parts that are run again, of a sequence that is long enough."""
WORTH = 2048
"""Steps times samples of a part whose fixed cost, which is that of the weights, is small."""
MANY = 16384
"""Those of a part that is not run again, whose memory does not matter."""
_SECOND = "Run the network with memory='full'."
Memory = Literal["full", "checkpoint"]
Span = tuple[int, int]


class Part(NamedTuple):
    """What some steps of a sequence give.

    Args:
        traces: tree of tensors (time, ...).
        sums: tree of tensors that are sums over time.
        state: after the last of the steps.
    """

    traces: Any
    sums: Any
    state: Any


Pass = Callable[[Tensor, Any, int], Part]
"""Runs some steps, (time, batch, *features), from a state; told which is the first of them."""


def check_memory(where: str, memory: str, truncate: int | None) -> None:
    """Raise ParameterError unless ``memory`` is known and ``truncate`` counts steps."""
    known = get_args(Memory)
    if memory not in known:
        raise ParameterError(
            f"{where}: memory must be one of {', '.join(known)}, got {memory!r}. "
            f"{nearest(str(memory), known)}"
        )
    if truncate is not None and (type(truncate) is not int or truncate < 1):
        raise ParameterError(
            f"{where}: truncate must be a number of steps of at least 1, got {truncate!r}. "
            "Pass for example truncate=100, or None."
        )


def spans(steps: int, length: int) -> list[Span]:
    """The first step of each part of a sequence, and that of the next.

    >>> spans(10, 4)
    [(0, 4), (4, 8), (8, 10)]
    """
    return [(first, min(first + length, steps)) for first in range(0, steps, length)]


def segment_length(steps: int, batch: int) -> int:
    """Of parts that are run again: their number is half the root of the steps where that pays.

    >>> segment_length(1000, 64), segment_length(1000, 1), segment_length(1, 64)
    (64, 252, 4)
    """
    number = max(FEWEST, min(math.sqrt(steps) / 2, steps * batch / WORTH))
    return _rounded(steps / number)


def part_length(steps: int, batch: int) -> int:
    """Of parts that are not run again: all steps unless a part of them is still much work.

    >>> part_length(1000, 64), part_length(1000, 16), part_length(1000, 512)
    (252, 1000, 36)
    """
    samples = _cut_as_for.get() or batch
    number = max(1, round(steps * samples / MANY))
    return _rounded(steps / number)


def _rounded(length: float) -> int:
    return ROUNDING * max(1, math.ceil(length / ROUNDING))


_cut_as_for: ContextVar[int | None] = ContextVar("cut as for samples", default=None)


@contextmanager
def cut_as_for(samples: int) -> Iterator[None]:
    """Inside, sequences run in the parts in which they would with so many samples."""
    token = _cut_as_for.set(samples)
    try:
        yield
    finally:
        _cut_as_for.reset(token)


def _parts_of(steps: int, chunk: int, length: int) -> list[Span]:
    """Parts of ``length`` steps at most, none of which spans two chunks of ``chunk`` steps."""
    return [
        (first + i, first + j)
        for first, last in spans(steps, chunk)
        for i, j in spans(last - first, length)
    ]


def run_in_parts(run: Pass, x: Tensor, state: Any, truncate: int | None = None) -> Part:
    """Run a sequence in parts, so that what one needs for a moment only is small.

    Args:
        truncate: steps after which no gradient passes on; ``None`` for none.
    """
    steps, chunk = len(x), truncate or len(x)
    found = _parts_of(steps, chunk, part_length(min(chunk, steps), x.shape[1]))
    if len(found) == 1:
        return run(x, state, 0)
    parts: list[Part] = []
    pieces = x.split([last - first for first, last in found])
    with weights_unchanged():
        for piece, (first, last) in zip(pieces, found, strict=True):
            parts.append(run(pass_on(x, piece, first), state, first))
            state = parts[-1].state
            if last % chunk == 0:
                state = pytree.tree_map_only(Tensor, Tensor.detach, state)
    return Part(
        pytree.tree_map(lambda *pieces: torch.cat(pieces), *(part.traces for part in parts)),
        pytree.tree_map(lambda *terms: torch.stack(terms).sum(0), *(part.sums for part in parts)),
        parts[-1].state,
    )


def run_again(
    run: Pass, x: Tensor, state: Any, parameters: Sequence[Tensor], truncate: int | None = None
) -> Part:
    """Run a sequence now, and each of its segments again when the gradient is asked for.

    The second run draws the same random numbers as the first, and finds the same context
    (`contextvars`) and autocast.

    Args:
        parameters: all tensors besides ``x`` and ``state`` that are to have a gradient.
        truncate: steps after which no gradient passes on; ``None`` for none.
    """
    leaves, tree = pytree.tree_flatten(state)
    job = _Job(run, x, truncate or len(x), tree, list(parameters))
    results = _Segments.apply(job, x, *leaves, *parameters)
    return pytree.tree_unflatten(list(results), job.out)


@dataclass(frozen=True, eq=False)
class _Start:
    """What makes a segment's second run equal to its first."""

    span: Span
    state: list[Any]
    tree: pytree.TreeSpec
    streams: tuple[Tensor, Tensor | None]


class _Graph(NamedTuple):
    """A segment that was run so that its gradient can be taken.

    Args:
        sources: its input and the leaves of its first state.
    """

    sources: list[Any]
    part: Part


@dataclass(eq=False)
class _Job:
    """A sequence on its way forward and back.

    Args:
        chunk: steps after which no gradient passes on.
        tree: that of the first state.
        last: the last segment, which need not run again: nothing else was in memory with it.
    """

    run: Pass
    x: Tensor
    chunk: int
    tree: pytree.TreeSpec
    parameters: list[Tensor]
    starts: list[_Start] = field(default_factory=list[_Start])
    last: _Graph | None = None
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    learning: bool = field(default_factory=torch.is_grad_enabled)
    autocast: dict[str, Any] = field(init=False)
    out: pytree.TreeSpec = field(init=False)

    def __post_init__(self) -> None:
        kind = self.x.device.type
        # With the cache a weight cast without a graph would be taken where one is needed.
        self.autocast = {
            "device_type": kind,
            "enabled": torch.is_autocast_enabled(kind),
            "dtype": torch.get_autocast_dtype(kind),
            "cache_enabled": False,
        }

    def segments(self) -> list[Span]:
        steps, batch = self.x.shape[:2]
        samples = _cut_as_for.get() or batch
        return _parts_of(steps, self.chunk, segment_length(min(self.chunk, steps), samples))

    def forward(self, state: Any) -> Part:
        total, known = None, Derived()
        for first, last in self.segments():
            leaves, tree = pytree.tree_flatten(state)
            start = _Start((first, last), leaves, tree, _streams(self.x))
            self.starts.append(start)
            if self.learning and last == len(self.x):
                self.last = self._graph(start, known)
                part = pytree.tree_map_only(Tensor, Tensor.detach, self.last.part)
            else:
                part = self._go(pass_on(self.x, self.x[first:last], first), state, first, known)
            total = _add(total or _room(part, len(self.x)), part, first)
            state = part.state
        assert total is not None
        return total._replace(state=state)

    def backward(self, grads: Part) -> list[Tensor | None]:
        """Gradients of the input, the first state's leaves and the parameters."""
        x = torch.zeros_like(self.x) if self.x.requires_grad else None
        totals: list[Tensor | None] = [None] * len(self.parameters)
        state: list[Tensor | None] = []
        known = Derived()
        for start in reversed(self.starts):
            first, last = start.span
            with weights_unchanged(known):
                found = self._gradients(start, self._again(start, known), grads)
            state, own = found[1 : 1 + len(start.state)], found[1 + len(start.state) :]
            if x is not None and found[0] is not None:
                x[first:last] = found[0]
            totals = [_sum(a, b) for a, b in zip(totals, own, strict=True)]
            passed = state if first % self.chunk else [None for _ in state]
            grads = grads._replace(state=pytree.tree_unflatten(passed, start.tree))
        return [x, *state, *totals]

    def _again(self, start: _Start, known: Derived) -> _Graph:
        """A segment with its graph, which serves once."""
        if start is self.starts[-1] and self.last is not None:
            graph, self.last = self.last, None
            return graph
        with torch.random.fork_rng(devices=[self.x.device] if self.x.is_cuda else []):
            _restore(start.streams, self.x)
            return self._graph(start, known)

    def _graph(self, start: _Start, known: Derived) -> _Graph:
        first, last = start.span
        x = pass_on(self.x, self.x.detach()[first:last], first)
        x.requires_grad_(self.x.requires_grad)
        state = [_fresh(leaf) for leaf in start.state]
        with torch.enable_grad():
            part = self._go(x, pytree.tree_unflatten(state, start.tree), first, known)
        return _Graph([x, *state], part)

    def _go(self, x: Tensor, state: Any, first: int, known: Derived) -> Part:
        def go() -> Part:
            with weights_unchanged(known), torch.autocast(**self.autocast):
                return self.run(x, state, first)

        return self.context.run(go)

    def _gradients(self, start: _Start, graph: _Graph, grads: Part) -> list[Tensor | None]:
        first, last = start.span
        along = pytree.tree_map_only(Tensor, lambda g: g[first:last], grads.traces)
        made = pytree.tree_leaves(graph.part)
        given = pytree.tree_leaves(grads._replace(traces=along))
        pairs = [(y, g) for y, g in zip(made, given, strict=True) if _takes(y) and g is not None]
        sources = [*graph.sources, *self.parameters]
        wanted = [source for source in sources if _takes(source)]
        if not pairs or not wanted:
            return [None for _ in sources]
        outputs, seeds = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(outputs, wanted, seeds, allow_unused=True))
        return [next(found) if _takes(source) else None for source in sources]


class _Segments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, job: _Job, x: Tensor, *others: Any) -> tuple[Any, ...]:
        count = len(others) - len(job.parameters)
        part = job.forward(pytree.tree_unflatten(list(others[:count]), job.tree))
        results, job.out = pytree.tree_flatten(part)
        # Kept so that autograd refuses to go on with tensors that were changed in between.
        ctx.save_for_backward(x, *(t for t in others if isinstance(t, Tensor)))
        ctx.job = job
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors, needs = ctx.saved_tensors, ctx.needs_input_grad[1:]
        with torch.no_grad():
            given = pytree.tree_unflatten(list(grads), ctx.job.out)
            found = ctx.job.backward(given)
        results = [g if wants else None for g, wants in zip(found, needs, strict=True)]
        results = differentiable_once("engine.segments", _SECOND, results, (*tensors, *grads))
        return (None, *results)


def _room(part: Part, steps: int) -> Part:
    def empty(y: Tensor) -> Tensor:
        if y.device.type == "cpu":
            return memory.empty((steps, *y.shape[1:]), y.dtype)
        return y.new_empty((steps, *y.shape[1:]))

    sums = pytree.tree_map_only(Tensor, torch.zeros_like, part.sums)
    return Part(pytree.tree_map_only(Tensor, empty, part.traces), sums, None)


def _add(total: Part, part: Part, first: int) -> Part:
    for whole, piece in zip(*map(pytree.tree_leaves, (total.traces, part.traces)), strict=True):
        whole[first : first + len(piece)] = piece
    return total._replace(sums=pytree.tree_map(torch.add, total.sums, part.sums))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    # Not in place: a gradient that autograd hands out may be shared.
    return b if a is None else a if b is None else a + b


def _fresh(leaf: Any) -> Any:
    """A leaf of a state, cut off from what made it."""
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.detach().requires_grad_(leaf.is_floating_point())


def _takes(value: Any) -> bool:
    """Whether ``value`` is a tensor with a gradient."""
    return isinstance(value, Tensor) and value.requires_grad


def _streams(x: Tensor) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(x.device) if x.is_cuda else None


def _restore(streams: tuple[Tensor, Tensor | None], x: Tensor) -> None:
    torch.set_rng_state(streams[0])
    if streams[1] is not None:
        torch.cuda.set_rng_state(streams[1], x.device)
