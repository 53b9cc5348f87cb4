"""Recurrent layers on a GPU: a whole sequence, with its spikes sent back, in one launch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.engine import trees
from spikewright.engine.cpu.backend import flatten, split
from spikewright.engine.gpu.backend import (
    LANES,
    Plan,
    Sizes,
    check_devices,
    coefficient_gradients,
    find_plan,
    launch,
    readable,
    seed_gradients,
    spread,
    state_dtype,
    summed_widths,
)
from spikewright.engine.once import differentiable_once
from spikewright.engine.recurrent.backend import check_past, recurrent_needs
from spikewright.engine.reference import Outputs
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.tracing.trace import Step
from spikewright.engine.wiring import Wiring

_SECOND = "Run the layer with backend='reference'."
MOST_LANES = 512
"""Threads of a program at most: each may then hold 128 registers."""
_NEVER = -(2**30)


@dataclass(frozen=True, eq=False)
class Call:
    """Sizes of one call and the delays of its connection.

    Args:
        inputs: of the neurons: several for each of them, if it has several currents.
        window: steps that a spike may be on its way.
        delays: whole steps, (inputs, neurons), or ``None``.
    """

    sizes: Sizes
    inputs: int
    window: int
    delays: Tensor | None

    @property
    def lanes(self) -> int:
        """Threads of a program: one a neuron, if there are few enough."""
        return min(MOST_LANES, max(LANES, 1 << (self.sizes.neurons - 1).bit_length()))

    def run(
        self, kernel: Any, tensors: Sequence[Tensor], by_input: int, by_neuron: int, *more: int
    ) -> None:
        """Run a kernel on all samples.

        Args:
            by_input, by_neuron: the distance from one delay to the next.
            more: further sizes that the kernel is told.
        """
        s = self.sizes
        counts = (s.steps, s.batch, s.neurons, self.inputs, self.window, by_input, by_neuron, *more)
        launch(kernel, s.batch, self.lanes, tensors, counts, DELAYED=self.delays is not None)


def scan_recurrent_gpu(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    surrogate: SurrogateGradient,
    wiring: Wiring,
    dtype: torch.dtype,
) -> tuple[Outputs, Any, Tensor]:
    """Run ``step`` with its spikes fed back as ``wiring`` says.

    Dtypes are as in `spikewright.engine.gpu.backend.scan_gpu`, arguments and results otherwise as
    in `spikewright.engine.recurrent.backend.scan_recurrent`.
    """
    xs, states, cs, slots = flatten(readable(inputs, dtype), state, coefficients, 1)
    past = wiring.past.to(dtype)
    ties = (wiring.weight, wiring.bias, past)
    check_devices([*xs, *states, *cs, *(t for t in ties if t is not None)])
    slots = dataclasses.replace(slots, dtype=state_dtype(dtype))
    sizes = Sizes(xs[0].shape[0], xs[0].shape[1], tuple(past.shape[2:]), slots, dtype)
    check_past(past, sizes)
    plan = find_plan(step, slots, surrogate, recurrent_needs(xs, states, cs, ties), True)
    delays = None if wiring.delays is None else wiring.delays.expand(wiring.weight.shape)
    call = Call(sizes, len(wiring.weight), len(past), delays)
    results = _Recurrence.apply(plan, call, *xs, *states, *cs, *ties)
    spikes, count = results[0], len(plan.outputs)
    after = torch.cat([past, spikes[-len(past) :]])[-len(past) :]
    outputs = spikes if plan.single else tuple(results[:count])
    return outputs, trees.unflatten(results[count:], slots.trees[1]), after


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, call: Call, *arguments: Any) -> tuple[Tensor, ...]:
        sizes, saving = call.sizes, plan.needs is not None
        slots, (weight, bias, past) = sizes.slots, arguments[-3:]
        xs, states, rest = split(arguments[:-3], slots)
        new = weight.new_empty
        lead = (sizes.steps, *sizes.row)
        sent = torch.cat([past, new(lead, dtype=sizes.dtype)])
        others = [new((*lead, *k), dtype=sizes.dtype) for k in plan.outputs[1:]]
        kept = [_first_of(s, sizes.steps + 1 if saving else 1, slots.dtype) for s in states]
        drive = new((sizes.steps if saving else 1, sizes.batch, call.inputs), dtype=slots.dtype)
        rows = weight.detach().t().contiguous()
        delays, distances = _laid_out(call, weight, transposed=True)
        tensors = [
            *(x.contiguous() for x in xs), *kept, *spread(rest, sizes), sent, *others, drive, rows,
            weight.new_zeros(call.inputs) if bias is None else bias.contiguous(), delays,
            _recent(past),
            torch.empty(sizes.row, dtype=torch.int32, device=weight.device),
            ~weight.detach().sum(dtype=slots.dtype).isfinite(),
        ]  # fmt: skip
        call.run(plan.kernel("forward"), tensors, *distances, int(saving))
        if saving:
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(drive, *xs[1:], *kept, *rest, weight, sent)
            ctx.plan, ctx.call = plan, call
            ctx.dtypes = [None if t is None else t.dtype for t in arguments]
        # The state of the last step is a copy, or it would keep all the others alive.
        return sent[call.window :], *others, *(k[-1].clone() for k in kept)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        results = _differentiate(ctx.plan, ctx.call, tensors, grads, ctx.needs_input_grad[2:])
        pairs = zip(results, ctx.dtypes, strict=True)
        results = [None if g is None else g.to(kind) for g, kind in pairs]
        results = differentiable_once("engine.gpu", _SECOND, results, (*tensors, *grads))
        return (None, None, *results)


def _differentiate(
    plan: Plan,
    call: Call,
    tensors: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of inputs, state, coefficients, weight, bias and past spikes.

    Args:
        tensors: what the forward pass saved.
        grads: of the outputs and of the last state.
        wanted: which of the results are wanted.
    """
    assert plan.needs is not None
    sizes, slots = call.sizes, call.sizes.slots
    (xs, kept, rest), (weight, sent) = split(tensors[:-2], slots), tensors[-2:]
    seeds = seed_gradients(plan, sizes, grads, xs[0])
    count = len(plan.outputs)
    # The kernel carries these along, so they are copies.
    carried = [g.clone() for g in seeds[count:]]
    grad_xs = [
        xs[0].new_empty((sizes.steps, *sizes.row, *k)) if wants else None
        for k, wants in zip(slots.inputs, plan.needs.inputs, strict=True)
    ]
    widths = summed_widths(plan, sizes)
    sums = [xs[0].new_zeros((sizes.lanes, width)) for width in widths if width]
    pasts = call.window if wanted[-1] else 0
    grad_past = xs[0].new_empty((pasts, *sizes.row))
    delays, distances = _laid_out(call, weight, transposed=False)
    arguments = [
        *xs, *kept, *spread(rest, sizes), *seeds[:count], *carried,
        *(g for g in grad_xs if g is not None), *sums, grad_past, weight.contiguous(), delays,
    ]  # fmt: skip
    call.run(plan.kernel("backward"), arguments, *distances, pasts)
    drive = grad_xs[0]
    assert drive is not None
    drive = drive.flatten(2)
    table = torch.cat([xs[0].new_empty((0, sizes.lanes)), *(part.t() for part in sums)])
    return [
        *(g if wants else None for g, wants in zip(grad_xs, wanted, strict=False)),
        *carried,
        *coefficient_gradients(table, widths, rest, sizes),
        _weight_gradient(call, sent, drive) if wanted[-3] else None,
        drive.sum((0, 1)) if wanted[-2] else None,
        grad_past if wanted[-1] else None,
    ]


