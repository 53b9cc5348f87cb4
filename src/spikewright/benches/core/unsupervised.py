"""Images shown to neurons that compete, with STDP: the work, and how this package does it.

784 Poisson inputs, 400 neurons that inhibit each other, 350 steps of 1 ms an image. Potentials are
in mV above rest. Pair STDP with traces that remember the last spike; thresholds rise with each
spike; after each image every neuron's weights are scaled to one sum. In the manner of Diehl and
Cook, Frontiers in Computational Neuroscience 9, 2015, without their conductances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

import spikewright as sw
from spikewright.benches.core.task import DT, Task, Work
from spikewright.learning.rule import Batch

TAU_MEM, TAU_TRACE, TAU_ADAPT = 100e-3, 20e-3, 1e4
THRESHOLD, RESET, LIFT, REFRACTORY = 13.0, 5.0, 0.05, 5e-3
INHIBITION = 17.5
POTENTIATION, DEPRESSION = 1e-2, 1e-4
TOTAL = 78.4
"""Sum of a neuron's weights after an image."""
MAX_RATE = 63.75
"""Of a white pixel, Hz."""
LIT = 200
"""Pixels that are not black."""
RULE = "STDP"
HIDDEN = "1_recurrent"


def stdp_task(inputs: int = 784, neurons: int = 400, steps: int = 350) -> Task:
    """One image."""
    return Task("stdp", "train", steps, 1, (inputs, neurons), LIT / inputs)


def image(task: Task) -> Tensor:
    """Its pixels, (inputs,), 0 to 1; about as bright as a digit."""
    stream = torch.Generator().manual_seed(0)
    pixels = torch.zeros(task.sizes[0])
    lit = torch.randperm(len(pixels), generator=stream)[:LIT]
    pixels[lit] = torch.rand(LIT, generator=stream)
    return pixels


def first_weights(task: Task) -> Tensor:
    """(inputs, neurons), each neuron's with the sum that normalisation gives them."""
    stream = torch.Generator().manual_seed(1)
    weights = torch.rand(task.sizes, generator=stream)
    return weights * (TOTAL / weights.sum(0))


def prepare(task: Task, variant: str) -> Work:
    """One image: Poisson spikes drawn, the network run with its weights changing, normalised."""
    network = _network(task)
    rule = sw.learning.Local(
        sw.learning.PairSTDP(
            POTENTIATION, DEPRESSION, TAU_TRACE, TAU_TRACE, nearest=True, bounds=(0.0, 1.0)
        ),
        normalise=TOTAL,
    )
    encoder, pixels = sw.coding.Bernoulli(task.steps, DT, MAX_RATE), image(task)[None]
    stream, label = torch.Generator().manual_seed(2), torch.zeros(1, dtype=torch.int64)
    state = rule.init(network)
    rates: list[float] = []

    def run() -> None:
        nonlocal state
        batch = Batch(encoder(pixels, stream), label)
        metrics, state = rule.train_batch(network, batch, state)
        rates[:] = [float(metrics["rates"][HIDDEN])]

    return Work(run, lambda: rates, sw.__version__)


def _network(task: Task) -> sw.Network:
    inputs, neurons = task.sizes
    cells = sw.AdaptiveLIF(
        tau_mem=TAU_MEM,
        tau_adapt=TAU_ADAPT,
        beta=LIFT,
        v_threshold=THRESHOLD,
        v_reset=RESET,
        r=1 / -math.expm1(-DT / TAU_MEM),  # a spike adds its weight to the potential
        refractory=REFRACTORY,
    )
    network = sw.Sequential(sw.Linear(inputs, neurons, bias=False), sw.Recurrent(cells), dt=DT)
    network.build((inputs,))
    forward, lateral = network.parameters()
    with torch.no_grad():
        forward.copy_(first_weights(task).T)
        lateral.copy_(INHIBITION * (torch.eye(neurons) - 1))
    lateral.requires_grad_(False)
    return network
