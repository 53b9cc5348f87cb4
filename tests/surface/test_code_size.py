"""Files and functions stay small enough to be read at one go."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_FILE = 500
LONGEST_FUNCTION = 60
MEDIAN_FILE = 120


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    first = function.body[0]
    return lines - ((first.end_lineno or 0) - first.lineno + 1)


def long_functions(source: str) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    sizes = [(function.name, lines_of_code(function)) for function in functions]
    return [f"{name}: {size} lines" for name, size in sizes if size > LONGEST_FUNCTION]


def line_count(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name_of)
def test_no_file_and_no_function_is_too_long(path: Path) -> None:
    assert line_count(path) <= LONGEST_FILE
    assert long_functions(path.read_text("utf-8")) == []


def test_the_median_source_file_is_short() -> None:
    assert statistics.median(map(line_count, SOURCES)) <= MEDIAN_FILE


def test_a_function_of_61_lines_is_found_and_its_docstring_is_not_counted() -> None:
    body = "    x = 1\n" * 59
    assert long_functions(f"def f():\n{body}") == []
    assert long_functions(f'def f():\n    """One.\n\n    Two.\n    """\n{body}') == []
    assert long_functions(f"def f():\n{body}    x = 2\n") == ["f: 61 lines"]
