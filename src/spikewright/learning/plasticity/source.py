"""Text that a person wrote, and the place in it where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.errors import ParameterError

WHERE = "SumOfProducts"


@dataclass(frozen=True)
class Place:
    """A column of a line of a rule's text; both count from 0."""

    line: str
    column: int

    def error(self, message: str) -> ParameterError:
        """An error whose message ends with the line, and a caret under the column.

        >>> print(Place("dw = x1 * u0", 10).error("names must be known, got 'u0'."))
        SumOfProducts: names must be known, got 'u0'.
            dw = x1 * u0
                      ^
        """
        before = self.line[: self.column]
        indent = "".join(c if c == "\t" else " " for c in before)
        return ParameterError(f"{WHERE}: {message}\n    {self.line}\n    {indent}^")


@dataclass(frozen=True)
class Statement:
    """``target = expression``, and where the expression starts in its line.

    Args:
        target: what is left of the equals sign.
        expression: what is right of it.
        start: of the statement.
        offset: column of the expression.
    """

    target: str
    expression: str
    start: Place
    offset: int

    def place(self, column: int) -> Place:
        """The place of a column of the expression."""
        return Place(self.start.line, min(self.offset + column, len(self.start.line)))


def statements(text: str) -> list[Statement]:
    """The statements of a text, separated by line ends or ``;``; ``#`` starts a comment.

    Raises:
        ParameterError: one of them is no assignment.

    >>> [(s.target, s.expression) for s in statements("de = x1*y0; dw = r*e  # reward")]
    [('de', 'x1*y0'), ('dw', 'r*e')]
    """
    found: list[Statement] = []
    for line in text.splitlines():
        column = 0
        for part in line.partition("#")[0].split(";"):
            if part.strip():
                found.append(_statement(line, part, column))
            column += len(part) + 1
    return found


def _statement(line: str, part: str, column: int) -> Statement:
    target, equals, expression = part.partition("=")
    start = Place(line, column + len(part) - len(part.lstrip()))
    if not equals or expression.startswith("="):
        raise start.error(
            f"a statement must be an assignment, got {part.strip()!r}. Write dw = ..."
        )
    offset = column + len(part) - len(expression.lstrip())
    return Statement(target.strip(), expression.strip(), start, offset)
