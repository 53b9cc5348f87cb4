"""A real network and the surrogate rule in `fit`: killed and resumed, and in two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.training import load_checkpoint, read_metrics
from training import real, real_killed_run

TESTS = Path(__file__).parents[1]
KILLS = 5


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def untimed(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: v for key, v in record.items() if key != "seconds"} for record in history]


def same(ours: Any, theirs: Any) -> bool:
    """Equal bit for bit, nested."""
    if isinstance(theirs, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in theirs)
    return ours == theirs


def test_killed_at_random_moments_and_resumed_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(2), "little")
    script = TESTS / "training" / "real_killed_run.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(KILLS), str(seed)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert json.loads(done.stdout)["kills"] == KILLS
    net = real.network()
    expected = real.train(net, epochs=real_killed_run.EPOCHS)
    found = load_checkpoint(tmp_path / "last")
    assert same(found.network, dict(net.state_dict())), f"seed {seed}"
    assert same(found.rule_state, expected.rule_state), f"seed {seed}"
    assert untimed(read_metrics(tmp_path)) == untimed(expected.history)


@pytest.fixture(scope="module")
def joined_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes under torchrun train one epoch and resume for a second."""
    folder = tmp_path_factory.mktemp("joined")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, str(TESTS / "training" / "real_joined_run.py"), str(folder)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, output
    return folder


def test_two_processes_equal_one_on_the_joined_batch(joined_run: Path, tmp_path: Path) -> None:
    net = real.network(chance=False).double()
    for epochs in (1, 2):
        alone = real.train(net, folder=tmp_path, epochs=epochs, batch_size=9)
    first, second = (torch.load(joined_run / f"weights-{rank}.pt") for rank in range(2))
    assert same(first, second)
    assert not torch.equal(
        first["nodes.0_linear.weight"],
        real.network().double().state_dict()["nodes.0_linear.weight"],
    )
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(first[name], tensor, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(read_metrics(joined_run / "run"), alone.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-9)
        assert ours["rates"] == pytest.approx(theirs["rates"], rel=1e-9)
