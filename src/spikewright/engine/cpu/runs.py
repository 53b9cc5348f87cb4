"""Vector code for runs of neighbouring elements, which no index check or overlap test slows.

All elements named by an offset and a length must exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

VECTOR_BYTES = 64
_WORD = ir.IntType(64)


@intrinsic
def add_runs(  # noqa: PLR0913 - Numba knows no containers that cost nothing
    typingctx: Any, total: Any, t: Any, length: Any, source: Any, s: Any, starts: Any, step: Any,
    times: Any, first: Any, last: Any,
) -> Any:  # fmt: skip
    """``total[t + n] += times[e] * source[step * starts[e] + s + n]``, n from 0 to ``length - 1``.

    The e from ``first`` to ``last - 1`` are added one after the other. ``times`` may be ``None``.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        kinds, zero = signature.args, _WORD(0)
        into = _pointer(context, builder, kinds[0], args[0], args[1])
        values = _pointer(context, builder, kinds[3], args[3], args[4])
        starting = _pointer(context, builder, kinds[5], args[5], zero)
        once = isinstance(kinds[7], types.NoneType)
        factors = None if once else _pointer(context, builder, kinds[7], args[7], zero)

        def add(n: Any, lanes: int) -> None:
            place = _vector(builder, into, n, lanes, element)
            here = builder.gep(values, [n])
            sums = cgutils.alloca_once(builder, _type(element, lanes))
            builder.store(builder.load(place, align=1), sums)
            with _loop(builder, args[8], args[9], 1) as e:
                start = builder.zext(builder.load(builder.gep(starting, [e])), _WORD)
                offset = builder.mul(start, args[6])
                value = builder.load(_vector(builder, here, offset, lanes, element), align=1)
                if factors is not None:
                    factor = builder.load(builder.gep(factors, [e]))
                    value = builder.fmul(_spread(builder, factor, lanes, element), value)
                builder.store(builder.fadd(builder.load(sums), value), sums)
            builder.store(builder.load(sums), place, align=1)

        _by_vectors(builder, args[2], element, add)
        return context.get_dummy_value()

    long = types.int64
    return types.void(total, long, long, source, long, starts, long, times, long, long), codegen


@intrinsic
def spread_run(  # noqa: PLR0913 - as above
    typingctx: Any, total: Any, t: Any, length: Any, source: Any, s: Any, starts: Any,
    times: Any, first: Any, last: Any,
) -> Any:  # fmt: skip
    """``total[starts[e] + t + n] += times[e] * source[s + n]`` for n from 0 to ``length - 1``.

    The e from ``first`` to ``last - 1`` are taken one after the other.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        kinds, zero = signature.args, _WORD(0)
        into = _pointer(context, builder, kinds[0], args[0], args[1])
        values = _pointer(context, builder, kinds[3], args[3], args[4])
        starting = _pointer(context, builder, kinds[5], args[5], zero)
        factors = _pointer(context, builder, kinds[6], args[6], zero)

        def add(n: Any, lanes: int) -> None:
            value = builder.load(_vector(builder, values, n, lanes, element), align=1)
            here = builder.gep(into, [n])
            with _loop(builder, args[7], args[8], 1) as e:
                offset = builder.load(builder.gep(starting, [e]))
                place = _vector(builder, here, offset, lanes, element)
                factor = _spread(builder, builder.load(builder.gep(factors, [e])), lanes, element)
                after = builder.fadd(builder.load(place, align=1), builder.fmul(factor, value))
                builder.store(after, place, align=1)

        _by_vectors(builder, args[2], element, add)
        return context.get_dummy_value()

    long = types.int64
    signature = types.void(total, long, long, source, long, starts, times, long, long)
    return signature, codegen


@intrinsic
def copy_run(typingctx: Any, target: Any, t: Any, length: Any, source: Any, s: Any) -> Any:
    """``target[t + n] = source[s + n]`` for n from 0 to ``length - 1``."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        size = builder.mul(args[2], _WORD(signature.args[0].dtype.bitwidth // 8))
        into = _pointer(context, builder, signature.args[0], args[0], args[1])
        cgutils.raw_memcpy(
            builder, into, _pointer(context, builder, signature.args[3], args[3], args[4]), size, 1
        )
        return context.get_dummy_value()

    long = types.int64
    return types.void(target, long, long, source, long), codegen


@intrinsic
def dot_run(typingctx: Any, a: Any, i: Any, b: Any, j: Any, length: Any) -> Any:
    """The sum of ``a[i + n] * b[j + n]`` for n from 0 to ``length - 1``; it fixes the order."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        left = _pointer(context, builder, signature.args[0], args[0], args[1])
        right = _pointer(context, builder, signature.args[2], args[2], args[3])
        sums = {
            lanes: cgutils.alloca_once_value(builder, ir.Constant(_type(element, lanes), None))
            for lanes in _widths(element)
        }

        def add(n: Any, lanes: int) -> None:
            x = builder.load(_vector(builder, left, n, lanes, element), align=1)
            y = builder.load(_vector(builder, right, n, lanes, element), align=1)
            after = builder.fadd(builder.load(sums[lanes]), builder.fmul(x, y))
            builder.store(after, sums[lanes])

        _by_vectors(builder, args[4], element, add)
        return _total(builder, [builder.load(sums[lanes]) for lanes in _widths(element)], element)

    long = types.int64
    return a.dtype(a, long, b, long, long), codegen


@intrinsic
def transpose_block(
    typingctx: Any, source: Any, s: Any, source_step: Any, target: Any, t: Any, target_step: Any
) -> Any:
    """``target[t + n target_step + m] = source[s + m source_step + n]`` for a square of n and m.

    Its side is `block_side`.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        for place, values in _transposed(context, builder, signature, args):
            builder.store(values, place, align=1)
        return context.get_dummy_value()

    long = types.int64
    return types.void(source, long, long, target, long, long), codegen


