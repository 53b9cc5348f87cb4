"""How an operation of the engine is registered with PyTorch.

PyTorch's compiler and function transforms handle operations on plain tensors. All else an
operation needs (a step function, a surrogate, sizes) is an `Operation` in a table, and its key,
which follows from its content, is an argument. The operation itself runs the engine as ever.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor

from spikewright.engine.custom_ops.held import claim, issue
from spikewright.engine.forward import refuse_program
from spikewright.engine.products.events import hand_on
from spikewright.engine.traced import has_values, transforming
from spikewright.engine.tracing import fingerprint
from spikewright.errors import BackendError

SCHEMA = "(str key, Tensor[] tensors, bool[] needs) -> Tensor[]"
BACKWARD = (
    "(str key, Tensor[] tensors, Tensor[] results, Tensor?[] gradients, bool[] wanted) -> Tensor[]"
)


class Operation(Protocol):
    """What runs for a key; a frozen dataclass."""

    @property
    def name(self) -> str:
        """The name of the registered operation."""
        ...

    def run(self, tensors: list[Tensor]) -> Sequence[Tensor]:
        """The results; only ``autograd.Function.apply`` may connect them to the arguments."""
        ...

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        """Empty tensors of the shape and dtype of the results."""
        ...


@dataclass
class _Graph:
    """Arguments and results of a run, joined by autograd's graph."""

    leaves: list[Tensor]
    results: list[Tensor]


_table: dict[str, Operation] = {}


@functools.cache
def key_of(operation: Operation) -> str:
    """The key of an operation, the same in every process where its content can be told."""
    try:
        content = fingerprint.fingerprint(operation)
    except fingerprint.Unknown:
        content = uuid.uuid4().hex
    key = f"{operation.name}-{content}"
    _table[key] = operation
    return key


