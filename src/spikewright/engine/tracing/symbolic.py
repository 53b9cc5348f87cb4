"""Run a traced graph on names instead of numbers.

Each value is a NumPy array of `Term`: zero-dimensional for one number a neuron, with one axis
for a small static trailing axis. Pointwise operations emit one line of code for each element,
structural ones (select, expand, stack, ...) only move terms about, so the trailing axis is
unrolled by the time the code is printed. Whatever depends on constants alone is computed here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from spikewright.errors import TraceError

Array = np.ndarray[Any, Any]
Printer = Callable[[str, list["Term"], torch.dtype, dict[str, Any]], str | None]


@dataclass(frozen=True)
class Term:
    """A name in the printed code, or a constant."""

    text: str
    dtype: torch.dtype
    value: float | int | bool | None = None

    @property
    def constant(self) -> bool:
        return self.value is not None


@dataclass
class Interpreter:
    """Turns a graph into lines of straight code.

    Args:
        printer: writes one pointwise operation, or returns ``None`` if it does not know it.
        prefix: start of the names it makes.
    """

    printer: Printer
    prefix: str
    lines: list[str] = field(default_factory=list[str])
    made: int = 0

    def run(
        self, graph: fx.Graph, constants: dict[str, Tensor], arguments: Sequence[Array]
    ) -> list[Array]:
        """Print ``graph`` applied to ``arguments``; return its outputs."""
        values: dict[fx.Node, Any] = {}
        remaining = iter(arguments)
        for node in graph.nodes:
            if node.op == "placeholder":
                values[node] = next(remaining)
            elif node.op == "get_attr":
                values[node] = literals(constants[str(node.target)])
            elif node.op == "output":
                return list(fx.map_arg(node.args[0], lambda n: values[n]))
            else:
                values[node] = self._call(node, values)
        return []

    def take(self) -> list[str]:
        """The lines printed since the last call."""
        lines, self.lines = self.lines, []
        return lines

    def add(self, left: Array, right: Array) -> Array:
        """The elementwise sum of two arrays of terms."""
        out = np.empty(left.shape, dtype=object)
        for index in np.ndindex(out.shape):
            terms: list[Any] = [left[index], right[index]]
            out[index] = self._line("add", terms, terms[0].dtype, {})
        return out

    def _call(self, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        args: Any = fx.map_arg(node.args, lambda n: values[n])
        kwargs: Any = fx.map_arg(node.kwargs, lambda n: values[n])
        name = str(node.target).removeprefix("aten.").rpartition(".")[0]
        target: Any = node.target
        if target is operator.getitem:
            return args[0][args[1]]
        result: Any = node.meta["val"]
        if name == "arange":
            return literals(target(*args, **kwargs))
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
            raise self._unknown(name)
        if name in CREATION:
            fill = CREATION[name](args, kwargs)
            return literals(torch.full(result.shape, fill, dtype=result.dtype))
        if name in STRUCTURE:
            return STRUCTURE[name](*args, **kwargs)
        tensors = [a for a in _flatten(args) if isinstance(a, np.ndarray)]
        if tensors and all(t.constant for a in tensors for t in a.flat):
            return self._fold(node, args, kwargs)
        if name in REDUCTION:
            return self._reduce(name, args, result)
        if not isinstance(result, Tensor) or any(isinstance(a, list | tuple) for a in args):
            raise self._unknown(name)
        return self._pointwise(name, args, kwargs, result)

    def _fold(self, node: fx.Node, args: Any, kwargs: Any) -> Array:
        target: Any = node.target
        return literals(target(*_unprint(args), **_unprint(kwargs)))

    def _reduce(self, name: str, args: Any, result: Tensor) -> Array:
        given = args[1] if len(args) > 1 else None
        axes = (given,) if isinstance(given, int) else tuple(given) if given else None
        source: Array = args[0]
        if source.ndim == 0:
            return source.reshape(tuple(result.shape))
        if axes is not None and {a % source.ndim for a in axes} != set(range(source.ndim)):
            raise self._unknown(name)
        kind = result.dtype
        total = reduce(lambda a, b: self._line(REDUCTION[name], [a, b], kind, {}), source.flat)
        if name == "mean":
            total = self._line("div", [total, Term("", kind, source.size)], kind, {})
        return _cell(total).reshape(tuple(result.shape))

    def _pointwise(self, name: str, args: Any, kwargs: Any, result: Tensor) -> Array:
        operands = [a if isinstance(a, np.ndarray) else _cell(a) for a in args]
        grids = np.broadcast_arrays(*operands)
        out = np.empty(grids[0].shape, dtype=object)
        for index in np.ndindex(out.shape):
            terms = [_term(grid[index], operands) for grid in grids]
            out[index] = self._line(name, terms, result.dtype, kwargs)
        return out

    def _line(
        self, name: str, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
    ) -> Term:
        text = self.printer(name, terms, dtype, kwargs)
        if text is None:
            raise self._unknown(name)
        target = f"{self.prefix}{self.made}"
        self.made += 1
        self.lines.append(f"{target} = {text}")
        return Term(target, dtype)

    def _unknown(self, name: str) -> TraceError:
        space, name = name.split(".") if "." in name else ("aten", name)
        return TraceError(
            f"engine.symbolic: every operation of a step must have a printer, got {space}.{name}. "
            "Write it with arithmetic, comparisons, torch.where or elementary functions, or run "
            "the network with backend='reference'."
        )


def literals(tensor: Tensor) -> Array:
    """The elements of a constant tensor as terms."""
    values = tensor.detach()
    out = np.empty(tuple(values.shape), dtype=object)
    for index in np.ndindex(out.shape):
        value = values[index].item()
        out[index] = Term(repr(value), values.dtype, value)
    return out


def _term(value: Any, operands: list[Array]) -> Term:
    """A Python number takes part in promotion as PyTorch has it: weakly."""
    if isinstance(value, Term):
        return value
    if value is None:
        return Term("None", torch.bool)
    tensors = [a.flat[0].dtype for a in operands if a.size and isinstance(a.flat[0], Term)]
    kinds = [torch.empty((), dtype=d) for d in tensors] or [torch.empty(())]
    return Term(
        repr(value),
        reduce(torch.promote_types, [torch.result_type(k, value) for k in kinds]),
        value,
    )


def _cell(value: Any) -> Array:
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def _flatten(args: Any) -> list[Any]:
    if isinstance(args, list | tuple):
        return [leaf for a in args for leaf in _flatten(a)]
    return [args]


def _unprint(args: Any) -> Any:
    """Constants back as tensors, to compute with them."""
    if isinstance(args, np.ndarray):
        dtype = next((t.dtype for t in args.flat), torch.float32)
        values = [t.value for t in args.flat]
        return torch.tensor(values, dtype=dtype).reshape(args.shape)
    if isinstance(args, list | tuple):
        return type(args)(_unprint(a) for a in args)
    if isinstance(args, dict):
        return {key: _unprint(value) for key, value in args.items()}
    return args


def _slice(
    x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    index: list[Any] = [slice(None)] * x.ndim
    index[dim] = slice(start, end, step)
    return x[tuple(index)]


def _slice_scatter(
    x: Array,
    part: Array,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Array:
    out = np.array(x, dtype=object)
    _slice(out, dim, start, end, step)[...] = part
    return out


def _reshape(x: Array, shape: Sequence[int], **_: Any) -> Array:
    return x.reshape(tuple(shape))


def _expand(x: Array, shape: Sequence[int], **_: Any) -> Array:
    sizes = list(shape)
    for axis in range(1, x.ndim + 1):
        sizes[-axis] = x.shape[-axis] if sizes[-axis] == -1 else sizes[-axis]
    return np.broadcast_to(x, tuple(sizes))


def _squeeze(x: Array, dim: int | Sequence[int] | None = None) -> Array:
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, tuple(a for a in axes if x.ndim and x.shape[a] == 1))


def _same(x: Array, *_: Any, **__: Any) -> Array:
    return x


def _select(x: Array, dim: int, index: int) -> Array:
    part = np.take(x, index, dim)
    return part if isinstance(part, np.ndarray) else _cell(part)


def _unbind(x: Array, dim: int = 0) -> list[Array]:
    return [_select(x, dim, index) for index in range(x.shape[dim])]


def _split(x: Array, sizes: int | Sequence[int], dim: int = 0) -> list[Array]:
    step = range(sizes, x.shape[dim], sizes) if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return np.split(x, list(step), dim)


def _both(operations: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Each view operation and the copying form that functionalisation leaves."""
    return operations | {f"{name}_copy": call for name, call in operations.items()}


