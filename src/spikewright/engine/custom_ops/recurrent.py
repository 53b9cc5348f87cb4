"""The scan of a recurrent layer as a registered operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine.custom_ops.operation import call, register
from spikewright.engine.custom_ops.scan import (
    Outline,
    Trees,
    build,
    flatten,
    outline_of,
    put_together,
)
from spikewright.engine.gpu.recurrent import scan_recurrent_gpu
from spikewright.engine.products.events import events_for, events_wanted
from spikewright.engine.recurrent.backend import scan_recurrent
from spikewright.engine.reference import Outputs
from spikewright.engine.spike import surrogate_in_force
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.tracing.trace import Step
from spikewright.engine.wiring import Wiring


@dataclass(frozen=True)
class RecurrentScan:
    """``spikewright::recurrent_scan``: a scan's arguments, weights, past spikes and a bias if any.

    The connection is one without delays. See `Scan`.
    """

    step: Step
    surrogate: SurrogateGradient
    trees: Trees
    outline: Outline
    dtype: torch.dtype
    gpu: bool
    marked: bool

    @property
    def name(self) -> str:
        return "recurrent_scan"

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        count = sum(tree.num_leaves for tree in self.trees)
        weight, past, *bias = tensors[count:]
        wiring = Wiring(weight, bias[0] if bias else None, None, past)
        kernels: Any = scan_recurrent_gpu if self.gpu else scan_recurrent
        rest = [self.dtype] if self.gpu else []
        surrogate = surrogate_in_force(self.surrogate)
        with events_for(self.marked):
            parts = build(tensors[:count], self.trees)
            results = kernels(self.step, *parts, surrogate, wiring, *rest)
        return pytree.tree_leaves(results[:2])

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        first, fields, others = (tree.num_leaves for tree in self.trees)
        x, past = tensors[0], tensors[first + fields + others + 1]
        lead = (x.shape[0], *past.shape[1:])
        outputs = [past.new_empty((*lead, *k), dtype=self.dtype) for k in self.outline.outputs]
        return outputs + [s.new_empty(s.shape) for s in tensors[first : first + fields]]


def recurrent_scan(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    surrogate: SurrogateGradient,
    wiring: Wiring,
    kind: tuple[torch.dtype, bool],
) -> tuple[Outputs, Any, Tensor]:
    """`spikewright.engine.recurrent.backend.scan_recurrent` without delays, registered.

    Args:
        kind: dtype of the result, and whether the kernels are those of the GPU.
    """
    tensors, trees = flatten(inputs, state, coefficients)
    outline = outline_of(step, tensors, trees, 1)
    past = wiring.past if kind[1] else wiring.past.to(kind[0])
    ties = [wiring.weight, past, *([] if wiring.bias is None else [wiring.bias])]
    operation = RecurrentScan(step, surrogate, trees, outline, *kind, events_wanted())
    results = call(operation, [*tensors, *ties])
    return *put_together(results, outline, trees[1]), results[0][-1:]


register("recurrent_scan")
