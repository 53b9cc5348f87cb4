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

from typing import TYPE_CHECKING, Any

import spikewright.openmp  # noqa: F401  # pyright: ignore[reportUnusedImport] - before PyTorch
from spikewright import (
    audio,
    coding,
    data,
    detection,
    events,
    learning,
    models,
    targets,
    training,
)
from spikewright.coding import SpikeTimes
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
    RateMaxPool2d,
    Recurrent,
    Scale,
    StepDropout,
    SumPool2d,
)
from spikewright.engine import surrogate
from spikewright.engine.layer import Layer
from spikewright.engine.spike import spike, spike_count
from spikewright.learning import aim_rates, doctor, estimate_memory, profile
from spikewright.network import Graph, Network, Sequential
from spikewright.neurons import (
    AHPLIF,
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    AdEx,
    CubaLI,
    CubaLIF,
    Firing,
    Integrator,
    MultiSynapseLIF,
    Neuron,
    SoftmaxWinner,
    StochasticReLU,
    Threshold,
    Value,
    WinnerTakeAll,
    learnable,
    time_constant,
)
from spikewright.training import evaluate, fit

if TYPE_CHECKING:
    from spikewright.compiler.compile import compile
    from spikewright.compiler.exchange import (
        export_nir,
        from_nir,
        import_nir,
        read_nir,
        to_nir,
        write_nir,
    )
    from spikewright.compiler.program import Program

__version__ = "0.1.0"

__all__ = [
    "AHPLIF",
    "IF",
    "LI",
    "LIF",
    "AdEx",
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
    "Integrator",
    "Layer",
    "Linear",
    "MaxPool2d",
    "MultiSynapseLIF",
    "Network",
    "Neuron",
    "Program",
    "RateMaxPool2d",
    "Recurrent",
    "Scale",
    "Sequential",
    "SoftmaxWinner",
    "SpikeTimes",
    "StepDropout",
    "StochasticReLU",
    "SumPool2d",
    "Threshold",
    "Value",
    "WinnerTakeAll",
    "aim_rates",
    "audio",
    "coding",
    "compile",
    "data",
    "detection",
    "doctor",
    "estimate_memory",
    "evaluate",
    "events",
    "export_nir",
    "fit",
    "from_nir",
    "import_nir",
    "learnable",
    "learning",
    "models",
    "profile",
    "read_nir",
    "spike",
    "spike_count",
    "surrogate",
    "targets",
    "time_constant",
    "to_nir",
    "training",
    "write_nir",
]

_EXCHANGE = ("export_nir", "from_nir", "import_nir", "read_nir", "to_nir", "write_nir")
_LAZY = {
    "Program": "spikewright.compiler.program",
    "compile": "spikewright.compiler.compile",
    **dict.fromkeys(_EXCHANGE, "spikewright.compiler.exchange"),
}
"""Public names that load their module when they are first used."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'spikewright' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
