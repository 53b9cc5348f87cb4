"""From a step function to small graphs of pointwise operations.

`make_fx` traces the step and its `torch.func.vjp` for one neuron, on fake scalars; the trace is
functionalised (no in-place operation is left) and decomposed to core ATen. PyTorch itself thus
differentiates, and a printer only ever meets a short list of operations.

State fields, inputs and coefficients may have one small static trailing axis (several synaptic
currents a neuron); it stays an axis in the graph and is unrolled when printed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from spikewright.engine.spike import firing_context
from spikewright.engine.surrogate import StraightThrough, SurrogateGradient
from spikewright.errors import TraceError

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Slots:
    """The flat arguments of a step: trailing shapes of inputs, state fields and coefficients.

    Args:
        shared: for each coefficient, whether all neurons have the same.
        trees: the three tree structures, to call the step with what it expects.
    """

    inputs: tuple[tuple[int, ...], ...]
    state: tuple[tuple[int, ...], ...]
    coefficients: tuple[tuple[int, ...], ...]
    shared: tuple[bool, ...]
    trees: tuple[pytree.TreeSpec, pytree.TreeSpec, pytree.TreeSpec]
    dtype: torch.dtype

    def call(
        self, step: Step, flat: Sequence[Tensor], lead: tuple[int, ...] = ()
    ) -> tuple[Any, list[Tensor]]:
        """Call ``step`` with flat arguments; return its outputs and its next state, flat.

        ``lead`` are the axes before the trailing ones: none for one neuron.
        """
        ends = (len(self.inputs), len(self.inputs) + len(self.state))
        parts = (flat[: ends[0]], flat[ends[0] : ends[1]], flat[ends[1] :])
        args = (pytree.tree_unflatten(p, t) for p, t in zip(parts, self.trees, strict=True))
        result = step(*args)
        if not (isinstance(result, tuple) and len(result) == 2):
            count = f" of {len(result)}" if isinstance(result, tuple) else ""
            raise TraceError(
                "engine.trace: a step must return the pair (spikes, state), got "
                f"{type(result).__name__}{count}. Write: return spikes, State(...)."
            )
        outputs, state = result
        flat_state, tree = pytree.tree_flatten(state)
        if tree != self.trees[1]:
            raise TraceError(
                f"engine.trace: the state a step returns must be built like the one it takes, "
                f"{self.trees[1]}, got {tree}. Return every field, in the same class."
            )
        like = [torch.Size(lead + s) for s in self.state]
        return outputs, [
            _as_field(value, shape, self.dtype)
            for value, shape in zip(flat_state, like, strict=True)
        ]


@dataclass(frozen=True)
class StepGraphs:
    """One step as graphs over flat arguments.

    ``forward``: (inputs, state, coefficients) -> (outputs, next state).
    ``advance``: the same without outputs, to compute the states again.
    ``backward``: (inputs, state, coefficients, gradients of outputs and of the next state) ->
    gradients of (inputs that need one, state, coefficients that need one); ``None`` without
    gradients.
    """

    slots: Slots
    outputs: tuple[tuple[int, ...], ...]
    single: bool
    forward: fx.Graph
    constants: dict[str, Tensor]
    advance: fx.Graph | None = None
    backward: fx.Graph | None = None
    backward_constants: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class Needs:
    """Which flat inputs and coefficients need a gradient; the state always carries one."""

    inputs: tuple[bool, ...]
    coefficients: tuple[bool, ...]


def trace_step(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None
) -> StepGraphs:
    """Trace ``step``, and where ``needs`` is given its vector-Jacobian product.

    Raises:
        TraceError: the step branches on a tensor, uses an old-style ``autograd.Function``, or
            changes shapes or dtypes from step to step.
    """
    mixed = _mixes_neurons(step, slots, surrogate)
    shapes = slots.inputs + slots.state + slots.coefficients
    primals = [torch.zeros(shape, dtype=slots.dtype) for shape in shapes]
    output_shapes: list[tuple[int, ...]] = []
    single: list[bool] = []

    def forward(*flat: Tensor) -> list[Tensor]:
        with firing_context(surrogate):
            made, state = slots.call(step, flat)
        single[:] = [isinstance(made, Tensor)]
        outputs = _as_outputs(made)
        output_shapes[:] = [tuple(o.shape) for o in outputs]
        return [o.to(slots.dtype) for o in outputs] + state

    graph, constants = _trace(forward, primals, step)
    if mixed:
        raise TraceError(mixed)
    outputs = tuple(output_shapes)
    if needs is None:
        return StepGraphs(slots, outputs, single[0], graph, constants)
    advance = _outputs_of(graph, slice(len(outputs), None))
    seeds = [torch.zeros(s, dtype=slots.dtype) for s in outputs + slots.state]
    wanted = needs.inputs + (True,) * len(slots.state) + needs.coefficients

    def backward(*flat: Tensor) -> list[Tensor]:
        values, cotangents = flat[: len(shapes)], flat[len(shapes) :]
        vjp: Any = torch.func.vjp(forward, *values)[1]
        return [g for g, wants in zip(vjp(list(cotangents)), wanted, strict=True) if wants]

    back, back_constants = _trace(backward, primals + seeds, step)
    return StepGraphs(slots, outputs, single[0], graph, constants, advance, back, back_constants)


@dataclass(frozen=True)
class Reach:
    """A graph over (inputs, state, coefficients): whether the first output has a derivative there.

    It gives 1 where the derivative by any argument that needs one is not zero, else 0: elsewhere
    a gradient of that output is of no use.
    """

    graph: fx.Graph
    constants: dict[str, Tensor]


def trace_reach(step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs) -> Reach:
    """Trace where the first output of ``step`` has a derivative; see `trace_step`."""
    shapes = slots.inputs + slots.state + slots.coefficients
    wanted = needs.inputs + (True,) * len(slots.state) + needs.coefficients
    if surrogate.window is not None:  # one inside the window, which costs less than the shape
        surrogate = StraightThrough(math.inf, surrogate.window)

    def first_output(*flat: Tensor) -> Tensor:
        with firing_context(surrogate):
            return _as_outputs(slots.call(step, flat)[0])[0].to(slots.dtype)

    def reaches(*flat: Tensor) -> list[Tensor]:
        made: Any = torch.func.vjp(first_output, *flat)
        found = zip(made[1](torch.ones_like(made[0])), wanted, strict=True)
        parts = [(derivative != 0).any() for derivative, wants in found if wants]
        return [functools.reduce(torch.logical_or, parts).to(slots.dtype)]

    examples = [torch.zeros(shape, dtype=slots.dtype) for shape in shapes]
    return Reach(*_trace(reaches, examples, step))


def _as_outputs(made: Any) -> list[Tensor]:
    outputs = list(made) if isinstance(made, tuple | list) else [made]
    for value in outputs:
        if not isinstance(value, Tensor):
            raise TraceError(
                "engine.trace: outputs of a step must be a tensor or a tuple of tensors, got "
                f"{type(value).__name__}. Return what each neuron sends out."
            )
    return outputs


def _mixes_neurons(step: Step, slots: Slots, surrogate: SurrogateGradient) -> str | None:
    """What is wrong with a step that does not treat each neuron by itself, or ``None``.

    Tracing sees one neuron, for whom a sum over all neurons is the neuron itself. So the step is
    called with a few neurons at once, and with the same neurons one by one.
    """
    random = torch.Generator().manual_seed(0)
    lead = (2, 3)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=random, dtype=torch.float64).to(slots.dtype)

    varying = [draw(lead + shape) for shape in slots.inputs + slots.state]
    fixed = [draw(lead[1:] + shape) for shape in slots.coefficients]

    def call(flat: list[Tensor], lead: tuple[int, ...] = ()) -> list[Tensor]:
        with firing_context(surrogate), torch.no_grad():
            made, state = slots.call(step, flat, lead)
        return _as_outputs(made) + state

    try:
        alone = [
            call([v[b, n] for v in varying] + [f[n] for f in fixed])
            for b, n in product(*map(range, lead))
        ]
    except Exception:
        return None  # tracing meets the same fault and explains it
    try:
        together = [call(varying + fixed, lead) for _ in range(2)]
    except Exception:
        together = None
    if together and not all(_agree(a, b) for a, b in zip(*together, strict=True)):
        return (
            f"engine.trace: {_name(step)} must give the same result each time, got another for "
            "the same arguments. Use the noise option, or pass random numbers as an input."
        )
    single = [
        torch.stack(parts).reshape(lead + parts[0].shape) for parts in zip(*alone, strict=True)
    ]
    if together and all(_agree(a, b) for a, b in zip(together[0], single, strict=True)):
        return None
    return (
        f"engine.trace: {_name(step)} must treat each neuron by itself, got a result that depends "
        "on other neurons or samples, or has another shape than they. Count a trailing axis from "
        "the end (-1), or run it with backend='reference'."
    )


def _agree(a: Tensor, b: Tensor) -> bool:
    """Whether two results are the same but for rounding."""
    return a.shape == b.shape and torch.allclose(
        a.double(), b.double(), rtol=1e-3, atol=1e-6, equal_nan=True
    )


def _as_field(value: Any, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    if not isinstance(value, Tensor) or value.shape != shape:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise TraceError(
            f"engine.trace: a state field must keep its shape, {tuple(shape)} for one neuron, "
            f"got {got}. Sum or select over the trailing axis before you return it."
        )
    return value.to(dtype)


def _trace(
    function: Callable[..., list[Tensor]], examples: list[Tensor], step: Step
) -> tuple[fx.Graph, dict[str, Tensor]]:
    """Trace twice: first through autograd, then functionalised and decomposed."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        first = make_fx(function, tracing_mode="fake")(*examples)
        second = make_fx(
            torch.func.functionalize(first, remove="mutations_and_views"),
            decomposition_table=_decompositions(),
            tracing_mode="fake",
        )(*examples)
    except TraceError:
        raise
    except Exception as cause:
        raise TraceError(_explain_failure(step, cause)) from cause
    if any("_local_scalar_dense" in str(node.target) for node in second.graph.nodes):
        raise TraceError(_branching(step))
    second.graph.eliminate_dead_code()
    constants = {
        str(node.target): getattr(second, str(node.target))
        for node in second.graph.nodes
        if node.op == "get_attr"
    }
    return second.graph, constants


