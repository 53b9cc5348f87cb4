"""The GPU backend: fused Triton kernels derived from the step.

The same kernels run on CPU tensors in Triton's interpreter (``TRITON_INTERPRET=1``), which is
how they are tested where there is no GPU.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright import optional
from spikewright.engine import cache
from spikewright.engine.cpu.backend import find_needs, flatten, split, stored_plan
from spikewright.engine.gpu.kernel import backward_source, forward_source, kept_rows
from spikewright.engine.gpu.triton_ops import DEVICE_MATH, HEADER, INTERPRETED_MATH, LANES
from spikewright.engine.layer import Shape
from spikewright.engine.once import differentiable_once
from spikewright.engine.reference import Outputs
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.tracing.trace import Needs, Slots, Step, trace_step
from spikewright.errors import BackendError

REQUIREMENT = "floating-point tensors on a GPU, with Triton installed"
WAY = "Move the network and its input there"
_SECOND = "Run the layer with backend='reference'."
_HALF = (torch.float16, torch.bfloat16)
_DTYPES = (*_HALF, torch.float32, torch.float64)
_OLDEST = (7, 0)


def obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this backend cannot run such tensors, or ``None``."""
    if dtype not in _DTYPES:
        return f"{dtype}"
    if device.type not in ("cuda", "cpu"):
        return f"tensors on {device}"
    if importlib.util.find_spec("triton") is None:
        return f"tensors on {device} without Triton (pip install 'spikewright[gpu]')"
    if interpreted():
        return None
    if device.type == "cpu":
        return f"tensors on {device}"
    capability = torch.cuda.get_device_capability(device)
    if capability < _OLDEST:
        return f"a device of compute capability {capability}, older than {_OLDEST}"
    return None


def interpreted() -> bool:
    """Whether Triton's interpreter is on: kernels are then run by Python, on any tensors."""
    return bool(optional.require("triton.knobs", extra="gpu").runtime.interpret)


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which dtype a layer of ``dtype`` computes and keeps its state: float32 at least."""
    return torch.float32 if dtype in _HALF else dtype


@dataclass
class Plan:
    """The kernels of one step for one kind of arguments; compiled when first called.

    Args:
        sources: printed code, ``forward``, and if a gradient is needed ``saving`` and ``backward``.
        outputs: trailing shape of each output.
        single: whether the step returns one tensor rather than a tuple.
        planes: numbers in the state of a neuron.
        compiled: kernels by name and whether they are for the interpreter.
    """

    sources: dict[str, str]
    outputs: list[Shape]
    single: bool
    planes: int
    needs: Needs | None
    compiled: dict[tuple[str, bool], Any] = field(default_factory=dict[tuple[str, bool], Any])

    def kernel(self, name: str) -> Any:
        key = name, interpreted()
        if key not in self.compiled:
            imports = HEADER + (INTERPRETED_MATH if key[1] else DEVICE_MATH)
            function = "backward" if name == "backward" else "forward"
            module = cache.load_kernels(f"{imports}\n\n{self.sources[name]}", f"gpu_{name}")
            self.compiled[key] = getattr(module, function)
        return self.compiled[key]


@dataclass(frozen=True)
class Sizes:
    """Sizes of one call: steps, batch and the shape of one sample, and the outputs' dtype."""

    steps: int
    batch: int
    features: Shape
    slots: Slots
    dtype: torch.dtype

    @property
    def neurons(self) -> int:
        return math.prod(self.features)

    @property
    def lanes(self) -> int:
        return self.batch * self.neurons

    @property
    def row(self) -> Shape:
        return (self.batch, *self.features)


def scan_gpu(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    features: Shape,
    surrogate: SurrogateGradient,
    dtype: torch.dtype,
) -> tuple[Outputs, Any]:
    """Run ``step`` over a sequence; see `spikewright.engine.scan.scan`.

    Inputs keep their floating dtype, and their gradients have it; outputs are of ``dtype``, state
    and coefficients of `state_dtype`.
    """
    inputs = pytree.tree_map(lambda x: x if x.dtype in _DTYPES else x.to(dtype), inputs)
    xs, states, cs, slots = flatten(inputs, state, coefficients, len(features))
    _check_devices([*xs, *states, *cs])
    slots = dataclasses.replace(slots, dtype=state_dtype(dtype))
    plan = find_plan(step, slots, surrogate, find_needs(xs, states, cs))
    sizes = Sizes(xs[0].shape[0], xs[0].shape[1], features, slots, dtype)
    results = _Scan.apply(plan, sizes, *xs, *states, *cs)
    count = len(plan.outputs)
    outputs = results[0] if plan.single else tuple(results[:count])
    return outputs, pytree.tree_unflatten(results[count:], slots.trees[1])


def _check_devices(tensors: Sequence[Tensor]) -> None:
    """A kernel takes addresses, which mean nothing on another device."""
    device = tensors[0].device
    for tensor in tensors:
        if tensor.device != device:
            raise BackendError(
                f"engine.gpu: state and parameters must be on the input's device, {device}, got "
                f"some on {tensor.device}. Move the network there: net.to({str(device)!r})."
            )


