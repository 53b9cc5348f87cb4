"""Recipes: one system of the literature a file, with its task, settings and figures to meet.

To add one, add its file: a `Recipe` called ``RECIPE``. Its name is the file's.
"""

from __future__ import annotations

from typing import Any

from spikewright.errors import SpikewrightError
from spikewright.lookup import Lookup
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings

RECIPES = Lookup(__name__, "recipe")


def recipe(name: str) -> Recipe[Any]:
    """The recipe of that name.

    Raises:
        SettingsError: there is none; the nearest is named.

    >>> recipe("yin-yang").name
    'yin-yang'
    """
    module = RECIPES.load(name)
    found = getattr(module, "RECIPE", None)
    if not isinstance(found, Recipe):
        raise SpikewrightError(
            f"recipes: {module.__name__} must define RECIPE, a Recipe, got {found!r}. Add it."
        )
    return found


__all__ = ["RECIPES", "Figure", "Recipe", "RunSettings", "recipe"]