STRUCTURE: dict[str, Callable[..., Any]] = _both(
    {
        "alias": _same,
        "detach": _same,
        "lift_fresh": _same,
        "view": _reshape,
        "_reshape": _reshape,
        "expand": _expand,
        "slice": _slice,
        "squeeze": _squeeze,
        "unsqueeze": np.expand_dims,
        "select": _select,
        "unbind": _unbind,
        "split": _split,
        "split_with_sizes": _split,
        "permute": np.transpose,
        "t": np.transpose,
    }
) | {
    "clone": _same,
    "reshape": _reshape,
    "_unsafe_view": _reshape,
    "slice_scatter": _slice_scatter,
    "cat": lambda parts, dim=0: np.concatenate(parts, dim),
    "stack": lambda parts, dim=0: np.stack(parts, dim),
}
CREATION: dict[str, Callable[[Any, Any], Any]] = {
    "full": lambda args, kwargs: args[1],
    "full_like": lambda args, kwargs: args[1],
    "scalar_tensor": lambda args, kwargs: args[0],
    "zeros_like": lambda args, kwargs: 0,
    "ones_like": lambda args, kwargs: 1,
    "zeros": lambda args, kwargs: 0,
    "empty": lambda args, kwargs: 0,
    "empty_like": lambda args, kwargs: 0,
    "empty_permuted": lambda args, kwargs: 0,
    "new_empty_strided": lambda args, kwargs: 0,
    "ones": lambda args, kwargs: 1,
}
REDUCTION = {
    "sum": "add",
    "mean": "add",
    "prod": "mul",
    "amax": "maximum",
    "amin": "minimum",
    "any": "logical_or",
    "all": "logical_and",
}
