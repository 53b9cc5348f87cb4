"""A small network of two hidden layers, the first recurrent with delays, for the tests of `Grid`.

Its loss is smooth in spike times and in the membranes of a readout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses, Table
from spikewright.events.solver import Limits, Solver

DURATION = 20e-3
INPUTS, FIRST, SECOND, OUTPUTS = 5, 4, 3, 2
Parameters = dict[str, Tensor]


class Falling:
    """e^(-t / duration), for all samples."""

    shared = True
    rate = 1 / DURATION

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        return torch.exp(-times / DURATION)


def make_parameters(seed: int) -> Parameters:
    """All that the network is differentiated by."""
    rng = np.random.default_rng(seed)
    tau_mem, tau_syn = (tau * rng.uniform(0.8, 1.2, FIRST) for tau in (20e-3, 5e-3))
    values = {
        "first": rng.normal(1.5, 0.4, (INPUTS, FIRST)),
        "recurrent": rng.normal(0.2, 0.4, FIRST * FIRST),
        "recurrent_delay": _on_grid(rng.uniform(0.5e-3, 4e-3, FIRST * FIRST)),
        "delay": _on_grid(rng.uniform(0.2e-3, 2e-3, FIRST)),
        "second": rng.normal(2.4, 0.5, (FIRST, SECOND)),
        "out": rng.normal(0.0, 1.0, (SECOND, OUTPUTS)),
        "tau_mem": tau_mem,
        "tau_syn": tau_syn,
        "threshold": rng.uniform(0.9, 1.1, FIRST),
        "reset": rng.uniform(-0.2, 0.0, FIRST),
        "second_tau_mem": np.array(20e-3),
        "second_tau_syn": np.array(5e-3),
        "second_threshold": np.array(1.0),
        "second_reset": np.array(-0.1),
    }
    return {name: torch.from_numpy(value) for name, value in values.items()}


def _on_grid(times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """To whole 16 µs, so that only spike times differ between time steps."""
    return np.round(times / 16e-6) * 16e-6


def loss(solver: Solver, p: Parameters, seed: int) -> tuple[Tensor, list[int]]:
    """The loss and the neurons that spiked, in order."""
    rng = np.random.default_rng(seed + 100)
    times = torch.from_numpy(_on_grid(np.sort(rng.uniform(0.5e-3, 10e-3, 9))))
    rows = torch.from_numpy(rng.integers(0, INPUTS, 9))
    everything = torch.tensor([0, len(times)])
    current = Current(times, rows, everything, Synapses(p["first"], FIRST), DURATION)
    cells = Cells(p["tau_mem"], p["tau_syn"], p["threshold"], p["reset"])
    hidden = solver.fire(current, cells, _recurrence(p), Limits())

    arrive = hidden.spikes.times + p["delay"][hidden.spikes.units]
    order = arrive.detach().argsort(stable=True)
    delayed = (arrive[order], hidden.spikes.units[order], hidden.spikes.offsets)
    current = Current(*delayed, Synapses(p["second"], SECOND), DURATION)
    names = ("tau_mem", "tau_syn", "threshold", "reset")
    cells = Cells(*(p[f"second_{name}"] for name in names))
    second = solver.fire(current, cells, None, Limits())

    s = second.spikes
    current = Current(s.times, s.units, s.offsets, Synapses(p["out"], OUTPUTS), DURATION)
    cells = Cells(p["second_tau_mem"], p["second_tau_syn"])
    mean = solver.integrate(current, cells, Falling())
    peak = solver.peak(current, cells)
    total = torch.sin(200 * s.times + s.units).sum() + hidden.last.sum()
    total = total + 30 * mean[0, 0] + 3 * (peak[0, 1] - peak[0, 0])
    return total, [*hidden.spikes.units.tolist(), -1, *s.units.tolist()]


def _recurrence(p: Parameters) -> Feedback:
    """Each synapse a row of its own, with its own delay."""
    synapse = torch.arange(FIRST * FIRST)
    table = Table(torch.arange(FIRST * FIRST + 1), synapse % FIRST, synapse)
    synapses = Synapses(p["recurrent"], FIRST, table)
    return Feedback(synapses, torch.arange(FIRST + 1) * FIRST, p["recurrent_delay"])


def gradient(solver: Solver, p: Parameters, seed: int) -> dict[str, Tensor]:
    """The gradient of the loss as the solver works it out."""
    leaves = {name: value.clone().requires_grad_() for name, value in p.items()}
    loss(solver, leaves, seed)[0].backward()
    return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def differences(solver: Solver, p: Parameters, seed: int) -> dict[str, Tensor]:
    """Central finite differences of the loss, with the same spikes at both places."""
    found: dict[str, Tensor] = {}
    for name, value in p.items():
        step = 1e-6 * float(value.abs().max())
        flat = torch.zeros(value.numel(), dtype=torch.float64)
        for k in range(value.numel()):
            ends = []
            for sign in (1, -1):
                moved = value.clone()
                moved.view(-1)[k] += sign * step
                ends.append(loss(solver, {**p, name: moved}, seed))
            assert ends[0][1] == ends[1][1]
            flat[k] = (ends[0][0] - ends[1][0]) / (2 * step)
        found[name] = flat.view(value.shape)
    return found
