"""What each process under torchrun does; the test compares what it leaves with a single one."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import spikewright as sw
from learning.event_tasks import which_is_first
from spikewright.learning import SpikeTime, processes
from spikewright.learning.event_losses import SpikeCountTarget
from spikewright.learning.silent import PushLabels, RaiseSilent, RedrawSilent


def train() -> torch.nn.Module:
    """One epoch; most hidden neurons and the outputs are silent at first."""
    torch.manual_seed(0)
    cells = {"tau_mem": 10e-3, "tau_syn": 5e-3, "v_threshold": 0.5}
    net = sw.Sequential(
        sw.Linear(2, 12, bias=False), sw.CubaLIF(**cells),
        sw.Linear(12, 2, bias=False), sw.CubaLIF(**cells), dt=1e-3,
    ).double()  # fmt: skip
    with torch.no_grad():
        net.layers["0_linear"].weight.copy_(2.0 * torch.randn(12, 2))
        net.layers["2_linear"].weight.copy_(0.15 * torch.rand(2, 12))
    policies = (PushLabels(0.5), RaiseSilent(), RedrawSilent(steps=2))
    rule = SpikeTime(SpikeCountTarget(4, 1), silent=policies, learning_rate=1e-2)
    options = {"epochs": 1, "batch_size": 9, "progress": False, "initial_rate": None}
    sw.fit(net, which_is_first(45), rule, **options)
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    weights = train().state_dict()
    torch.save(weights, Path(sys.argv[1]) / f"weights-{processes.rank()}.pt")
