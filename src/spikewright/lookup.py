"""Things that are one file each, by name: adding one is adding its file."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from spikewright.errors import SettingsError, nearest


class Lookup:
    """The modules of a package by name, ``yin-yang`` for ``yin_yang.py``; folders do not count.

    Args:
        package: dotted name of the package.
        what: what one of them is called in messages.

    >>> recipes = Lookup("spikewright.recipes", "recipe")
    >>> "yin-yang" in recipes.names(), recipes.load("yin-yang").__name__
    (True, 'spikewright.recipes.yin_yang')
    """

    def __init__(self, package: str, what: str) -> None:
        self.package, self.what = package, what

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported for it."""
        found = pkgutil.iter_modules(importlib.import_module(self.package).__path__)
        return sorted(module.name.replace("_", "-") for module in found if not module.ispkg)

    def load(self, name: str) -> ModuleType:
        """The module of that name.

        Raises:
            SettingsError: there is none; the nearest is named.
        """
        names = self.names()
        if name not in names:
            raise SettingsError(
                f"{self.what}: name must be a known {self.what}, got {name!r}. "
                f"{nearest(name, names)}"
            )
        return importlib.import_module(f"{self.package}.{name.replace('-', '_')}")

    def summary(self, name: str) -> str:
        """First line of its docstring, read without importing it."""
        folder = Path(next(iter(importlib.import_module(self.package).__path__)))
        text = (folder / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
