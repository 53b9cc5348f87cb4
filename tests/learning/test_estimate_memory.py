"""The estimate of a training step's memory against what the step takes in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import spikewright as sw
from spikewright.errors import NetworkError, ParameterError, ShapeError

TESTS = Path(__file__).parents[1]
STATUS = Path("/proc/self/clear_refs")
NETS = {
    "products by events": "sw.Linear(400, 256), sw.LIF(r=8.0), sw.Linear(256, 10), sw.LI()",
    "dense products": "sw.Linear(400, 256, path='dense'), sw.LIF(r=8.0), sw.LI()",
    "recurrent": "sw.Linear(400, 256), sw.Recurrent(sw.LIF(r=8.0)), sw.Linear(256, 10), sw.LI()",
}
SCRIPT = """
    import gc, json, torch
    from pathlib import Path
    import spikewright as sw
    from spikewright.learning import Batch, Surrogate

    def status(field):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))

    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = sw.Sequential(LAYERS, dt=1e-3, shape=(400,))
    rule = Surrogate(memory=MODE)
    batch = Batch((torch.rand(600, 96, 400) < 0.05).float(), torch.arange(96) % 10)
    state = rule.init(net)
    for _ in range(2):
        _, state = rule.train_batch(net, Batch(batch.x[:20, :2].clone(), batch.y[:2]), state)
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(2):
        _, state = rule.train_batch(net, batch, state)
    taken = status("VmHWM") - before
    estimate = sw.estimate_memory(net, 600, 96, rule=rule, x=batch.x)
    print(json.dumps({"taken": taken, "peak": estimate.peak}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="reads the resident memory of Linux")
@pytest.mark.parametrize("name", NETS)
def test_the_estimate_is_within_15_percent_of_what_a_step_takes(name: str) -> None:
    script = textwrap.dedent(SCRIPT).replace("LAYERS", NETS[name]).replace("MODE", "'full'")
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout)
    assert found["peak"] == pytest.approx(found["taken"], rel=0.15)


def small() -> sw.Sequential:
    torch.manual_seed(0)
    layers = (sw.Linear(50, 40), sw.LIF(r=5.0), sw.Linear(40, 3), sw.LI())
    return sw.Sequential(*layers, dt=1e-3, shape=(50,))


def test_the_network_and_the_random_streams_are_left_as_they_were() -> None:
    net = small()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    estimate = sw.estimate_memory(net, 40, 16)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert list(estimate.layers) <= list(net.layers)
    assert f"{estimate.peak / 1e6:.1f} MB" in str(estimate)


def test_wrong_arguments_are_refused() -> None:
    net = small()
    with pytest.raises(ParameterError, match="batch must be a whole number of at least 1, got 0"):
        sw.estimate_memory(net, 10, 0)
    with pytest.raises(ParameterError, match="density must lie between 0 and 1, got 2"):
        sw.estimate_memory(net, 10, 4, density=2)
    with pytest.raises(ShapeError, match="x must be "):
        sw.estimate_memory(net, 10, 4, x=torch.zeros(3, 2, 7))
    open_sizes = sw.Sequential(sw.Linear(None, 3), sw.LIF(), dt=1e-3)
    with pytest.raises(NetworkError, match="must know its sizes"):
        sw.estimate_memory(open_sizes, 10, 4)
