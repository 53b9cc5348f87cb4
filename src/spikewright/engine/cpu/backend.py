"""The CPU backend: fused Numba kernels derived from the step, run on the engine's threads."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import cache, memory, trees
from spikewright.engine.cpu.kernel import LANES, backward_source, forward_source, kept_rows
from spikewright.engine.layer import Shape
from spikewright.engine.once import differentiable_once
from spikewright.engine.products.events import Marks, attach, events_wanted
from spikewright.engine.reference import Outputs
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.threads import call_apart, run_ranges
from spikewright.engine.tracing import fingerprint
from spikewright.engine.tracing.trace import Needs, Slots, Step, trace_reach, trace_step
from spikewright.errors import BackendError

Array = np.ndarray[Any, Any]
_SECOND = "Run the layer with backend='reference'."
REQUIREMENT = "float32 or float64 tensors on the CPU"
WAY = "Convert the network"


def obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this backend cannot run such tensors, or ``None``."""
    if device.type != "cpu":
        return f"tensors on {device}"
    return None if dtype in (torch.float32, torch.float64) else f"{dtype}"


@dataclass
class Plan:
    """The kernels of one step for one kind of arguments; compiled when first called.

    Args:
        sources: printed code, ``forward``, and if a gradient is needed ``saving`` and ``backward``.
        scratch: elements of the scratch array of each.
        outputs: trailing shape of each output.
        single: whether the step returns one tensor rather than a tuple.
        planes: numbers in the state of a neuron.
        mark: whether the kernels set a bit for each spike of the first output.
        windowed: whether they also set one for each place where its gradient is of use.
    """

    sources: dict[str, str]
    scratch: dict[str, int]
    outputs: list[tuple[int, ...]]
    single: bool
    planes: int
    mark: bool
    windowed: bool
    needs: Needs | None
    compiled: dict[str, cache.Kernel] = field(default_factory=dict[str, cache.Kernel])

    def kernel(self, name: str) -> cache.Kernel:
        if name not in self.compiled:
            function = "backward" if name == "backward" else "forward"
            self.compiled[name] = cache.load_kernel(self.sources[name], function)
        return self.compiled[name]


