"""Kernels written by hand, compiled when first used and kept like the generated ones."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from types import ModuleType

import numpy as np

from spikewright.engine.cache import load_kernels

_DTYPE_LINE = 'real = "f4"'


@functools.cache
def native(package: str, name: str, dtype: np.dtype[np.generic] | None = None) -> ModuleType:
    """The kernels of ``PACKAGE/sources/NAME.py``, for example ``native(__package__, "dense")``.

    A source may import others of its folder: a change to any of them makes each kernel anew.

    Args:
        package: dotted name of the package that holds the folder.
        name: of the source.
        dtype: of its arrays, where the source says what is ``real``.
    """
    folder = Path(__file__).parents[2].joinpath(*package.split(".")) / "sources"
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    text = (folder / f"{name}.py").read_text()
    if dtype is not None:
        text = text.replace(_DTYPE_LINE, f'real = "{dtype.kind}{dtype.itemsize}"')
    return load_kernels(f"{text}\n# made with sources {digest.hexdigest()}\n", name)
