"""A training step on latency-coded input, with exact spike times, on a grid, by surrogates.

784-128-10 current-based neurons, tau_mem 20 ms and tau_syn 10 ms (the ratio that has a closed
form), 150 input spikes in a trial of 20 ms, whatever the number of steps it is cut into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

import spikewright as sw
from spikewright.benches.core.task import Task, Work
from spikewright.coding import Mean, SpikeTimes
from spikewright.learning.event_losses import FirstSpikeSoftmax, IntegralCrossEntropy
from spikewright.learning.rule import Batch

TRIAL, TAU_MEM, TAU_SYN = 20e-3, 20e-3, 10e-3
SPIKES = 150
LATEST = 0.8
"""Of the trial: input spikes come before."""
LEARNING_RATE = 1e-6
"""So small that the spikes stay as they are from run to run."""
HIDDEN = "1_cubalif"

EXACT, GRID, CHAIN = "EventProp, exact", "EventProp, grid", "SpikeTime, exact"
SURROGATE, CHECKPOINT = "surrogate", "surrogate, memory='checkpoint'"
KERNEL = "surrogate, Gaussian kernel"
PLAIN, DELAYS = "latency", "delays"
LONGEST = 5e-3
"""Of learnable delays, s."""


class Numbers(NamedTuple):
    """Input spikes (batch, spikes), classes (batch,), and weights (inputs, outputs) of layers."""

    times: Tensor
    units: Tensor
    classes: Tensor
    weights: tuple[Tensor, Tensor]


def latency_task(
    steps: int,
    batch: int = 32,
    sizes: tuple[int, ...] = (784, 128, 10),
    net: Literal["latency", "delays"] = PLAIN,
) -> Task:
    """The work; ``density`` is the share of inputs that spike, once in a trial."""
    return Task(net, "train", steps, batch, sizes, SPIKES / sizes[0])


def numbers(task: Task) -> Numbers:
    """The same for all."""
    stream = torch.Generator().manual_seed(0)
    inputs, hidden, outputs = task.sizes
    shape = (task.batch, SPIKES)
    times = torch.rand(shape, generator=stream, dtype=torch.float64).sort(1).values
    order = torch.rand(task.batch, inputs, generator=stream).argsort(1)
    into = 0.06 + 0.05 * torch.randn(inputs, hidden, generator=stream)
    out = 0.05 + 0.1 * torch.randn(hidden, outputs, generator=stream)
    classes = torch.randint(outputs, (task.batch,), generator=stream)
    return Numbers(LATEST * TRIAL * times, order[:, :SPIKES], classes, (into, out))


def prepare(task: Task, variant: str) -> Work:
    """A step of training in one of the ways named above."""
    given = numbers(task)
    network = _network(task, given, variant)
    samples = torch.arange(task.batch).repeat_interleave(SPIKES)
    like = (task.batch, task.sizes[:1], TRIAL)
    spikes = SpikeTimes.sort(given.times.flatten(), given.units.flatten(), samples, like)
    exact = variant in (EXACT, GRID, CHAIN)
    x = spikes if exact else spikes.raster(network.dt)
    step = _training(network, _rule(variant), Batch(x, given.classes))
    return Work(step, lambda: [float(step()["rates"][HIDDEN])], sw.__version__)


def _network(task: Task, given: Numbers, variant: str) -> sw.Network:
    inputs, hidden, outputs = task.sizes
    times: dict[str, Any] = {"tau_mem": TAU_MEM, "tau_syn": TAU_SYN}
    into: Any = sw.Linear(inputs, hidden, bias=False)
    out: Any = sw.Linear(hidden, outputs, bias=False)
    if task.net == DELAYS:
        into = _delayed(inputs, hidden, variant)
        out = _delayed(hidden, outputs, variant)
    readout = sw.CubaLIF(**times) if variant == CHAIN else sw.CubaLI(**times)
    layers = (into, sw.CubaLIF(**times), out, readout)
    network = sw.Sequential(*layers, dt=TRIAL / task.steps, shape=(inputs,))
    with torch.no_grad():
        for layer, weight in zip((into, out), given.weights, strict=True):
            layer.weight.copy_(weight.T)
    return network


def _rule(variant: str) -> Any:
    options: dict[str, Any] = {"learning_rate": LEARNING_RATE}
    if variant == CHAIN:
        return sw.learning.SpikeTime(FirstSpikeSoftmax(tau=1e-3), **options)
    if variant in (EXACT, GRID):
        solver: Literal["exact", "grid"] = "exact" if variant == EXACT else "grid"
        return sw.learning.EventProp(IntegralCrossEntropy("uniform"), solver=solver, **options)
    memory: Literal["full", "checkpoint"] = "checkpoint" if variant == CHECKPOINT else "full"
    return sw.learning.Surrogate(decoder=Mean(), memory=memory, **options)


def _training(network: sw.Network, rule: Any, batch: Batch) -> Callable[[], Any]:
    state = rule.init(network)

    def step() -> Any:
        nonlocal state
        metrics, state = rule.train_batch(network, batch, state)
        return metrics

    return step


def _delayed(inputs: int, outputs: int, variant: str) -> sw.DelayedLinear:
    stream = torch.Generator().manual_seed(1)
    delays = LONGEST * torch.rand(outputs, inputs, generator=stream)
    spread = 2.0 if variant == KERNEL else None
    return sw.DelayedLinear(
        inputs, outputs, delays, LONGEST, learnable=True, spread=spread, bias=False
    )