@dataclass(frozen=True)
class Sizes:
    """Sizes of one call: steps, batch and the shape of one sample."""

    steps: int
    batch: int
    features: Shape
    slots: Slots

    @property
    def lanes(self) -> int:
        return self.batch * math.prod(self.features)

    @property
    def tiles(self) -> int:
        return -(-self.lanes // LANES)


def scan_cpu(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    features: Shape,
    surrogate: SurrogateGradient,
) -> tuple[Outputs, Any]:
    """Run ``step`` over a sequence; see `spikewright.engine.scan.scan`.

    Where events are wanted the first output carries them.
    """
    xs, states, cs, slots = flatten(inputs, state, coefficients, len(features))
    plan = find_plan(step, slots, surrogate, find_needs(xs, states, cs), events_wanted())
    sizes = Sizes(xs[0].shape[0], xs[0].shape[1], features, slots)
    size = (sizes.steps, sizes.batch, math.prod(features))
    marks = Marks(*size, sizes.tiles) if plan.mark else None
    active = Marks(*size, 1) if plan.windowed else None
    results = _Scan.apply(plan, sizes, marks, active, *xs, *states, *cs)
    count = len(plan.outputs)
    outputs = results[0] if plan.single else tuple(results[:count])
    if marks is not None:
        attach(results[0], marks, active)
    return outputs, trees.unflatten(results[count:], slots.trees[1])


def flatten(
    inputs: Any, state: Any, coefficients: Any, rank: int
) -> tuple[list[Tensor], list[Tensor], list[Tensor], Slots]:
    """The flat arguments of a step and what they look like; ``rank`` axes are a sample's."""
    parts = [trees.flatten(tree) for tree in (inputs, state, coefficients)]
    xs, states, cs = (leaves for leaves, _ in parts)
    trailing = tuple(tuple(c.shape[rank:]) if c.ndim > rank else () for c in cs)
    slots = Slots(
        tuple(tuple(x.shape[2 + rank :]) for x in xs),
        tuple(tuple(s.shape[1 + rank :]) for s in states),
        trailing,
        tuple(c.numel() == math.prod(k) for c, k in zip(cs, trailing, strict=True)),
        (parts[0][1], parts[1][1], parts[2][1]),
        xs[0].dtype,
    )
    return xs, states, cs, slots


def find_needs(xs: list[Tensor], states: list[Tensor], cs: list[Tensor]) -> Needs | None:
    """Which arguments of a scan need a gradient; ``None`` if none does."""
    if not torch.is_grad_enabled() or not any(t.requires_grad for t in (*xs, *states, *cs)):
        return None
    return Needs(tuple(x.requires_grad for x in xs), tuple(c.requires_grad for c in cs))


@functools.lru_cache(maxsize=512)
def find_plan(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None, mark: bool = False
) -> Plan:
    """The kernels for ``step``: from this process, from disk, or traced now."""
    make = functools.partial(_make_plan, step, slots, surrogate, needs, mark)
    stored = stored_plan(make, step, slots, surrogate, (needs, mark))
    outputs = [tuple(shape) for shape in stored["outputs"]]
    names = ("sources", "scratch", "single", "planes", "mark", "windowed")
    return Plan(outputs=outputs, needs=needs, **{name: stored[name] for name in names})


def stored_plan(
    make: Callable[[], dict[str, Any]],
    step: Step,
    slots: Slots,
    surrogate: SurrogateGradient,
    *others: Any,
) -> dict[str, Any]:
    """What ``make`` gives, from disk if it was made before for arguments of the same content."""
    _check_surrogate(surrogate)
    try:
        shapes = (
            slots.inputs,
            slots.state,
            slots.coefficients,
            slots.shared,
            slots.trees,
            slots.dtype,
        )
        key = fingerprint.fingerprint(step, surrogate, shapes, *others)
    except fingerprint.Unknown:
        key = None
    stored = cache.read_plan(key) if key else None
    if stored is None:
        stored = call_apart(make)
        if key:
            cache.write_plan(key, stored)
    return stored


def _check_surrogate(surrogate: SurrogateGradient) -> None:
    """Refuse values that equality does not see: another's kernel would be taken for its own."""
    hidden = set(vars(surrogate)) - {f.name for f in dataclasses.fields(surrogate)}
    if hidden:
        raise BackendError(
            f"engine.cpu: values of {type(surrogate).__name__} must be fields of a frozen "
            f"dataclass, got {', '.join(sorted(hidden))}. Decorate it with "
            "@dataclass(frozen=True) and declare them."
        )


def _make_plan(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None, mark: bool
) -> dict[str, Any]:
    graphs = trace_step(step, slots, surrogate, needs)
    mark = mark and graphs.outputs[0] == ()
    printed = {"forward": forward_source(graphs, save=False, mark=mark)}
    windowed = mark and needs is not None and surrogate.window is not None
    if needs is not None:
        reach = trace_reach(step, slots, surrogate, needs) if windowed else None
        printed["saving"] = forward_source(graphs, save=True, mark=mark, reach=reach)
        printed["backward"] = backward_source(graphs, needs)
    planes = sum(math.prod(shape) for shape in slots.state)
    return {
        "sources": {name: source.text for name, source in printed.items()},
        "scratch": {name: source.scratch for name, source in printed.items()},
        "outputs": [list(shape) for shape in graphs.outputs],
        "single": graphs.single,
        "planes": planes,
        "mark": mark,
        "windowed": windowed,
    }


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        sizes: Sizes,
        marks: Marks | None,
        active: Marks | None,
        *flat: Tensor,
    ) -> tuple[Tensor, ...]:
        slots = sizes.slots
        xs, states, cs = split(flat, slots)
        xs = [x.contiguous() for x in xs]
        arguments = [
            *(x.detach().view(sizes.steps, -1).numpy() for x in xs),
            *(side_by_side(s) for s in states),
            *coefficient_arrays(cs, sizes),
        ]
        lead = (sizes.steps, sizes.batch, *sizes.features)
        outputs = [memory.empty((*lead, *k), slots.dtype) for k in plan.outputs]
        last = [torch.empty(s.shape, dtype=slots.dtype) for s in states]
        arguments += [o.view(sizes.steps, -1).numpy() for o in outputs]
        arguments += [s.view(-1).numpy() for s in last]
        name = "forward"
        if plan.needs is not None:
            name = "saving"
            saved = memory.empty((kept_rows(sizes.steps), plan.planes, sizes.lanes), slots.dtype)
            arguments.append(saved.numpy())
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(*xs, *cs, saved)
            ctx.plan, ctx.sizes = plan, sizes
        if marks is not None:
            arguments += [marks.bits, marks.graded]
        if active is not None:
            arguments.append(active.bits)
        _run(plan, name, sizes, arguments)
        return (*outputs, *last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        results = _backward(ctx.plan, ctx.sizes, tensors, grads)
        results = differentiable_once("engine.cpu", _SECOND, results, (*tensors, *grads))
        return (None, None, None, None, *results)


def _backward(
    plan: Plan, sizes: Sizes, tensors: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    assert plan.needs is not None
    slots = sizes.slots
    count = len(slots.inputs)
    xs, cs, saved = tensors[:count], tensors[count:-1], tensors[-1]
    lead = (sizes.batch, *sizes.features)
    shapes = [(sizes.steps, *lead, *k) for k in plan.outputs] + [(*lead, *k) for k in slots.state]
    seeds = [seed(g, shape, slots.dtype) for g, shape in zip(grads, shapes, strict=True)]
    grad_outputs, grad_last = seeds[: len(plan.outputs)], seeds[len(plan.outputs) :]
    grad_xs = [
        memory.empty(tuple(x.shape), slots.dtype) if wants else None
        for x, wants in zip(xs, plan.needs.inputs, strict=True)
    ]
    grad_states = [torch.empty(shape, dtype=slots.dtype) for shape in shapes[len(plan.outputs) :]]
    rows = [
        math.prod(k) if wants else 0
        for k, wants in zip(slots.coefficients, plan.needs.coefficients, strict=True)
    ]
    sums = memory.empty((sum(rows), sizes.lanes), slots.dtype).numpy()
    arguments = [
        *(x.detach().view(sizes.steps, -1).numpy() for x in xs),
        *coefficient_arrays(cs, sizes),
        saved.numpy(),
        *(g.reshape(sizes.steps, -1) for g in grad_outputs),
        *(g.reshape(-1) for g in grad_last),
        *(g.view(sizes.steps, -1).numpy() for g in grad_xs if g is not None),
        *(g.view(-1).numpy() for g in grad_states),
        *([sums] if sum(rows) else []),
    ]
    _run(plan, "backward", sizes, arguments)
    return [*grad_xs, *grad_states, *coefficient_gradients(sums, rows, cs, sizes)]


def _run(plan: Plan, name: str, sizes: Sizes, arrays: Sequence[Array]) -> None:
    """Run a kernel over all tiles; each thread has a scratch array of its own."""
    kernel = plan.kernel(name)
    dtype = arrays[0].dtype

    def part(first: int, last: int) -> None:
        scratch = np.empty(plan.scratch[name], dtype)
        kernel(first, last, sizes.steps, sizes.lanes, scratch, *arrays)

    run_ranges(part, sizes.tiles, sizes.steps * sizes.lanes)


def side_by_side(tensor: Tensor) -> Array:
    """The values of a tensor of any strides side by side.

    NumPy copies where it must: PyTorch would wake its threads for it, which on a busy machine
    takes longer than the kernel.
    """
    return np.ascontiguousarray(tensor.detach().numpy()).reshape(-1)


def seed(gradient: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> Array:
    """A gradient that came in as a contiguous array; zeros where none came."""
    if gradient is None:
        return np.zeros(shape, torch.empty(0, dtype=dtype).numpy().dtype)
    return gradient.detach().contiguous().numpy()


def split(flat: Sequence[Tensor], slots: Slots) -> tuple[list[Tensor], ...]:
    """Inputs, state and the rest of flat arguments."""
    first, second = len(slots.inputs), len(slots.inputs) + len(slots.state)
    return list(flat[:first]), list(flat[first:second]), list(flat[second:])


def coefficient_arrays(cs: Sequence[Tensor], sizes: Sizes) -> list[Array]:
    """Each coefficient as (1, k) if all neurons share it, else (neurons, k)."""
    arrays: list[Array] = []
    slots = sizes.slots
    for c, trailing, shared in zip(cs, slots.coefficients, slots.shared, strict=True):
        if shared:
            arrays.append(c.detach().numpy().reshape(1, -1))
        else:
            whole = c.detach().expand(*sizes.features, *trailing)
            arrays.append(side_by_side(whole).reshape(-1, math.prod(trailing)))
    return arrays


def coefficient_gradients(
    sums: Array, rows: Sequence[int], cs: Sequence[Tensor], sizes: Sizes
) -> list[Tensor | None]:
    """Sums over the lanes that share a coefficient, in an order no thread count changes."""
    results: list[Tensor | None] = []
    start = 0
    for c, count, shared in zip(cs, rows, sizes.slots.shared, strict=True):
        part, start = sums[start : start + count], start + count
        if not count:
            results.append(None)
        elif shared:
            results.append(torch.from_numpy(part.sum(axis=1)).view(c.shape))
        else:
            total = part.reshape(count, sizes.batch, -1).sum(axis=1)
            shape = (*sizes.features, *c.shape[len(sizes.features) :])
            results.append(torch.from_numpy(total).t().reshape(shape).sum_to_size(c.shape))
    return results
