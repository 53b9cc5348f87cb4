"""Kernels written by hand, compiled when first used and kept like the generated ones."""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType

import numpy as np

from spikewright.engine.cache import load_kernels

_SOURCES = Path(__file__).parents[1] / "sources"
_DTYPE_LINE = 'real = "f4"'


@functools.cache
def native(name: str, dtype: np.dtype[np.generic]) -> ModuleType:
    """The kernels of ``sources/NAME.py`` for arrays of ``dtype``."""
    text = (_SOURCES / f"{name}.py").read_text()
    return load_kernels(text.replace(_DTYPE_LINE, f'real = "{dtype.kind}{dtype.itemsize}"'), name)
