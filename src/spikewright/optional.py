"""Optional packages, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikewright.errors import MissingDependency


def require(module: str, extra: str | None = None, package: str = "spikewright") -> ModuleType:
    """Import ``module`` or say how to install it.

    Args:
        module: dotted name to import.
        extra: the extra of this package that brings it; ``None`` for a package that is
            installed by default.
        package: what to install, where it is none of the packages that this one may bring.

    Raises:
        MissingDependency: the package itself is absent. When the import fails for another
            reason (a dependency of it is broken), that error is the cause and is named.

    >>> require("math").sqrt(4.0)
    2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        wanted = f"{package}[{extra}]" if extra else package
        raise MissingDependency(
            f"optional.require: package {module!r} must be importable, got {cause}. "
            f"Install it with: pip install '{wanted}'"
        ) from cause