def _weight_gradient(call: Call, sent: Tensor, drive: Tensor) -> Tensor:
    """``dW[i, j] = sum over t and b of s[t - 1 - delay_ij, b, j] drive[t, b, i]``.

    One dense product for each delay that there may be: over a whole sequence at once it is
    what a GPU does best.
    """
    total = drive.new_zeros((call.inputs, call.sizes.neurons))
    flat = drive.flatten(0, 1).t()
    for delay in range(call.window):
        first = call.window - 1 - delay
        spikes = sent[first : first + call.sizes.steps].flatten(0, 1).to(drive.dtype)
        part = flat @ spikes
        total = part if call.delays is None else torch.where(call.delays == delay, part, total)
    return total


def _first_of(state: Tensor, rows: int, dtype: torch.dtype) -> Tensor:
    """Room for the state before each step, with the first filled in."""
    room = state.new_empty((rows, *state.shape), dtype=dtype)
    room[0] = state.detach()
    return room


def _laid_out(call: Call, weight: Tensor, transposed: bool) -> tuple[Tensor, tuple[int, int]]:
    """The delays in the order in which a kernel reads them, and their distances in memory."""
    if call.delays is None:
        return weight.new_zeros(1, dtype=torch.int64), (0, 0)
    delays = call.delays
    if transposed and delays.stride(0):
        delays = delays.t().contiguous().t()
    by_input, by_neuron = delays.stride()
    return delays, (by_input, by_neuron)


def _recent(past: Tensor) -> Tensor:
    """The last row of ``past`` with a spike of each neuron of each sample, (batch, neurons)."""
    rows = torch.arange(len(past), dtype=torch.int32, device=past.device)
    rows = rows.view(-1, *[1] * (past.ndim - 1))
    return torch.where(past != 0, rows, _NEVER).amax(0).to(torch.int32)
