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


@intrinsic
def select(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes if condition else no`` without a branch; both are of one type."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return yes(types.boolean, yes, yes), codegen
