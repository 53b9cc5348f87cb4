"""Small networks of spiking layers whose weights follow from a formula, not from a generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

import spikewright as sw
from spikewright.neurons.firing import Firing
from spikewright.targets.fpga.lif.fix import fix
from spikewright.targets.fpga.lif.settings import FixedPoint

SUBTRACT = Firing(reset="subtract")


def noise(*shape, seed=0):
    """Numbers from -1 to 1 that look random and are the same on every machine."""
    k = np.arange(1 + seed, 1 + seed + int(np.prod(shape)), dtype=np.float64)
    return np.sin(k * k * 0.7 + k).reshape(shape)


def spikes(steps, batch, lines, density, seed=0):
    return (np.random.RandomState(seed).rand(steps, batch, lines) < density).astype(np.int64)


def filled(net):
    """The network, built, with weights by formula."""
    for seed, parameter in enumerate(net.parameters()):
        if parameter.ndim:
            values = noise(*parameter.shape, seed=100 * seed)
            scale = 1.5 if parameter.ndim > 1 else 0.2
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(scale * values))
    return net


def single():
    """One layer of LIF neurons whose state cannot leave its range."""
    return fix(filled(sw.Sequential(sw.Linear(6, 5), sw.LIF(tau_mem=8e-3, r=4.0), dt=1e-3)))


def chain():
    """Three recurrent layers of all kinds; the states of the second are cut to their range."""
    net = sw.Sequential(
        sw.Linear(9, 11), sw.Recurrent(sw.LIF(tau_mem=9e-3, r=5.0, firing=SUBTRACT, v_leak=0.1)),
        sw.Linear(11, 7), sw.Recurrent(sw.IF(refractory=2e-3, v_threshold=0.7)),
        sw.Linear(7, 3), sw.CubaLI(tau_mem=9e-3, tau_syn=4e-3),
        dt=1e-3,
    )  # fmt: skip
    settings = FixedPoint(weight=6, membrane=11, digits=2, spikes=2)
    sample = torch.from_numpy(spikes(40, 4, 9, 0.05)).float()
    return fix(filled(net), settings, sample)


def smallest():
    """One neuron that hears itself, and weights of two bits."""
    net = sw.Sequential(sw.Linear(1, 1), sw.Recurrent(sw.IF(v_threshold=0.3)), dt=1e-3)
    return fix(filled(net), FixedPoint(weight=2, membrane=6), torch.ones(3, 1, 1))


def thinned(network, density, seed):
    """Some of the weights at 0: other numbers for the same hardware."""
    generator = np.random.RandomState(seed)

    def some(rows):
        return None if rows is None else rows * (generator.rand(*rows.shape) < density)

    layers = (
        replace(layer, weight=some(layer.weight), back=some(layer.back)) for layer in network.layers
    )
    return replace(network, layers=tuple(layers))


CASES = {"single": (single, 2), "chain": (chain, (4, 3, 2)), "smallest": (smallest, 3)}
"""By name: what makes the network, and its lanes."""
