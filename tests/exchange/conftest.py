"""Networks in float64, to be compared with NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

collect_ignore = ["write_norse_graphs.py"]  # runs where norse is, which is not here


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
