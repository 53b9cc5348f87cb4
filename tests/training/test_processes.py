from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.composed import KINDS, make, spikes
from spikewright.errors import SettingsError
from spikewright.learning import processes
from spikewright.training import fit, load_checkpoint, read_metrics
from spikewright.training.batches import check_data
from training.fakes import FakeData, FakeNetwork, GradientRule

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def joined_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes under torchrun train one epoch and resume for a second."""
    folder = tmp_path_factory.mktemp("joined")
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, str(TESTS / "training" / "joined_run.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, output
    return folder


def single_run(folder: Path) -> Any:
    network = FakeNetwork(dropout=0.0).double()
    fit(
        network,
        FakeData(),
        GradientRule(),
        epochs=2,
        batch_size=5,
        folder=folder,
        progress=False,
    )
    return network


def test_two_processes_equal_one_on_the_joined_batch(joined_run: Path, tmp_path: Path) -> None:
    expected = single_run(tmp_path).state_dict()
    joined = load_checkpoint(joined_run / "run" / "last").network
    for name, tensor in joined.items():
        if name != "seen":  # a running mean of inputs, of which process 0 sees its part
            torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-14)
    assert not torch.equal(joined["first.weight"], FakeNetwork().first.weight.double())


def test_both_processes_hold_the_same_weights(joined_run: Path) -> None:
    first, second = (torch.load(joined_run / f"weights-{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_metrics_of_two_processes_are_those_of_all_samples(
    joined_run: Path, tmp_path: Path
) -> None:
    single_run(tmp_path)
    for joined, alone in zip(read_metrics(joined_run / "run"), read_metrics(tmp_path), strict=True):
        assert joined["loss"] == pytest.approx(alone["loss"], rel=1e-12)
        assert joined["accuracy"] == pytest.approx(alone["accuracy"], rel=1e-6)


def test_confusion_counts_of_two_processes_are_joined(joined_run: Path) -> None:
    counts = [torch.load(joined_run / f"confusion-{rank}.pt") for rank in range(2)]
    assert counts[0].sum() == 9
    assert torch.equal(counts[0], counts[1])


def test_average_weights_by_samples_and_gradient_missing_here_is_zero(joined_run: Path) -> None:
    # rank 0: 3 samples, gradient 1; rank 1: 1 sample, gradient 5, and alone in having the second
    first, second, third = torch.load(joined_run / "gradients.pt")
    assert first.tolist() == [2.0, 2.0]
    assert second.tolist() == [0.25]
    assert third is None


@pytest.mark.parametrize("kind", KINDS)
def test_data_parallel_gradients_are_those_of_the_joined_batch(kind: str, joined_run: Path) -> None:
    net = make(kind)
    net(spikes(net, batch=4))[0].square().mean().backward()
    found = torch.load(joined_run / f"shared-{kind}.pt")
    for ours, parameter in zip(found, net.parameters(), strict=True):
        assert parameter.grad is not None
        assert parameter.grad.any()
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-5, atol=1e-6)


def test_processes_do_nothing_when_there_is_one() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    processes.average_gradients([weight], 3)
    assert weight.grad.tolist() == [1.0, 2.0]
    assert (processes.rank(), processes.world_size()) == (0, 1)


def test_batch_too_small_for_the_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "world_size", lambda: 4)
    with pytest.raises(SettingsError, match="a last batch of 3"):
        check_data(FakeNetwork(), FakeData(), 5)
