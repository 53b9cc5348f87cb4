from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from spikewright.training import fit, load_checkpoint, read_metrics
from training.fakes import FakeData, FakeNetwork, GradientRule

TESTS = Path(__file__).parents[1]
KILLS = 8


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_killed_at_random_moments_and_resumed_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    # One process imports torch once and forks the runs that it kills.
    script = TESTS / "training" / "killed_run.py"
    seed = int.from_bytes(os.urandom(2), "little")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(KILLS), str(seed)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    report = json.loads(done.stdout)
    assert report["kills"] == KILLS, report
    network = FakeNetwork()
    expected = fit(network, FakeData(), GradientRule(), epochs=40, batch_size=5, progress=False)
    checkpoint = load_checkpoint(tmp_path / "last")
    for name, tensor in network.state_dict().items():
        assert torch.equal(checkpoint.network[name], tensor), f"seed {seed}: {name}"
    for name, tensor in expected.rule_state["velocity"].items():
        assert torch.equal(checkpoint.rule_state["velocity"][name], tensor)
    history = [(r["kind"], r["step"], r["loss"]) for r in read_metrics(tmp_path)]
    assert history == [(r["kind"], r["step"], r["loss"]) for r in expected.history]
