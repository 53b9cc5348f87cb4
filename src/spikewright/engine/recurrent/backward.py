"""The backward pass of a recurrent layer on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import memory
from spikewright.engine.cpu import backend as cpu
from spikewright.engine.cpu.backend import Sizes
from spikewright.engine.products.linear import column_sums
from spikewright.engine.products.weights import derived
from spikewright.engine.recurrent.call import SEGMENT, Array, Call, cube, unbounded
from spikewright.engine.recurrent.gradient import recurrent_weight_gradient
from spikewright.engine.recurrent.plan import RecurrentPlan
from spikewright.engine.threads import run_ranges


def differentiate(
    plan: RecurrentPlan,
    call: Call,
    rows: Array,
    tensors: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of inputs, state, coefficients, weight, bias and past spikes.

    Args:
        rows: the weights from each neuron, (neurons, inputs).
        tensors: what the forward pass saved.
        grads: of the outputs, of the last state and of the spikes of the last steps.
        wanted: which of the results are wanted.
    """
    assert plan.needs is not None
    sizes, slots = call.sizes, call.sizes.slots
    inputs, fields, outputs = len(slots.inputs), len(slots.state), len(plan.outputs)
    xs, cs = tensors[:inputs], tensors[inputs : -3 - fields]
    kept, (weight, past, spikes) = tensors[-3 - fields : -3], tensors[-3:]
    lead = (sizes.batch, call.neurons)
    shapes = [(sizes.steps, *lead, *k) for k in plan.outputs] + [(*lead, *k) for k in slots.state]
    shapes.append((min(len(past), sizes.steps), *lead))
    seeds = [cpu.seed(g, shape, slots.dtype) for g, shape in zip(grads, shapes, strict=True)]
    carried = [np.array(g, order="C") for g in seeds[outputs:-1]]
    grad_xs = [
        memory.empty((sizes.steps, *lead, *k), slots.dtype) if wants else None
        for k, wants in zip(slots.inputs, plan.needs.inputs, strict=True)
    ]
    sums = [
        np.zeros((call.groups, call.neurons * math.prod(k)), rows.dtype)
        for k, wants in zip(slots.coefficients, plan.needs.coefficients, strict=True)
        if wants
    ]
    grad_past = np.zeros((len(past) if wanted[-1] else 0, *lead), rows.dtype)
    arrays = (
        *map(cube, xs),
        *cpu.coefficient_arrays(cs, sizes),
        *(k.numpy() for k in kept),
        *(g.reshape(*g.shape[:2], -1) for g in seeds[:outputs]),
        *(g.reshape(sizes.batch, -1) for g in carried),
        *(cube(g) for g in grad_xs if g is not None),
        *sums,
        seeds[-1],
        grad_past,
        weight.detach().numpy(),
        rows,
        call.delays,
    )
    _run(plan, call, derived(weight, unbounded), arrays)
    assert grad_xs[0] is not None
    drive = cube(grad_xs[0])
    return [
        *(g if wants else None for g, wants in zip(grad_xs, wanted, strict=False)),
        *map(torch.from_numpy, carried),
        *_coefficient_gradients(plan, call, sums, cs),
        recurrent_weight_gradient(call, past, spikes, drive) if wanted[-3] else None,
        torch.from_numpy(column_sums(drive.reshape(-1, drive.shape[2]))) if wanted[-2] else None,
        torch.from_numpy(grad_past) if wanted[-1] else None,
    ]


def _run(plan: RecurrentPlan, call: Call, whole: bool, arrays: Sequence[Array]) -> None:
    """Run the backward kernel over all groups; each thread has scratch rows of its own."""
    kernel, sizes, shape = plan.kernel("backward"), call.sizes, (call.group, call.neurons)
    widths = [call.neurons * math.prod(k) for k in sizes.slots.state]
    dtype, active = arrays[0].dtype, () if call.active is None else (call.active.bits,)

    def part(first: int, last: int) -> None:
        counts = (first, last, *call.counts, whole)
        lists = np.empty(shape, np.int32), np.empty(call.group, np.int64)
        again = [np.empty((SEGMENT * call.group, width), dtype) for width in widths]
        scratch = np.empty(shape, dtype), *lists, call.broken, *again
        kernel(*counts, *arrays, *scratch, *active)

    run_ranges(part, call.groups, call.work)


def _coefficient_gradients(
    plan: RecurrentPlan, call: Call, sums: Sequence[Array], cs: Sequence[Tensor]
) -> list[Tensor | None]:
    """From sums over the samples of each group."""
    assert plan.needs is not None
    sizes = call.sizes
    lanes = Sizes(sizes.steps, call.groups, sizes.features, sizes.slots)
    widths = [
        math.prod(k) if wants else 0
        for k, wants in zip(sizes.slots.coefficients, plan.needs.coefficients, strict=True)
    ]
    rows = [s.reshape(lanes.lanes, -1).T for s in sums]
    table = np.concatenate(rows) if rows else np.empty((0, lanes.lanes))
    return cpu.coefficient_gradients(table, widths, cs, lanes)