@intrinsic
def transpose_block_plus(  # noqa: PLR0913 - as above
    typingctx: Any, source: Any, s: Any, source_step: Any, target: Any, t: Any,
    target_step: Any, plus: Any, p: Any,
) -> Any:  # fmt: skip
    """Like `transpose_block`, and adds ``plus[p + n]`` to line n of the target."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        shift = _pointer(context, builder, signature.args[6], args[6], args[7])
        for n, (place, values) in enumerate(_transposed(context, builder, signature, args)):
            value = builder.load(builder.gep(shift, [_WORD(n)]))
            spread = _spread(builder, value, values.type.count, element)
            builder.store(builder.fadd(values, spread), place, align=1)
        return context.get_dummy_value()

    long = types.int64
    return types.void(source, long, long, target, long, long, plus, long), codegen


def _transposed(
    context: Any, builder: ir.IRBuilder, signature: Any, args: Any
) -> list[tuple[Any, Any]]:
    """Where each line of a square goes, and its values."""
    element = context.get_data_type(signature.args[0].dtype)
    side = VECTOR_BYTES // (8 if isinstance(element, ir.DoubleType) else 4)

    def line(array: int, step: int, n: int) -> Any:
        first = _pointer(context, builder, signature.args[array], args[array], args[array + 1])
        return _vector(builder, first, builder.mul(args[step], _WORD(n)), side, element)

    rows = [builder.load(line(0, 2, n), align=1) for n in range(side)]
    half = 1
    while half < side:
        rows = _swap(builder, rows, half)
        half *= 2
    return [(line(3, 5, n), values) for n, values in enumerate(rows)]


def block_side(itemsize: int) -> int:
    """The side of the square that `transpose_block` turns, for elements of that size."""
    return VECTOR_BYTES // itemsize


def _swap(builder: ir.IRBuilder, rows: list[Any], half: int) -> list[Any]:
    """Exchange the off-diagonal blocks of side ``half`` in each block of twice that side."""
    side = len(rows)
    swapped = list(rows)
    for n in (n for n in range(side) if not n & half):
        low = [lane if not lane & half else side + lane - half for lane in range(side)]
        high = [lane + half if not lane & half else side + lane for lane in range(side)]
        for place, lanes in ((n, low), (n + half, high)):
            mask = ir.Constant(ir.VectorType(ir.IntType(32), side), lanes)
            swapped[place] = builder.shuffle_vector(rows[n], rows[n + half], mask)
    return swapped


def _widths(element: Any) -> list[int]:
    """Lanes of the vectors that a run is cut into, widest first."""
    widest = VECTOR_BYTES // (8 if isinstance(element, ir.DoubleType) else 4)
    return [8 * widest, 4 * widest, 2 * widest, widest, widest // 4, 1]


def _by_vectors(
    builder: ir.IRBuilder, length: Any, element: Any, body: Callable[[Any, int], None]
) -> None:
    """Call ``body(n, lanes)`` in a loop for each width, so that all of a run is covered once."""
    start: Any = _WORD(0)
    for lanes in _widths(element):
        whole = builder.and_(length, _WORD(-lanes))
        with _loop(builder, start, whole, lanes) as n:
            body(n, lanes)
        start = whole


@contextmanager
def _loop(builder: ir.IRBuilder, start: Any, stop: Any, step: int) -> Iterator[Any]:
    with cgutils.for_range_slice(builder, start, stop, _WORD(step), _WORD) as (n, _):
        yield n


def _pointer(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


def _type(element: Any, lanes: int) -> Any:
    return element if lanes == 1 else ir.VectorType(element, lanes)


def _vector(builder: ir.IRBuilder, pointer: Any, offset: Any, lanes: int, element: Any) -> Any:
    place = builder.gep(pointer, [offset])
    return builder.bitcast(place, _type(element, lanes).as_pointer())


def _spread(builder: ir.IRBuilder, value: Any, lanes: int, element: Any) -> Any:
    if lanes == 1:
        return value
    one = builder.insert_element(ir.Constant(_type(element, lanes), ir.Undefined), value, _WORD(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(one, one, mask)


def _total(builder: ir.IRBuilder, sums: list[Any], element: Any) -> Any:
    """All lanes of all vectors, halves of each first."""
    total = sums[-1]
    for values in sums[:-1]:
        total = builder.fadd(total, _folded(builder, values))
    return total


def _folded(builder: ir.IRBuilder, values: Any) -> Any:
    lanes = values.type.count
    if lanes == 1:
        return builder.extract_element(values, _WORD(0))
    low, high = (
        builder.shuffle_vector(
            values,
            values,
            ir.Constant(ir.VectorType(ir.IntType(32), lanes // 2), list(part)),
        )
        for part in (range(lanes // 2), range(lanes // 2, lanes))
    )
    return _folded(builder, builder.fadd(low, high))
