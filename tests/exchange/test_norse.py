"""Graphs that norse wrote or reads, against what norse makes of them.

The files in ``norse/`` are written by ``write_norse_graphs.py`` (norse 1.1.0, nir 1.0.8) and are
always compared. Where an interpreter with norse is named in SPIKEWRIGHT_BENCH_PYTHON, it writes
them anew and those are compared too.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from exchange.graphs import run

HERE = Path(__file__).parent
STORED = HERE / "norse"
PYTHON = "SPIKEWRIGHT_BENCH_PYTHON"
# norse's LIFCell lets an input add itself to the current, which its to_nir does not say.
KEYWORDS: dict[str, dict[str, Any]] = {"cuba": {"impulses": ("CubaLIF",)}}
NAMES = ("lif", "if", "cuba", "cuba_read", "conv")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that norse has just written; skips where there is no norse."""
    python = os.environ.get(PYTHON)
    if not python:
        pytest.skip(f"name an interpreter that has norse in {PYTHON}")
    if subprocess.run([python, "-c", "import norse"], capture_output=True).returncode:
        pytest.skip(f"{python}, named in {PYTHON}, has no norse")
    folder = tmp_path_factory.mktemp("norse")
    script = [python, str(HERE / "write_norse_graphs.py"), str(folder)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def compare(folder: Path, name: str) -> None:
    stored = np.load(folder / f"{name}.npz")
    network = sw.read_nir(folder / f"{name}.nir", dt=1e-3, **KEYWORDS.get(name, {}))
    y, expected = run(network, stored["x"]), stored["y"]
    assert expected.shape == y.shape
    assert np.count_nonzero(expected) > 10
    if name == "lif":  # its readout is a membrane: sums of float32 in another order
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", NAMES)
def test_stored_graphs_give_what_norse_gave(name: str) -> None:
    compare(STORED, name)


@pytest.mark.parametrize("name", NAMES)
def test_graphs_written_now_give_what_norse_gives_now(name: str, live: Path) -> None:
    compare(live, name)


def test_every_stored_graph_is_compared() -> None:
    assert {path.stem for path in STORED.glob("*.nir")} == set(NAMES)
