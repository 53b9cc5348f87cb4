"""Imports point one way, from the engine up to the command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "spikewright"

BASE = frozenset({"errors", "units", "seeding", "optional", "files", "openmp", "borrow", "sealed"})
CHAIN = (
    BASE,
    frozenset({"engine"}),
    frozenset({"neurons", "connections", "coding"}),
    frozenset({"network"}),
    frozenset({"models"}),
    frozenset({"events"}),
    frozenset({"learning"}),
    frozenset({"training"}),
    frozenset({"circuits"}),
)


def allowed_imports() -> dict[str, frozenset[str]]:
    """For each part of the package, the parts that it may import."""
    allowed: dict[str, frozenset[str]] = {}
    seen: frozenset[str] = frozenset()
    for group in CHAIN:
        seen |= group
        allowed |= dict.fromkeys(group, seen)
    allowed["compiler"] = allowed["network"] | {"compiler", "report"}
    allowed["targets"] = allowed["compiler"] | {"targets"}
    allowed["audio"] = BASE | {"audio"}
    allowed["data"] = BASE | {"audio", "coding", "data"}
    allowed["detection"] = allowed["compiler"] | {"audio", "detection"}
    allowed["report"] = BASE | {"report"}
    allowed["settings"] = BASE | {"settings"}
    allowed["lookup"] = BASE | {"lookup"}
    # On top: "" is the package itself, whose __init__ gathers the public names.
    everything = frozenset(allowed) | {"", "recipes", "benches"}
    allowed["recipes"] = everything
    allowed["benches"] = everything
    allowed["cli"] = everything | {"cli"}
    allowed[""] = everything
    return allowed


ALLOWED = allowed_imports()


def part_of(path: Path, package: Path) -> str:
    """The part that a file belongs to: the first name below the package, "" for its __init__."""
    first = path.relative_to(package).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_modules(tree: ast.AST, path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions and by string included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(package.parent).parts[: -node.level] if node.level else ()
            module = ".".join((*parents, *filter(None, [node.module])))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in {"import_module", "require", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def imported_parts(path: Path, package: Path, parts: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and part of every import of this package in one file."""
    for line, module in imported_modules(ast.parse(path.read_text("utf-8")), path, package):
        root, _, rest = module.partition(".")
        if root == package.name:
            first = rest.partition(".")[0]
            yield line, first if first in parts else ""


def parts_in(package: Path) -> frozenset[str]:
    return frozenset(part_of(path, package) for path in package.rglob("*.py"))


def violations(package: Path) -> list[str]:
    parts = parts_in(package)
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        part = part_of(path, package)
        for line, target in imported_parts(path, package, parts):
            if target != part and target not in ALLOWED.get(part, frozenset()):
                where = f"{path.relative_to(package.parent).as_posix()}:{line}"
                found.append(f"{where}: {part} may not import {target or package.name}")
    return found


def cycles(package: Path) -> set[frozenset[str]]:
    """Pairs of parts that import each other."""
    parts = parts_in(package)
    edges = {
        (part_of(path, package), target)
        for path in package.rglob("*.py")
        for _, target in imported_parts(path, package, parts)
    }
    return {frozenset({a, b}) for a, b in edges if a != b and (b, a) in edges and "" not in {a, b}}


def test_every_import_points_down() -> None:
    assert violations(PACKAGE) == []


def test_no_two_parts_import_each_other() -> None:
    assert cycles(PACKAGE) == set()


def test_every_part_has_its_place_in_the_table() -> None:
    assert parts_in(PACKAGE) - ALLOWED.keys() == set()


def test_learning_and_targets_are_kept_apart() -> None:
    assert "targets" not in ALLOWED["learning"]
    assert "learning" not in ALLOWED["targets"]


def write_package(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "spikewright"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return package


@pytest.mark.parametrize(
    "text",
    [
        "import spikewright.network",
        "import spikewright",
        "from spikewright import network",
        "from spikewright.network import Sequential",
        "from ..network import Sequential",
        "from .. import network",
        "def late():\n    from spikewright.network import Sequential",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from spikewright import network",
        "import importlib\nimportlib.import_module('spikewright.network')",
        "from spikewright import optional\noptional.require('spikewright.network')",
    ],
)
def test_a_forbidden_import_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    files = {"engine/scan.py": text, "network.py": "", "optional.py": "", "__init__.py": ""}
    assert len(violations(write_package(tmp_path, files))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from spikewright.engine.layer import Layer",
        "from spikewright import errors, optional",
        "from ..engine import scan",
        "import torch",
        "import spikewright_extra",
    ],
)
def test_an_allowed_import_is_not_reported(tmp_path: Path, text: str) -> None:
    files = {"network.py": "", "engine/scan.py": "", "optional.py": "", "errors.py": ""}
    package = write_package(tmp_path, files | {"neurons/lif.py": text})
    assert violations(package) == []


def test_two_parts_of_one_group_that_import_each_other_are_found(tmp_path: Path) -> None:
    files = {
        "neurons/a.py": "from spikewright.connections import b",
        "connections/b.py": "from spikewright.neurons import a",
    }
    package = write_package(tmp_path, files)
    assert cycles(package) == {frozenset({"neurons", "connections"})}
    assert violations(package) == []