def call(operation: Operation, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Run an operation as a registered one; return its results."""
    key, saving = key_of(operation), torch.is_grad_enabled()
    if transforming():
        # A transform hides from those inside it whether a tensor needs a gradient.
        needs = [saving and t.is_floating_point() for t in tensors]
        results: Any = _Transformed.apply(_Call(operation.name, key, needs), *tensors)
    else:
        needs = [saving and t.requires_grad for t in tensors]
        results = _find(operation.name)(key, list(tensors), needs)
    return list(results[:-1])


def register(name: str) -> None:
    """Register ``spikewright::name`` and ``spikewright::name_backward``."""
    options: Any = {"mutates_args": ()}
    forward = torch.library.custom_op(f"spikewright::{name}", _run, schema=SCHEMA, **options)
    forward.register_fake(_like)
    forward.register_autograd(functools.partial(_differentiate, name), setup_context=_keep)
    forward.register_vmap(functools.partial(_for_each, forward))
    backward = torch.library.custom_op(
        f"spikewright::{name}_backward", _run_backward, schema=BACKWARD, **options
    )
    backward.register_fake(_like_backward)
    backward.register_autograd(functools.partial(_refuse, name))
    backward.register_vmap(functools.partial(_for_each, backward))


def _find(name: str) -> Any:
    return getattr(torch.ops.spikewright, name).default


def _run(key: str, tensors: list[Tensor], needs: list[bool]) -> list[Tensor]:
    refuse_program("a graph made by torch.compile, torch.export or torch.func")
    graph = _graph(key, tensors, needs)
    results = [hand_on(y, y.detach()) for y in graph.results]
    return [*results, issue([graph if any(needs) else None])[0]]


def _graph(key: str, tensors: list[Tensor], needs: list[bool]) -> _Graph:
    leaves = [
        hand_on(t, t.detach()).requires_grad_(need) for t, need in zip(tensors, needs, strict=True)
    ]
    with torch.set_grad_enabled(any(needs)):
        return _Graph(leaves, list(_table[key].run(leaves)))


def _like(key: str, tensors: list[Tensor], needs: list[bool]) -> list[Tensor]:
    ticket = torch.empty((1,), dtype=torch.int64, device="cpu")
    return [*_table[key].like(tensors), ticket]


def _run_backward(
    key: str,
    tensors: list[Tensor],
    results: list[Tensor],
    gradients: list[Tensor | None],
    wanted: list[bool],
) -> list[Tensor]:
    graph: _Graph = claim(results[-1]) or _graph(key, tensors, wanted)
    leaves = [leaf for leaf, wants in zip(graph.leaves, wanted, strict=True) if wants]
    pairs = zip(graph.results, gradients, strict=True)
    known = [(y, g) for y, g in pairs if g is not None and y.requires_grad]
    made: Sequence[Tensor | None] = [None] * len(leaves)
    if known and leaves:
        ys, gs = zip(*known, strict=True)
        made = torch.autograd.grad(ys, leaves, gs, retain_graph=True, allow_unused=True)
    return [
        leaf.detach().new_zeros(leaf.shape) if g is None else g.detach().contiguous()
        for g, leaf in zip(made, leaves, strict=True)
    ]


def _like_backward(
    key: str,
    tensors: list[Tensor],
    results: list[Tensor],
    gradients: list[Tensor | None],
    wanted: list[bool],
) -> list[Tensor]:
    found = zip(tensors, wanted, strict=True)
    return [t.new_empty(t.shape) for t, wants in found if wants]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    ctx.key, tensors, ctx.needs = inputs
    ctx.count = len(tensors)
    ctx.save_for_backward(*tensors, *output)


def _differentiate(
    name: str, ctx: Any, gradients: Sequence[Tensor | None]
) -> tuple[None, list[Tensor | None], None]:
    wanted = [bool(needs) for needs in ctx.needs]
    return None, _gradients(name, ctx, gradients, wanted), None


def _gradients(
    name: str, ctx: Any, gradients: Sequence[Tensor | None], wanted: list[bool]
) -> list[Tensor | None]:
    saved = list(ctx.saved_tensors)
    tensors, results = saved[: ctx.count], saved[ctx.count :]
    parts = tensors, results, list(gradients[:-1])
    if transforming():
        call = _Call(name, ctx.key, wanted)
        made = iter(_TransformedBackward.apply(call, len(tensors), len(results), *chain(*parts)))
    else:
        made = iter(_find(f"{name}_backward")(ctx.key, *parts, wanted))
    return [next(made) if wants else None for wants in wanted]


@dataclass
class _Call:
    name: str
    key: str
    needs: list[bool]


class _Transformed(torch.autograd.Function):
    """An operation as the transforms of ``torch.func`` take it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(_find(call.name)(call.key, list(tensors), call.needs))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        call, *tensors = inputs
        _keep(ctx, (call.key, tensors, call.needs), output)
        ctx.name = call.name
        ctx.mark_non_differentiable(output[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        wanted = [bool(needs) for needs in ctx.needs_input_grad[1:]]
        return (None, *_gradients(ctx.name, ctx, gradients, wanted))


class _TransformedBackward(torch.autograd.Function):
    """The backward pass of an operation as the transforms of ``torch.func`` take it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(call: _Call, first: int, second: int, *flat: Any) -> tuple[Tensor, ...]:
        parts = list(flat[:first]), list(flat[first : first + second]), list(flat[first + second :])
        return tuple(_find(f"{call.name}_backward")(call.key, *parts, call.needs))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.name = inputs[0].name

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> None:
        _refuse(ctx.name, ctx, *gradients)


def _for_each(operation: Any, info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
    """One run for each sample of the mapped axis, after another."""
    runs = [operation(*_pick(arguments, in_dims, i)) for i in range(info.batch_size)]
    columns = list(zip(*runs, strict=True))
    return [_side_by_side(column) for column in columns], [0] * len(columns)


def _side_by_side(column: Sequence[Tensor]) -> Tensor:
    """Results of all samples in one tensor; tickets stay good for what they stand for."""
    if column[0].dtype is torch.int64 and has_values(column[0]):
        return issue([claim(ticket) for ticket in column])
    return torch.stack(list(column))


def _pick(value: Any, axis: Any, i: int) -> Any:
    """Sample ``i`` of an argument, or of each argument in a list."""
    if isinstance(value, Tensor):
        return value if axis is None else value.select(axis, i)
    if isinstance(value, tuple | list) and isinstance(axis, tuple | list):
        return [_pick(v, a, i) for v, a in zip(value, axis, strict=True)]
    return value


def _refuse(name: str, ctx: Any, *gradients: Any) -> None:
    raise BackendError(
        f"engine.{name}: a fused kernel must be differentiated at most once, got a second "
        "derivative. Run the layer with backend='reference'."
    )