@functools.cache
def _decompositions() -> dict[Any, Callable[..., Any]]:
    from torch._decomp import core_aten_decompositions, get_decompositions

    names = (
        "rsub addcmul addcdiv lerp heaviside hypot copysign "
        "_softmax _log_softmax gelu leaky_relu elu"
    )
    extra = get_decompositions([getattr(torch.ops.aten, name) for name in names.split()])
    return {**core_aten_decompositions(), **extra}


def _outputs_of(graph: fx.Graph, part: slice) -> fx.Graph:
    """A copy of ``graph`` that computes only some of its outputs."""
    copy = fx.Graph()
    mapping: dict[fx.Node, fx.Node] = {}
    result: Any = copy.graph_copy(graph, mapping)
    copy.output(list(result)[part])
    copy.eliminate_dead_code()
    return copy


def _name(step: Step) -> str:
    while isinstance(step, functools.partial):
        step = step.func
    return getattr(step, "__qualname__", None) or type(step).__name__


def _branching(step: Step) -> str:
    return (
        f"engine.trace: {_name(step)} must not branch on a tensor, got an `if`, `float()` or "
        "`.item()` of a value that is known only while running. Use torch.where(condition, "
        "a, b), or run it with backend='reference'."
    )


def _explain_failure(step: Step, cause: Exception) -> str:
    name = _name(step)
    text = str(cause)
    if "convert all Tensors to FakeTensors" in text:
        return (
            f"engine.trace: {name} must get tensors as arguments, got one from a global or a "
            "closure. Make it a parameter of the neuron, or a Python number if it never changes."
        )
    if "setup_context" in text:
        return (
            f"engine.trace: an autograd.Function in {name} must have a setup_context, got one in "
            "the old style. Rewrite it: forward(*inputs) without ctx, "
            "setup_context(ctx, inputs, output) that saves, backward(ctx, *grads); "
            "or run it with backend='reference'."
        )
    if type(cause).__name__.startswith(("GuardOnDataDependent", "DataDependent")) or (
        "data-dependent" in text
    ):
        return _branching(step)
    return (
        f"engine.trace: {name} must be made of tensor operations on one neuron, got "
        f"{type(cause).__name__}: {text.splitlines()[0] if text else ''}. "
        "Correct it, or run it with backend='reference'."
    )
