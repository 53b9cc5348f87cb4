"""The CPU backend of recurrent layers: one kernel a direction for the whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import memory, trees
from spikewright.engine.cpu import backend as cpu
from spikewright.engine.cpu.backend import Sizes
from spikewright.engine.once import differentiable_once
from spikewright.engine.products.events import attach, events_wanted
from spikewright.engine.products.linear import rows_of
from spikewright.engine.products.weights import derived
from spikewright.engine.recurrent.backward import differentiate
from spikewright.engine.recurrent.call import Array, Call, cube, make_call, unbounded
from spikewright.engine.recurrent.gradient import sent_spikes
from spikewright.engine.recurrent.plan import RecurrentPlan, find_recurrent_plan
from spikewright.engine.reference import Outputs
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.threads import run_ranges
from spikewright.engine.tracing.trace import Needs, Step
from spikewright.engine.wiring import Wiring
from spikewright.errors import ShapeError

_SECOND = "Run the layer with backend='reference'."


def scan_recurrent(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    surrogate: SurrogateGradient,
    wiring: Wiring,
) -> tuple[Outputs, Any, Tensor]:
    """Run ``step`` over a sequence, with its spikes fed back as ``wiring`` says.

    Arguments are as `spikewright.engine.scan.scan` prepares them; a sample's features have one
    axis. Where events are wanted the spikes carry theirs.

    Returns:
        The outputs, the state after the last step, and what ``wiring.past`` would be then.

    Raises:
        ShapeError: ``wiring.past`` is of another batch size.
    """
    xs, states, cs, slots = cpu.flatten(inputs, state, coefficients, 1)
    past = wiring.past.to(slots.dtype)
    sizes = Sizes(xs[0].shape[0], xs[0].shape[1], tuple(past.shape[2:]), slots)
    check_past(past, sizes)
    ties = (wiring.weight, wiring.bias, past)
    plan = find_recurrent_plan(
        step, slots, surrogate, recurrent_needs(xs, states, cs, ties), wiring.kind
    )
    call = make_call(sizes, wiring, plan.local)
    results = _Recurrence.apply(plan, call, *xs, *states, *cs, *ties)
    spikes, count = results[0], len(plan.outputs)
    if events_wanted():
        attach(spikes, call.events or call.marks, call.active)
    after = torch.cat([past, results[-1]])[-len(past) :]
    outputs = spikes if plan.single else tuple(results[:count])
    return outputs, trees.unflatten(results[count:-1], slots.trees[1]), after


def check_past(past: Tensor, sizes: Sizes) -> None:
    """Raise ShapeError unless the spikes from before are of the input's batch size."""
    if past.shape[1] != sizes.batch:
        raise ShapeError(
            f"engine.recurrent: state must be of the input's batch size {sizes.batch}, got "
            f"{past.shape[1]}. Pass state=None for a fresh start, or the state of the same samples."
        )


def recurrent_needs(
    xs: list[Tensor], states: list[Tensor], cs: list[Tensor], ties: Sequence[Tensor | None]
) -> Needs | None:
    """Like `cpu.find_needs`; the gradient of the drive is needed in any case."""
    if cpu.find_needs([*xs, *(t for t in ties if t is not None)], states, cs) is None:
        return None
    return Needs((True, *(x.requires_grad for x in xs[1:])), tuple(c.requires_grad for c in cs))


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: RecurrentPlan, call: Call, *arguments: Any) -> tuple[Tensor, ...]:
        slots = call.sizes.slots
        xs, states, rest = cpu.split(arguments, slots)
        cs, (weight, bias, past) = rest[:-3], arguments[-3:]
        rows = derived(weight, rows_of)
        lead = (call.sizes.steps, call.sizes.batch, call.neurons)
        outputs = [memory.empty((*lead, *k), slots.dtype) for k in plan.outputs]
        last = [torch.from_numpy(np.array(s.detach().numpy(), order="C")) for s in states]
        drive, kept = _kept(call, len(weight), states, plan.needs is not None)
        arrays = (
            *(cube(x.contiguous()) for x in xs),
            *(s.detach().flatten(1).numpy() for s in last),
            *cpu.coefficient_arrays(cs, call.sizes),
            *(cube(y) for y in outputs),
            rows,
            np.zeros(len(weight), rows.dtype) if bias is None else bias.detach().numpy(),
            call.delays,
            cube(past.contiguous()),
        )
        made = (call.marks.bits, call.marks.graded, drive.numpy(), *(k.numpy() for k in kept))
        _run(plan, call, derived(weight, unbounded), arrays, made)
        if plan.needs is not None:
            spikes = sent_spikes(call, outputs[0]) if weight.requires_grad else None
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(drive, *xs[1:], *cs, *kept, weight, past, spikes)
            ctx.plan, ctx.call, ctx.rows = plan, call, rows
        # A result of its own: the gradient of a slice of the spikes would be as large as they are.
        return (*outputs, *last, outputs[0][-len(past) :].clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[2:]
        results = differentiate(ctx.plan, ctx.call, ctx.rows, tensors, grads, wanted)
        results = differentiable_once("engine.recurrent", _SECOND, results, (*tensors, *grads))
        return (None, None, *results)


def _kept(
    call: Call, inputs: int, states: Sequence[Tensor], saving: bool
) -> tuple[Tensor, list[Tensor]]:
    """Room for the drive of each step and for the states that the backward pass starts from."""
    sizes, dtype = call.sizes, call.sizes.slots.dtype
    drive = memory.empty((sizes.steps if saving else 1, sizes.batch, inputs), dtype)
    rows = call.segments if saving else 0
    return drive, [memory.empty((rows, *s.shape), dtype).flatten(2) for s in states]


def _run(
    plan: RecurrentPlan, call: Call, whole: bool, arrays: Sequence[Array], made: Sequence[Array]
) -> None:
    """Run the forward kernel over all samples; each thread has scratch rows of its own."""
    kernel, dtype = plan.kernel("forward"), made[2].dtype
    width, neurons, saving = made[2].shape[2], call.neurons, plan.needs is not None

    def part(first: int, last: int) -> None:
        ring = np.empty((call.group, call.depth, width), dtype)
        reached = (np.empty(neurons, dtype), call.active.bits) if call.active else ()
        counts = (first, last, *call.counts, whole, saving)
        kernel(*counts, *arrays, ring, np.empty(neurons, np.int32), *made, *reached)

    run_ranges(part, call.groups, call.work)
