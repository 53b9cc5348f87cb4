"""The scan of a step over a sequence as a registered operation."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine.cpu.backend import scan_cpu
from spikewright.engine.custom_ops.operation import call, register
from spikewright.engine.gpu.backend import scan_gpu, state_dtype
from spikewright.engine.layer import Shape
from spikewright.engine.products.events import events_for, events_wanted
from spikewright.engine.reference import Outputs
from spikewright.engine.spike import surrogate_in_force
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.tracing.trace import Step

Trees = tuple[pytree.TreeSpec, pytree.TreeSpec, pytree.TreeSpec]


@dataclass(frozen=True)
class Outline:
    """What a step gives out.

    Args:
        outputs: trailing shape of each output.
        single: whether the step returns one tensor rather than a tuple.
    """

    outputs: tuple[Shape, ...]
    single: bool


@dataclass(frozen=True)
class Scan:
    """``spikewright::scan``: flat inputs, state and coefficients to outputs and the last state.

    Args:
        trees: how the flat arguments are put together.
        dtype: of the outputs.
        gpu: whether the kernels are those of the GPU.
        marked: whether the outputs carry their events.
    """

    step: Step
    surrogate: SurrogateGradient
    features: Shape
    trees: Trees
    outline: Outline
    dtype: torch.dtype
    gpu: bool
    marked: bool

    @property
    def name(self) -> str:
        return "scan"

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        kernels: Any = scan_gpu if self.gpu else scan_cpu
        rest = [self.dtype] if self.gpu else []
        surrogate = surrogate_in_force(self.surrogate)
        with events_for(self.marked):
            parts = build(tensors, self.trees)
            results = kernels(self.step, *parts, self.features, surrogate, *rest)
        return pytree.tree_leaves(results)

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        first = self.trees[0].num_leaves
        x, states = tensors[0], tensors[first : first + self.trees[1].num_leaves]
        lead = (*x.shape[:2], *self.features)
        kind = state_dtype(self.dtype) if self.gpu else self.dtype
        outputs = [x.new_empty((*lead, *k), dtype=self.dtype) for k in self.outline.outputs]
        return outputs + [s.new_empty(s.shape, dtype=kind) for s in states]


def scan(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    features: Shape,
    surrogate: SurrogateGradient,
    kind: tuple[torch.dtype, bool],
) -> tuple[Outputs, Any]:
    """`spikewright.engine.scan.scan` of prepared arguments, as a registered operation.

    Args:
        kind: dtype of the result, and whether the kernels are those of the GPU.
    """
    tensors, trees = flatten(inputs, state, coefficients)
    outline = outline_of(step, tensors, trees, len(features))
    operation = Scan(step, surrogate, features, trees, outline, *kind, events_wanted())
    results = call(operation, tensors)
    return put_together(results, outline, trees[1])


def put_together(
    results: list[Tensor], outline: Outline, tree: pytree.TreeSpec
) -> tuple[Outputs, Any]:
    """Outputs and state from flat results."""
    count = len(outline.outputs)
    outputs = results[0] if outline.single else tuple(results[:count])
    return outputs, pytree.tree_unflatten(results[count : count + tree.num_leaves], tree)


def flatten(inputs: Any, state: Any, coefficients: Any) -> tuple[list[Tensor], Trees]:
    """The flat arguments of a step, and how they are put together."""
    parts = [pytree.tree_flatten(tree) for tree in (inputs, state, coefficients)]
    return [t for leaves, _ in parts for t in leaves], (parts[0][1], parts[1][1], parts[2][1])


def build(tensors: list[Tensor], trees: Trees) -> list[Any]:
    """The other way round."""
    leaves = iter(tensors)
    return [pytree.tree_unflatten([next(leaves) for _ in range(t.num_leaves)], t) for t in trees]


def outline_of(step: Step, tensors: list[Tensor], trees: Trees, rank: int) -> Outline:
    """What ``step`` gives out for such arguments; ``rank`` axes are a sample's."""
    ends = trees[0].num_leaves, trees[0].num_leaves + trees[1].num_leaves
    leads = [2 + rank] * ends[0] + [1 + rank] * (ends[1] - ends[0])
    leads += [rank] * (len(tensors) - ends[1])
    pairs = zip(tensors, leads, strict=True)
    return _outline(step, tuple(tuple(t.shape[lead:]) for t, lead in pairs), trees)


@functools.lru_cache(maxsize=512)
def _outline(step: Step, trailing: tuple[Shape, ...], trees: Trees) -> Outline:
    neuron = [torch.empty(shape, device="meta") for shape in trailing]
    made: Any = step(*build(neuron, trees))[0]
    outputs = made if isinstance(made, tuple) else (made,)
    return Outline(tuple(tuple(y.shape) for y in outputs), isinstance(made, Tensor))


register("scan")
