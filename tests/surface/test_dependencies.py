"""What the package imports, what it declares and what is pinned are one list."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# torch brings its own writer of TensorBoard files, which needs the package without naming it.
IMPORTED_BY_OTHERS = {"torch.utils.tensorboard": "tensorboard"}
# Tools that are run as commands, or that pytest loads by itself.
COMMANDS = {"hatchling", "pyright", "pytest-xdist", "ruff"}
# Other frameworks, which run in processes of their own; of those that the extra leaves out, why.
PEERS = ROOT / "src" / "spikewright" / "benches" / "peers"
LEFT_OUT = {
    "sinabs": "needs nir <= 1.0.4, and a package that runs pip when it is imported",
    "brian2": "needs NumPy 1",
    "bindsnet": "needs a newer PyTorch than the one pinned, as it says, and is AGPL",
}
NOWHERE = ROOT / "nowhere"
# Runs where norse is installed, in an environment of its own.
IN_NORSE = ROOT / "tests" / "exchange" / "write_norse_graphs.py"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def package_names(requirements: list[str]) -> set[str]:
    """The normalised names of the requirements, this package's own extras left out."""
    names = {normal(re.split(r"[\[<>=!~ ;]", text, maxsplit=1)[0]) for text in requirements}
    return names - {"spikewright"}


def mentioned_modules(source: str) -> Iterator[str]:
    """Every module that a file imports, late imports and `require("name")` included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in {"require", "import_module", "importorskip"}:
                yield str(node.args[0].value)


def used_packages(folder: Path, apart: Path = NOWHERE) -> set[str]:
    modules = {
        module
        for path in folder.rglob("*.py")
        if not path.is_relative_to(apart)
        for module in mentioned_modules(path.read_text("utf-8"))
    }
    own = {path.stem for path in folder.rglob("*") if path.is_dir() or path.suffix == ".py"}
    ignored = set(sys.stdlib_module_names) | own | {"spikewright"}
    roots = {IMPORTED_BY_OTHERS.get(module, module).partition(".")[0] for module in modules}
    return {normal(root) for root in roots - ignored}


USED = used_packages(ROOT / "src", apart=PEERS)
OPTIONAL = [package for extra in ("audio", "gpu", "tensorboard") for package in EXTRAS[extra]]
DECLARED = package_names(PROJECT["dependencies"] + OPTIONAL)


def test_every_package_that_the_source_imports_is_declared() -> None:
    assert sorted(USED - DECLARED) == []


def test_every_declared_package_is_imported_somewhere() -> None:
    assert sorted(DECLARED - USED) == []


def test_other_frameworks_are_imported_by_their_own_files_alone() -> None:
    modules = {
        module.partition(".")[0]
        for path in PEERS.rglob("*.py")
        for module in mentioned_modules(path.read_text("utf-8"))
    }
    frameworks = modules - set(sys.stdlib_module_names) - {"spikewright", "torch"}
    assert frameworks - LEFT_OUT.keys() == package_names(EXTRAS["bench"])
    elsewhere = {
        (module, path.name)
        for path in (ROOT / "src").rglob("*.py")
        if not path.is_relative_to(PEERS)
        for module in mentioned_modules(path.read_text("utf-8"))
        if module.partition(".")[0] in frameworks
    }
    assert elsewhere == set()


def test_every_package_that_the_tests_import_is_in_the_test_extra() -> None:
    used = used_packages(ROOT / "tests", apart=IN_NORSE) | used_packages_of_root()
    extra = package_names(EXTRAS["test"])
    assert sorted(used - DECLARED - extra) == []
    assert sorted(extra - used - COMMANDS) == []


def used_packages_of_root() -> set[str]:
    source = (ROOT / "conftest.py").read_text("utf-8")
    return {module.partition(".")[0] for module in mentioned_modules(source)} & {"sybil"}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_direct_dependency_is_pinned_inside_its_range(extra: str) -> None:
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for text in EXTRAS.get(extra, PROJECT["dependencies"]):
        requirement = Requirement(text)
        if requirement.name != "spikewright":
            assert requirement.specifier.contains(pins[normal(requirement.name)]), text


def test_torch_is_pinned_to_one_release_and_admitted_from_2_9() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert "torch>=2.9" in PROJECT["dependencies"]


def test_a_late_import_and_a_required_name_count_as_used() -> None:
    source = "def f():\n    import h5py.h5f\n    optional.require('rich.table')\n"
    assert set(mentioned_modules(source)) == {"h5py.h5f", "rich.table"}
