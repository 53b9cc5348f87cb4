"""What each process under torchrun does; the test compares what it leaves with a single one."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import spikewright as sw
from learning.desire_tasks import DT, STEPS, network
from spikewright.learning import Desire, processes


def train() -> torch.nn.Module:
    """Two epochs, of batches that two processes share unevenly."""
    torch.manual_seed(0)
    data = sw.data.YinYang(steps=STEPS, dt=DT, t_early=0.0, t_late=15e-3, sizes=(45, 9, 9))
    net = network(5, 30, 3, dtype=torch.float64)
    options = {"epochs": 2, "batch_size": 9, "progress": False, "initial_rate": None}
    sw.fit(net, data, Desire(learning_rate=1e-3, fall=50), **options)
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    weights = train().state_dict()
    torch.save(weights, Path(sys.argv[1]) / f"weights-{processes.rank()}.pt")
