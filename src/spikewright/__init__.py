"""Spikewright: write a spiking network once in PyTorch, train it, run it fast.

    import spikewright as sw

    net = sw.Sequential(
        sw.Linear(5, 120), sw.CubaLIF(tau_mem=6e-6, tau_syn=6e-6),
        sw.Linear(120, 3), sw.CubaLI(tau_mem=6e-6, tau_syn=6e-6),
        dt=1e-6,
    )
    sw.fit(net, sw.data.YinYang(), sw.learning.Surrogate(), epochs=10)

Tensors are ``(time, batch, *features)``, units are SI, and state is a value.
"""

from __future__ import annotations

import spikewright.openmp  # noqa: F401  # pyright: ignore[reportUnusedImport] - before PyTorch
from spikewright import coding, data, learning, training
from spikewright.connections import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Delay,
    DelayedLinear,
    Dropout,
    Flatten,
    Fold,
    Linear,
    MaxPool2d,
    Recurrent,
    SumPool2d,
)
from spikewright.engine import surrogate
from spikewright.engine.layer import Layer
from spikewright.engine.spike import spike, spike_count
from spikewright.learning import aim_rates, doctor, estimate_memory, profile
from spikewright.network import Graph, Network, Sequential
from spikewright.neurons import (
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    CubaLI,
    CubaLIF,
    Firing,
    MultiSynapseLIF,
    Neuron,
    Value,
    learnable,
    time_constant,
)
from spikewright.training import evaluate, fit

__version__ = "0.1.0"

__all__ = [
    "IF",
    "LI",
    "LIF",
    "AdaptiveLIF",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "Delay",
    "DelayedLinear",
    "Dropout",
    "Firing",
    "Flatten",
    "Fold",
    "Graph",
    "Layer",
    "Linear",
    "MaxPool2d",
    "MultiSynapseLIF",
    "Network",
    "Neuron",
    "Recurrent",
    "Sequential",
    "SumPool2d",
    "Value",
    "aim_rates",
    "coding",
    "data",
    "doctor",
    "estimate_memory",
    "evaluate",
    "fit",
    "learnable",
    "learning",
    "profile",
    "spike",
    "spike_count",
    "surrogate",
    "time_constant",
    "training",
]
