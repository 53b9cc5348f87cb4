"""Rules that follow events, with two processes that train one network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from learning.joined_events import train
from learning.two_processes import run_joined


@pytest.mark.slow
def test_two_processes_equal_one_policies_included(tmp_path: Path) -> None:
    run_joined("joined_events.py", tmp_path)
    expected = train().state_dict()
    for rank in (0, 1):
        joined = torch.load(tmp_path / f"weights-{rank}.pt")
        for name, tensor in joined.items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-11)
