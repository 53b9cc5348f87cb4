"""Desire backpropagation, with two processes that train one network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learning.desire_tasks import network
from learning.joined_desire import train

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, str(TESTS / "learning" / "joined_desire.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    expected, first = train().state_dict(), network(5, 30, 3, dtype=torch.float64).state_dict()
    for rank in (0, 1):
        joined = torch.load(tmp_path / f"weights-{rank}.pt")
        for name, tensor in joined.items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-11)
    assert not torch.equal(expected["nodes.0_linear.weight"], first["nodes.0_linear.weight"])
