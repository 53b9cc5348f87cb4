"""Settings come from defaults, size, file, --set and flags, later ones over earlier ones."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from spikewright.errors import SettingsError
from spikewright.recipes import RECIPES, recipe
from spikewright.settings import Settings, Source, make, read_assignment, to_toml


class Inner(Settings):
    width: float = 0.5
    sizes: tuple[int, ...] = (3, 4)


class Outer(Settings):
    name: str = 'a "quoted" µ'
    count: int | None = Field(None, ge=1)
    """how many"""
    on: bool = True
    inner: Inner = Inner()


def test_what_is_printed_gives_the_same_settings_again() -> None:
    settings = make(Outer, [Source("a", {"inner": {"width": 1e-6, "sizes": [1]}, "on": False})])
    assert make(Outer, [Source("b", tomllib.loads(to_toml(settings)))]) == settings


@pytest.mark.parametrize("name", RECIPES.names())
@pytest.mark.parametrize("size", ["small", "full"])
def test_the_settings_of_every_recipe_survive_a_file(name: str, size: str) -> None:
    settings = recipe(name).settings(size)
    values = tomllib.loads(to_toml(settings))
    assert recipe(name).settings(size, [Source("file", values)]) == settings


def test_later_sources_win_and_nested_ones_are_merged() -> None:
    sources = [
        Source("file", {"count": 3, "inner": {"width": 2.0}}),
        read_assignment("inner.sizes=[5, 6]"),
        read_assignment("count=none"),
    ]
    settings = make(Outer, sources)
    assert (settings.count, settings.inner.width, settings.inner.sizes) == (None, 2.0, (5, 6))


def test_an_unknown_nested_key_is_named_with_its_path_and_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match=r"key in --set .* 'inner.widht'. Did you mean 'width'"):
        make(Outer, [read_assignment("inner.widht=1.0")])


def test_a_wrong_value_is_blamed_on_the_source_that_gave_it() -> None:
    sources = [Source("a.toml", {"count": 3}), Source("b.toml", {"count": -1})]
    with pytest.raises(SettingsError, match=r"count in b.toml must be greater than .* got -1\."):
        make(Outer, sources)


@pytest.mark.parametrize("value", ["true", "3.0", "'3'"])
def test_nothing_is_converted(value: str) -> None:
    with pytest.raises(SettingsError, match="must be a valid integer"):
        make(Outer, [read_assignment(f"count={value}")])


def test_flags_are_over_set_which_is_over_the_file(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "my.toml"
    path.write_text('recipe = "yin-yang"\nsize = "full"\nhidden = 7\nwidth = 0.3\n')
    done = call("settings", "--config", path, "--set", "width=0.4")
    values = tomllib.loads(done.stdout)
    assert (values["hidden"], values["width"], values["epochs"]) == (7, 0.4, 300)


def test_settings_without_a_name_lists_the_recipes(call: Callable[..., Any]) -> None:
    printed = call("settings").stdout
    assert all(name in printed for name in RECIPES.names())
