"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Workers of one thread each: more would fight for the cores.
torch.set_num_threads(1)

ENVIRONMENT = "SPIKEWRIGHT_TEST_DATA"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get(ENVIRONMENT, default))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder}; name their folder in {ENVIRONMENT}")
    return folder
