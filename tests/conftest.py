"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

# Workers of one thread each: more would fight for the cores.
torch.set_num_threads(1)

ENVIRONMENT = "SPIKEWRIGHT_TEST_DATA"
KERNELS = "SPIKEWRIGHT_CACHE"
_FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Start without compiled kernels; workers inherit the folder and share what they compile."""
    if not hasattr(config, "workerinput"):
        config.stash[_FOLDER] = tempfile.mkdtemp(prefix="spikewright-tests-")
        os.environ[KERNELS] = config.stash[_FOLDER]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _FOLDER in config.stash:
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get(ENVIRONMENT, default))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder}; name their folder in {ENVIRONMENT}")
    return folder


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
