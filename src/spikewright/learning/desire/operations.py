"""How many operations a sample takes: desires, and backpropagation in networks of that shape."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from torch import Tensor

from spikewright.learning.desire.chain import Cells, Chain, chain_of
from spikewright.learning.desire.passes import Array, Spikes, counts, forward
from spikewright.learning.desire.rule import Desire
from spikewright.learning.desire.signals import signs_of
from spikewright.learning.rule import Batch
from spikewright.network import Network


@dataclass(frozen=True)
class Operations:
    """Numbers of operations; subtractions are adds."""

    adds: float = 0.0
    multiplies: float = 0.0
    comparisons: float = 0.0
    shifts: float = 0.0

    def __add__(self, other: Operations) -> Operations:
        names = [field.name for field in fields(self)]
        return Operations(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class OperationCount:
    """Operations a sample of three ways to train one shape, forward and backward.

    Attributes:
        desire: `Desire`, counted on the data.
        ann: backpropagation in a network of ReLU units, each once a sample.
        bptt: backpropagation through time with surrogates in the same spiking network.
    """

    desire: tuple[Operations, Operations]
    ann: tuple[Operations, Operations]
    bptt: tuple[Operations, Operations]

    def __str__(self) -> str:
        names = [field.name for field in fields(Operations)]
        lines = [f"{'a sample':<16}" + "".join(f"{name:>13}" for name in names)]
        for way in fields(self):
            for what, one in zip(("forward", "backward"), getattr(self, way.name), strict=True):
                numbers = "".join(f"{getattr(one, name):>13,.0f}" for name in names)
                lines.append(f"{way.name + ' ' + what:<16}{numbers}")
        return "\n".join(lines)


def count_operations(
    network: Network, batch: Batch | tuple[Tensor, Tensor], rule: Desire | None = None
) -> OperationCount:
    """Count what one sample takes on average, forwards and backwards, the update included.

    Desires are counted as events: a spike adds one row of weights, a trace or an update costs
    only where there is a spike and a gate is on. Multiplying by 1 - 2^-k or by 2^-k counts as a
    shift (and a subtraction). Forward of `bptt` is that of desires. `ann` is dense, as backward
    of `bptt` is in its errors; there too a spike enters the weights' gradient as an add.

    Args:
        network: one that the rule can train.
        batch: input (time, batch, n) and targets (batch,).
        rule: for its gates; the source's by default.

    >>> import torch, spikewright as sw
    >>> cells = dict(order="euler", tau_mem=4e-3, r=4.0, firing=sw.Firing("subtract"))
    >>> net = sw.Sequential(sw.Linear(8, 3, bias=False), sw.LIF(**cells), dt=1e-3)
    >>> found = count_operations(net, (torch.ones(20, 1, 8), torch.tensor([1])))
    >>> found.desire[1].multiplies <= found.ann[1].multiplies
    True
    """
    rule = rule or Desire()
    if network.shape is None:
        network.build(batch[0].shape[2:])  # type: ignore[union-attr]
    chain, x = chain_of(network), network.to_floating(batch[0])
    spikes = forward(chain, x)
    signs = signs_of(chain, spikes, batch[1].numpy(), rule.gates)
    ahead = _forward(chain, spikes)
    return OperationCount(
        (ahead, _desires(chain, spikes, signs, rule)),
        _ann([(len(stage.weight), stage.weight.shape[1]) for stage in chain.stages]),
        (ahead, _bptt(chain, spikes)),
    )


def _decays(cells: Cells, times: float) -> Operations:
    """Membranes or traces that decay."""
    decay = cells[0]
    if decay == 1:
        return Operations()
    if _power_of_two(1 - decay):
        return Operations(adds=times, shifts=times)
    return Operations(multiplies=times)


def _factor(value: float, times: float) -> Operations:
    """Multiplications by a constant."""
    return Operations(shifts=times) if _power_of_two(value) else Operations(multiplies=times)


def _power_of_two(value: float) -> bool:
    return value > 0 and math.frexp(value)[0] == 0.5


def _forward(chain: Chain, spikes: Spikes) -> Operations:
    """Charge of spikes, decay, comparison with the threshold, and reset."""
    batch, steps, total = len(spikes.outputs), spikes.steps, Operations()
    if chain.encoder is not None:
        inputs = counts(spikes.inputs[0])
        each = float(steps * inputs.shape[1])
        total += Operations(adds=each + inputs.sum() / batch, comparisons=each)
        total += _decays(chain.encoder[1], each)
    for place, stage in enumerate(chain.stages):
        outputs, each = len(stage.weight), float(steps * len(stage.weight))
        came = counts(spikes.inputs[place]).sum() / batch
        went = counts(spikes.after(place)).sum() / batch
        total += Operations(adds=came * outputs + went, comparisons=each)
        total += _decays(stage.cells, each)
    return total


def _desires(chain: Chain, spikes: Spikes, signs: list[Array], rule: Desire) -> Operations:
    """Errors, what is passed on, traces and changes."""
    batch, full = len(spikes.outputs), rule.gates.full(spikes.steps)
    classes = float(signs[-1].shape[1])
    total = Operations(adds=1, comparisons=classes) + _factor(1 / full, classes)
    taught = float(signs[-1].any(1).mean())
    for place, stage in enumerate(chain.stages):
        told, inputs = signs[place] != 0, stage.weight.shape[1]
        if place > 0:
            on = float(told.sum()) / batch
            total += Operations(adds=on * inputs, multiplies=on * inputs)
            total += Operations(comparisons=2 * taught * inputs)
            if place < len(chain.stages) - 1:  # those of the output are known
                total += Operations(adds=on) + _factor(1 / full, on)
        total += _change(stage.cells, spikes, told, place)
    return total


def _change(cells: Cells, spikes: Spikes, told: Array, place: int) -> Operations:
    """Traces of the inputs, and their sums at the spikes of neurons that are told something."""
    batch, came = len(told), counts(spikes.inputs[place])
    fired = counts(spikes.after(place)) * told
    used = told.any(1)
    alive = np.count_nonzero(came, axis=1)
    changed = float((np.count_nonzero(fired, axis=1) * alive).sum()) / batch
    sums = float((fired.sum(1) * alive).sum()) / batch
    trace = _decays(cells, float((alive * used).sum()) * spikes.steps / batch)
    trace += Operations(adds=float((came.sum(1) * used).sum()) / batch)
    return trace + Operations(adds=sums + changed, multiplies=changed)


def _ann(shapes: list[tuple[int, int]]) -> tuple[Operations, Operations]:
    """One pass each way; back: errors, derivatives, gradients and rate times gradient."""
    synapses = float(sum(outputs * inputs for outputs, inputs in shapes))
    neurons = float(sum(outputs for outputs, _ in shapes))
    passed = synapses - shapes[0][0] * shapes[0][1]
    ahead = Operations(adds=synapses, multiplies=synapses, comparisons=neurons)
    back = Operations(adds=passed + synapses + neurons, multiplies=passed + 2 * synapses + neurons)
    return ahead, back


def _bptt(chain: Chain, spikes: Spikes) -> Operations:
    """Errors and derivatives of each step, and gradients at the spikes of the inputs."""
    batch, steps, total = len(spikes.outputs), spikes.steps, Operations()
    for place, stage in enumerate(chain.stages):
        outputs, inputs = (float(size) for size in stage.weight.shape)
        each, synapses = steps * outputs, outputs * inputs
        total += Operations(adds=each, multiplies=each) + _decays(stage.cells, each)
        if place > 0:
            total += Operations(adds=steps * synapses, multiplies=steps * synapses)
        came = counts(spikes.inputs[place]).sum() / batch
        total += Operations(adds=came * outputs + synapses, multiplies=synapses)
    return total