@functools.lru_cache(maxsize=512)
def find_plan(step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None) -> Plan:
    """The kernels for ``step``: from this process, from disk, or traced now."""
    make = functools.partial(_make_plan, step, slots, surrogate, needs)
    stored = stored_plan(make, step, slots, surrogate, (needs, "gpu"))
    outputs = [tuple(shape) for shape in stored["outputs"]]
    return Plan(stored["sources"], outputs, stored["single"], stored["planes"], needs)


def _make_plan(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None
) -> dict[str, Any]:
    with torch.device("cpu"):  # the user's default may be the GPU; a trace is of CPU scalars
        graphs = trace_step(step, slots, surrogate, needs)
    sources = {"forward": forward_source(graphs, save=False)}
    if needs is not None:
        sources["saving"] = forward_source(graphs, save=True)
        sources["backward"] = backward_source(graphs, needs)
    return {
        "sources": sources,
        "outputs": [list(shape) for shape in graphs.outputs],
        "single": graphs.single,
        "planes": sum(math.prod(shape) for shape in slots.state),
    }


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, sizes: Sizes, *flat: Tensor) -> tuple[Tensor, ...]:
        slots = sizes.slots
        xs, states, cs = split(flat, slots)
        xs = [x.contiguous() for x in xs]
        new = xs[0].new_empty
        outputs = [new((sizes.steps, *sizes.row, *k), dtype=sizes.dtype) for k in plan.outputs]
        last = [new(s.shape, dtype=slots.dtype) for s in states]
        arguments = [*xs, *(s.contiguous() for s in states), *_spread(cs, sizes), *outputs, *last]
        name = "forward"
        if plan.needs is not None:
            name = "saving"
            shape = (kept_rows(sizes.steps), plan.planes, sizes.lanes)
            saved = new(shape, dtype=slots.dtype)
            arguments.append(saved)
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(*xs, *cs, saved)
            ctx.plan, ctx.sizes = plan, sizes
        _launch(plan, name, sizes, arguments)
        return (*outputs, *last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        results = _backward(ctx.plan, ctx.sizes, tensors, grads)
        results = differentiable_once("engine.gpu", _SECOND, results, (*tensors, *grads))
        return (None, None, *results)


def _backward(
    plan: Plan, sizes: Sizes, tensors: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    assert plan.needs is not None
    slots = sizes.slots
    count = len(slots.inputs)
    xs, cs, saved = tensors[:count], tensors[count:-1], tensors[-1]
    shapes = [(sizes.steps, *sizes.row, *k) for k in plan.outputs]
    shapes += [(*sizes.row, *k) for k in slots.state]
    seeds = [
        saved.new_zeros(shape) if g is None else g.contiguous()
        for g, shape in zip(grads, shapes, strict=True)
    ]
    grad_xs = [
        torch.empty_like(x) if wants else None
        for x, wants in zip(xs, plan.needs.inputs, strict=True)
    ]
    grad_states = [saved.new_empty(shape) for shape in shapes[len(plan.outputs) :]]
    rows = [
        math.prod(k) if wants else 0
        for k, wants in zip(slots.coefficients, plan.needs.coefficients, strict=True)
    ]
    sums = saved.new_empty((sum(rows), sizes.lanes))
    wanted = [g for g in grad_xs if g is not None]
    arguments = [*xs, *_spread(cs, sizes), saved, *seeds, *wanted, *grad_states, sums]
    _launch(plan, "backward", sizes, arguments)
    return [*grad_xs, *grad_states, *_coefficient_gradients(sums, rows, cs, sizes)]


def _launch(plan: Plan, name: str, sizes: Sizes, tensors: Sequence[Tensor]) -> None:
    """Run a kernel over all lanes, on the tensors' device.

    The interpreter computes with NumPy, which would warn about lanes that no result is taken from.
    """
    kernel = plan.kernel(name)
    with torch.cuda.device_of(tensors[0]), np.errstate(all="ignore"):
        kernel[(-(-sizes.lanes // LANES),)](
            *(t.detach() for t in tensors),
            sizes.steps,
            sizes.lanes,
            sizes.neurons,
            num_warps=LANES // (64 if torch.version.hip else 32),
            enable_fp_fusion=False,
        )


def _spread(cs: Sequence[Tensor], sizes: Sizes) -> list[Tensor]:
    """Each coefficient as it is if all neurons share it, else one for each neuron."""
    slots = sizes.slots
    return [
        (c if shared else c.expand(*sizes.features, *trailing)).contiguous()
        for c, trailing, shared in zip(cs, slots.coefficients, slots.shared, strict=True)
    ]


def _coefficient_gradients(
    sums: Tensor, rows: Sequence[int], cs: Sequence[Tensor], sizes: Sizes
) -> list[Tensor | None]:
    """Sums over the lanes that share a coefficient, in an order that is always the same."""
    results: list[Tensor | None] = []
    for c, part, shared in zip(cs, sums.split(list(rows)), sizes.slots.shared, strict=True):
        if not len(part):
            results.append(None)
        elif shared:
            results.append(part.sum(1).view(c.shape))
        else:
            total = part.view(len(part), sizes.batch, -1).sum(1)
            shape = (*sizes.features, *c.shape[len(sizes.features) :])
            results.append(total.t().reshape(shape).sum_to_size(c.shape))
    return results
