"""Desire backpropagation, with two processes that train one network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from learning.desire_tasks import network
from learning.joined_desire import train
from learning.two_processes import run_joined


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_joined("joined_desire.py", tmp_path)
    expected, first = train().state_dict(), network(5, 30, 3, dtype=torch.float64).state_dict()
    for rank in (0, 1):
        joined = torch.load(tmp_path / f"weights-{rank}.pt")
        for name, tensor in joined.items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-11)
    assert not torch.equal(expected["nodes.0_linear.weight"], first["nodes.0_linear.weight"])
