"""What tests of the engine may ask for."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["interpreter", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Where kernels run: by the interpreter on the CPU, or on a GPU."""
    if request.param == "interpreter":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    return torch.device("cuda")
