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

from spikewright import optional
from spikewright.engine import cache, trees
from spikewright.engine.cpu import backend as cpu
from spikewright.engine.cpu.backend import find_needs, flatten, split, stored_plan
from spikewright.engine.gpu import kernel as lone_kernel
from spikewright.engine.gpu import recurrent_kernel
from spikewright.engine.gpu.triton_ops import DEVICE_MATH, HEADER, INTERPRETED_MATH
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
LANES = 64
"""Lanes of a program: two warps of an NVIDIA device, one wavefront of an AMD one."""


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
class Sizes(cpu.Sizes):
    """Sizes of one call, and the outputs' dtype."""

    dtype: torch.dtype

    @property
    def neurons(self) -> int:
        return math.prod(self.features)

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
    xs, states, cs, slots = flatten(readable(inputs, dtype), state, coefficients, len(features))
    check_devices([*xs, *states, *cs])
    slots = dataclasses.replace(slots, dtype=state_dtype(dtype))
    plan = find_plan(step, slots, surrogate, find_needs(xs, states, cs))
    sizes = Sizes(xs[0].shape[0], xs[0].shape[1], features, slots, dtype)
    results = _Scan.apply(plan, sizes, *xs, *states, *cs)
    count = len(plan.outputs)
    outputs = results[0] if plan.single else tuple(results[:count])
    return outputs, trees.unflatten(results[count:], slots.trees[1])


def readable(inputs: Any, dtype: torch.dtype) -> Any:
    """The inputs as they are where a kernel can read them, others as ``dtype``."""
    return trees.map_leaves(lambda x: x if x.dtype in _DTYPES else x.to(dtype), inputs)


def check_devices(tensors: Sequence[Tensor]) -> None:
    """A kernel takes addresses, which mean nothing on another device."""
    device = tensors[0].device
    for tensor in tensors:
        if tensor.device != device:
            raise BackendError(
                f"engine.gpu: state and parameters must be on the input's device, {device}, got "
                f"some on {tensor.device}. Move the network there: net.to({str(device)!r})."
            )


@functools.lru_cache(maxsize=512)
def find_plan(
    step: Step,
    slots: Slots,
    surrogate: SurrogateGradient,
    needs: Needs | None,
    recurrent: bool = False,
) -> Plan:
    """The kernels for ``step``: from this process, from disk, or traced now."""
    make = functools.partial(_make_plan, step, slots, surrogate, needs, recurrent)
    stored = stored_plan(make, step, slots, surrogate, (needs, "gpu", recurrent))
    outputs = [tuple(shape) for shape in stored["outputs"]]
    return Plan(stored["sources"], outputs, stored["single"], stored["planes"], needs)


def _make_plan(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None, recurrent: bool
) -> dict[str, Any]:
    with torch.device("cpu"):  # the user's default may be the GPU; a trace is of CPU scalars
        graphs = trace_step(step, slots, surrogate, needs)
    printer = recurrent_kernel if recurrent else lone_kernel
    return {
        "sources": printer.sources(graphs, needs),
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
        arguments = [*xs, *(s.contiguous() for s in states), *spread(cs, sizes), *outputs, *last]
        name = "forward"
        if plan.needs is not None:
            name = "saving"
            shape = (lone_kernel.kept_rows(sizes.steps), plan.planes, sizes.lanes)
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
    seeds = seed_gradients(plan, sizes, grads, saved)
    grad_xs = [
        torch.empty_like(x) if wants else None
        for x, wants in zip(xs, plan.needs.inputs, strict=True)
    ]
    grad_states = [torch.empty_like(g, dtype=slots.dtype) for g in seeds[len(plan.outputs) :]]
    rows = summed_widths(plan, sizes)
    sums = saved.new_empty((sum(rows), sizes.lanes))
    wanted = [g for g in grad_xs if g is not None]
    arguments = [*xs, *spread(cs, sizes), saved, *seeds, *wanted, *grad_states, sums]
    _launch(plan, "backward", sizes, arguments)
    return [*grad_xs, *grad_states, *coefficient_gradients(sums, rows, cs, sizes)]


def seed_gradients(
    plan: Plan, sizes: Sizes, grads: Sequence[Tensor | None], like: Tensor
) -> list[Tensor]:
    """The gradients of outputs and last state that came in; zeros where none came."""
    shapes = [(sizes.steps, *sizes.row, *k) for k in plan.outputs]
    shapes += [(*sizes.row, *k) for k in sizes.slots.state]
    return [
        like.new_zeros(shape) if g is None else g.contiguous()
        for g, shape in zip(grads, shapes, strict=True)
    ]


def summed_widths(plan: Plan, sizes: Sizes) -> list[int]:
    """Numbers in the gradient of each coefficient for one neuron; none where none is wanted."""
    assert plan.needs is not None
    return [
        math.prod(k) if wants else 0
        for k, wants in zip(sizes.slots.coefficients, plan.needs.coefficients, strict=True)
    ]


def _launch(plan: Plan, name: str, sizes: Sizes, tensors: Sequence[Tensor]) -> None:
    """Run a kernel over all lanes."""
    programs = -(-sizes.lanes // LANES)
    counts = (sizes.steps, sizes.lanes, sizes.neurons)
    launch(plan.kernel(name), programs, LANES, tensors, counts)


def launch(
    kernel: Any,
    programs: int,
    lanes: int,
    tensors: Sequence[Tensor],
    counts: Sequence[int],
    **constants: Any,
) -> None:
    """Run a kernel on the tensors' device, a thread for each of the ``lanes`` of a program.

    The interpreter computes with NumPy, which would warn about lanes that no result is taken from.
    """
    with torch.cuda.device_of(tensors[0]), np.errstate(all="ignore"):
        kernel[(programs,)](
            *(t.detach() for t in tensors),
            *counts,
            **constants,
            LANES=lanes,
            num_warps=lanes // (64 if torch.version.hip else 32),
            enable_fp_fusion=False,
        )


def spread(cs: Sequence[Tensor], sizes: Sizes) -> list[Tensor]:
    """Each coefficient as it is if all neurons share it, else one for each neuron."""
    slots = sizes.slots
    return [
        (c if shared else c.expand(*sizes.features, *trailing)).contiguous()
        for c, trailing, shared in zip(cs, slots.coefficients, slots.shared, strict=True)
    ]


def coefficient_gradients(
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
