"""What the generated kernels need of Numba beyond its defaults, so that LLVM vectorises them."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.compiler import Compiler
from numba.extending import intrinsic


class NoAlias(Compiler):
    """Numba's compiler with array arguments marked as not overlapping.

    A kernel is only ever given arrays of their own to write to. Without the mark LLVM compares
    the ends of each pair of arrays at run time, and gives up where there are many.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state.flags.noalias = True


# How a hand-written kernel is compiled.
OPTIONS = {
    "nogil": True,
    "cache": True,
    "boundscheck": False,
    "error_model": "numpy",
    "pipeline_class": NoAlias,
}


@intrinsic
def select(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes if condition else no`` without a branch; both are of one type."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return yes(types.boolean, yes, yes), codegen


@intrinsic
def nonzero_mask(typingctx: Any, array: Any, first: Any) -> Any:
    """Bit k of the result says whether ``array[first + k]`` is not zero, for 64 elements.

    NaN is not zero. The elements must exist.
    """
    return types.uint64(array, types.int64), _mask("!=", 0.0)


@intrinsic
def ones_mask(typingctx: Any, array: Any, first: Any) -> Any:
    """Bit k of the result says whether ``array[first + k]`` is exactly one, for 64 elements."""
    return types.uint64(array, types.int64), _mask("==", 1.0)


@intrinsic
def lowest_bit(typingctx: Any, mask: Any) -> Any:
    """The place of the lowest bit that is set; 64 if none is."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def count_bits(typingctx: Any, mask: Any) -> Any:
    """How many bits are set."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


def _mask(comparison: str, value: float) -> Any:
    """Code for a comparison of 64 neighbours with a constant, as one 64-bit number."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array_type = signature.args[0]
        array = context.make_array(array_type)(context, builder, args[0])
        place = builder.gep(array.data, [args[1]])
        element = context.get_data_type(array_type.dtype)
        vector = ir.VectorType(element, 64)
        values = builder.load(builder.bitcast(place, vector.as_pointer()), align=1)
        if isinstance(element, ir.IntType):
            found = builder.icmp_unsigned(
                comparison, values, ir.Constant(vector, [int(value)] * 64)
            )
        else:
            compare = builder.fcmp_unordered if comparison == "!=" else builder.fcmp_ordered
            found = compare(comparison, values, ir.Constant(vector, [value] * 64))
        return builder.bitcast(found, ir.IntType(64))

    return codegen
