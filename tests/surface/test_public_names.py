"""What `import spikewright as sw` offers: every public name is there and says what it is."""

from __future__ import annotations

import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

import spikewright as sw

ROOT = Path(__file__).parents[2]
PUBLIC_FOLDERS = sorted(
    f"spikewright.{path.parent.name}" for path in ROOT.glob("src/spikewright/*/__init__.py")
)


def own_docstring(thing: object) -> str | None:
    """The docstring written for a class, function or module, not one that dataclass made up."""
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else getattr(thing, "__doc__", None)
    generated = inspect.isclass(thing) and str(text).startswith(f"{thing.__name__}(")
    return None if generated else text


def is_described(thing: object) -> bool:
    documented = inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)
    return bool(own_docstring(thing)) or not documented


@pytest.mark.parametrize("name", sw.__all__)
def test_every_public_name_resolves_and_is_described(name: str) -> None:
    assert is_described(getattr(sw, name)), f"spikewright.{name} has no docstring"


@pytest.mark.parametrize("folder", PUBLIC_FOLDERS)
def test_every_name_that_a_part_exports_resolves_and_is_described(folder: str) -> None:
    part = importlib.import_module(folder)
    names = getattr(part, "__all__", ())
    silent = [name for name in names if not is_described(getattr(part, name))]
    assert silent == []
    assert own_docstring(part), f"{folder} has no docstring"


def test_public_names_are_sorted_and_unique() -> None:
    assert len(sw.__all__) == len(set(sw.__all__))
    assert set(sw.__all__) <= set(dir(sw))


def test_the_version_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert sw.__version__ == project["version"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sw.no_such_name


def test_a_made_up_or_missing_docstring_is_found() -> None:
    from dataclasses import dataclass

    @dataclass
    class Generated:
        value: int

    class Inherited(Path):
        pass

    assert not is_described(Generated)
    assert not is_described(Inherited)
    assert is_described(Path)
    assert is_described(1.0)
