"""From the text of one expression to an `Expression`; Python's own parser does the parsing."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping

from spikewright.engine.plastic.description import (
    FUNCTIONS,
    SYMBOLS,
    Expression,
    Number,
    Symbol,
)
from spikewright.errors import ParameterError, nearest
from spikewright.learning.plasticity.algebra import NotFinite, operation
from spikewright.learning.plasticity.source import Place, Statement

TRACE = re.compile(r"[xy][1-9][0-9]*")
_BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
}
_MAY_HOLD = "numbers, names, + - * / ^, comparisons, functions and parentheses"


class Reader:
    """Reads the expression of one statement; ``places`` says where each name stands first.

    Args:
        statement: what to read.
        constants: names that stand for numbers.
    """

    def __init__(self, statement: Statement, constants: Mapping[str, float]) -> None:
        self._statement, self._constants = statement, constants
        self._python = statement.expression.replace("^", "**")
        self.places: dict[str, Place] = {}

    def read(self) -> Expression:
        """The expression, with constants put in and numbers worked out.

        Raises:
            ParameterError: it cannot be read; the message points at the column.
        """
        return self._read(self._parsed())

    def _parsed(self) -> ast.expr:
        try:
            with warnings.catch_warnings():  # Python warns of some code that is refused below
                warnings.simplefilter("ignore")
                return ast.parse(self._python, mode="eval").body
        except SyntaxError as cause:
            place, why = self._place((cause.offset or 1) - 1), cause.msg
        except (ValueError, MemoryError, RecursionError) as cause:
            place, why = self._place(0), str(cause) or "too deeply nested"
        raise place.error(
            f"an expression must be readable, got one that is not: {why}. Use {_MAY_HOLD}."
        )

    def _read(self, node: ast.expr) -> Expression:
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self._operation(node, "-", node.operand)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
            return self._read(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._operation(node, _BINARY[type(node.op)], node.left, node.right)
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _BINARY:
            if len(node.ops) > 1:
                raise self._at(node.comparators[1]).error(
                    f"a comparison must be of two values, got {self._text(node)!r}. "
                    "Multiply two comparisons, as in (0 < w) * (w < 1)."
                )
            return self._operation(node, _BINARY[type(node.ops[0])], node.left, node.comparators[0])
        raise self._refused(node)

    def _number(self, node: ast.Constant) -> Expression:
        if type(node.value) not in (int, float):
            raise self._refused(node)
        try:
            return self._finite(node, float(node.value))  # type: ignore[arg-type]
        except OverflowError:
            raise self._no_number(node, "one that is too large") from None

    def _name(self, node: ast.Name) -> Expression:
        self.places.setdefault(node.id, self._at(node))
        if node.id in self._constants:
            return Number(float(self._constants[node.id]))
        if node.id in SYMBOLS or TRACE.fullmatch(node.id):
            return Symbol(node.id)
        known = [*SYMBOLS, "x1", "x2", "y1", "y2", *self._constants]
        raise self._at(node).error(
            f"names must be those that a synapse knows, got {node.id!r}. {nearest(node.id, known)}"
        )

    def _call(self, node: ast.Call) -> Expression:
        if not isinstance(node.func, ast.Name):
            raise self._refused(node)
        name, arguments = node.func.id, node.args
        if name not in FUNCTIONS:
            raise self._at(node).error(
                f"functions must be {', '.join(FUNCTIONS)}, got {name!r}. "
                f"{nearest(name, FUNCTIONS)}"
            )
        if node.keywords or len(arguments) != FUNCTIONS[name]:
            raise self._at(node).error(
                f"arguments of {name} must be {FUNCTIONS[name]}, got "
                f"{len(arguments) + len(node.keywords)}. Count the commas."
            )
        return self._operation(node, name, *arguments)

    def _operation(self, node: ast.expr, name: str, *operands: ast.expr) -> Expression:
        arguments = [self._read(operand) for operand in operands]
        try:
            return operation(name, *arguments)
        except NotFinite as cause:
            raise self._no_number(node, str(cause)) from None

    def _finite(self, node: ast.expr, value: float) -> Number:
        if value in (float("inf"), float("-inf")):
            raise self._no_number(node, "one that is too large")
        return Number(value)

    def _no_number(self, node: ast.expr, why: str) -> ParameterError:
        shown = self._text(node)
        return self._at(node).error(
            f"{shown!r} must be a finite real number, got {why}. Change its numbers."
        )

    def _refused(self, node: ast.expr) -> ParameterError:
        return self._at(node).error(
            f"an expression must be made of {_MAY_HOLD}, got {self._text(node)!r}. Write it so."
        )

    def _text(self, node: ast.expr) -> str:
        return (ast.get_source_segment(self._python, node) or "").replace("**", "^")

    def _at(self, node: ast.expr) -> Place:
        return self._place(len(self._python.encode()[: node.col_offset].decode()))

    def _place(self, column: int) -> Place:
        """The place of a column of the Python text, in which ``^`` takes two."""
        powers = self._powers_before(column)
        return self._statement.place(column - powers)

    def _powers_before(self, column: int) -> int:
        passed = 0
        for power, character in enumerate(self._statement.expression):
            if power + passed >= column:
                break
            passed += character == "^"
        return passed
