"""Kernels of the solvers, compiled when first used and kept like the engine's."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from types import ModuleType

from spikewright.engine.cache import load_kernels


@functools.cache
def native(package: str, name: str) -> ModuleType:
    """The kernels of ``PACKAGE/sources/NAME.py``, for example ``native(__package__, "dense")``.

    A source may import others of its folder: a change to any of them makes each kernel anew.
    """
    folder = Path(__file__).parents[2].joinpath(*package.split(".")) / "sources"
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    text = (folder / f"{name}.py").read_text()
    return load_kernels(f"{text}\n# made with sources {digest.hexdigest()}\n", name)
