"""The estimate of a training step's memory against what the step takes in a process of its own."""

from __future__ import annotations

import functools
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
LAYERS = "sw.Linear(400, 256), {}, sw.Linear(256, 10), sw.LI()"
IMAGES = ", ".join(
    [
        *("sw.Conv2d(1, 16, 5)", "sw.LIF(r=3.0)", "sw.MaxPool2d(2)"),
        *("sw.Conv2d(16, 32, 5)", "sw.LIF(r=3.0)", "sw.MaxPool2d(2)"),
        *("sw.Flatten()", "sw.Linear(None, 10)", "sw.LI()"),
    ]
)
LIF, CUBA = LAYERS.format("sw.LIF(r=8.0)"), LAYERS.format("sw.CubaLIF(r=8.0)")
RECURRENT = LAYERS.format("sw.Recurrent(sw.LIF(r=8.0))")
SPIKES, PICTURES = (150, 96, 400), (25, 32, 1, 28, 28)
CASES = {
    "LIF, full": (LIF, "", SPIKES),
    "LIF, dense products": (LIF.replace("256)", "256, path='dense')", 1), "", SPIKES),
    "LIF, truncate": (LIF, "truncate=50", SPIKES),
    "CubaLIF, full": (CUBA, "", SPIKES),
    "CubaLIF, checkpoint": (CUBA, "memory='checkpoint'", SPIKES),
    "recurrent, full": (RECURRENT, "", SPIKES),
    "recurrent, checkpoint": (RECURRENT, "memory='checkpoint'", SPIKES),
    "recurrent, checkpoint and truncate": (RECURRENT, "memory='checkpoint', truncate=50", SPIKES),
    "convolutional, full": (IMAGES, "", PICTURES),
    "convolutional, checkpoint": (IMAGES, "memory='checkpoint'", PICTURES),
}
SCRIPT = """
    import ctypes, gc, json, sys, torch
    from pathlib import Path
    import spikewright as sw
    from spikewright.engine.memory import release_memory
    from spikewright.learning import Batch, Surrogate

    def status(field):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))

    def measured(layers, options, size):
        torch.manual_seed(0)
        net = eval(f"sw.Sequential({layers}, dt=1e-3, shape={tuple(size[2:])})")
        rule = eval(f"Surrogate({options})")
        batch = Batch((torch.rand(size) < 0.05).float(), torch.arange(size[1]) % 10)
        state = rule.init(net)
        taken = []  # fragments of earlier steps can only add to it
        for _ in ("loads and compiles the code", "measured", "measured again"):
            own = Batch(batch.x.clone(), batch.y)
            release_memory()
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            before = status("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            for _ in range(2):
                _, state = rule.train_batch(net, own, state)
            taken.append(status("VmHWM") - before)
        peak = sw.estimate_memory(net, *size[:2], rule=rule, x=batch.x).peak
        return {"taken": min(taken[1:]), "peak": peak}

    torch.set_num_threads(1)
    cases = json.loads(sys.argv[1])
    print(json.dumps({name: measured(*case) for name, case in cases.items()}))
"""


@functools.lru_cache(maxsize=1)
def found() -> dict[str, dict[str, int]]:
    """What the step of each case takes in one process of its own, and the estimate, bytes."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    # Large pieces straight from the system: a heap that other cases left in fragments takes up to a
    # fifth more, by chance.
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), json.dumps(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="reads the resident memory of Linux")
@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_within_15_percent_of_what_a_step_takes(name: str) -> None:
    result = found()[name]
    assert result["peak"] == pytest.approx(result["taken"], rel=0.15)


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
