"""A real network, rule and data set for the runs that are killed or shared out."""

from __future__ import annotations

from typing import Any

import torch

import spikewright as sw
from spikewright.learning import Surrogate
from spikewright.training import FitResult, fit


def data() -> Any:
    return sw.data.YinYang(sizes=(40, 12, 12))


def network(seed: int = 0, *, chance: bool = True) -> sw.Sequential:
    """With ``chance``, everything that draws random numbers or keeps buffers is in it."""
    torch.manual_seed(seed)
    times = {"tau_mem": sw.learnable(6e-6), "tau_syn": 6e-6}
    first = sw.CubaLIF(**times, noise=20.0 if chance else 0.0, refractory=2e-6)
    middle = [sw.Dropout(0.1), sw.BatchNorm()] if chance else []
    again = sw.Recurrent(sw.LIF(tau_mem=6e-6, v_threshold=0.2))
    layers = [sw.Linear(5, 12), first, *middle, sw.Linear(12, 8), again, sw.Linear(8, 3)]
    return sw.Sequential(*layers, sw.LI(tau_mem=6e-6, backend="reference"), dt=1e-6)


def rule(schedule: str = "cosine") -> Surrogate:
    return Surrogate(learning_rate=5e-3, schedule=schedule, clip=1.0)


def train(net: sw.Sequential, **options: Any) -> FitResult:
    torch.set_num_threads(1)
    settings = {"epochs": 3, "batch_size": 10, "progress": False, **options}
    return fit(net, data(), rule(), **settings)
