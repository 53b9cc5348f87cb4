"""this package"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.benches.core.task import DECAY, DT, Task, Work
from spikewright.benches.peers.core import runs
from spikewright.benches.peers.core.data import layer_input, network_input, weights
from spikewright.engine.spike import DEFAULT_SURROGATE

KIND = "ours"
TAU = -DT / math.log(DECAY)
GAIN = 1 / (1 - DECAY)
"""Input resistance at which an input adds itself to the potential, as in the other frameworks."""
WINDOWED = "surrogate window "
WINDOWS = tuple(f"{WINDOWED}{window:g}" for window in (0.5, 0.1))
CHECKPOINT = "memory='checkpoint'"
COMPILED, BY_STATE = "net.stream()", "net(x, state)"


def variants(task: Task) -> tuple[str, ...]:
    """Other ways than the plain one that a case is worth measuring in."""
    if task.net == "recurrent" and task.action == "train":
        return ("", *WINDOWS)
    return (COMPILED, BY_STATE) if task.action == "stream" else ("",)


def prepare(task: Task, variant: str) -> Work:
    """The task as a user of this package writes it."""
    if task.layer_alone:
        layer = _layer(task)
        return Work(
            runs.layer(layer, task), lambda: [_mean(layer(layer_input(task)[0])[0])], sw.__version__
        )
    net = network(task, variant)
    if task.action == "stream":
        run = runs.streaming(_stream(net, task, variant), task)
    elif task.action == "train":
        run = runs.training(net, task, _again(net) if variant == CHECKPOINT else None)
    else:
        run = runs.inference(net, task)
    return Work(run, lambda: _rates(net, task), sw.__version__)


def _again(net: sw.Network) -> runs.Net:
    return lambda x: net.run(x, record=(), memory="checkpoint").output


def network(task: Task, variant: str = "") -> sw.Network:
    """The task's network."""
    surrogate = DEFAULT_SURROGATE
    if variant.startswith(WINDOWED):
        surrogate = replace(surrogate, window=float(variant.removeprefix(WINDOWED)))
    options: dict[str, Any] = {"tau_mem": TAU, "r": GAIN}

    def lif() -> sw.LIF:
        return sw.LIF(**options, surrogate=surrogate, firing=sw.Firing(reset="subtract"))

    values, readout = weights(task), sw.LI(**options)
    if task.net == "conv":
        side, first, second, outputs = task.sizes
        layers = [sw.Conv2d(1, first, 5), lif(), sw.MaxPool2d(2), sw.Conv2d(first, second, 5)]
        layers += [lif(), sw.MaxPool2d(2), sw.Flatten(), sw.Linear(None, outputs), readout]
        shape = (1, side, side)
    else:
        inputs, hidden, outputs = task.sizes
        cells = sw.Recurrent(lif()) if task.net == "recurrent" else lif()
        layers = [sw.Linear(inputs, hidden), cells, sw.Linear(hidden, outputs), readout]
        shape = (inputs,)
    net = sw.Sequential(*layers, dt=DT, shape=shape)
    _set(net, values)
    return net


def _set(net: sw.Network, values: list[Tensor]) -> None:
    """Give a network the weights that all frameworks start from, and biases of zero."""
    layers: list[Any] = list(net.layers.values())
    connections = [layer for layer in layers if hasattr(layer, "weight")]
    connections += [layer.connection for layer in layers if hasattr(layer, "connection")]
    with torch.no_grad():
        for layer, value in zip(connections, values, strict=True):
            layer.weight.copy_(value)
            if layer.bias is not None:
                layer.bias.zero_()


def _layer(task: Task) -> sw.Neuron:
    if task.net == "lif":
        layer: sw.Neuron = sw.LIF(tau_mem=TAU, r=GAIN, firing=sw.Firing(reset="subtract"))
    else:
        times = {"tau_mem": sw.learnable(TAU), "tau_syn": sw.learnable(-DT / math.log(0.8))}
        layer = sw.CubaLIF(
            **times,
            v_threshold=sw.learnable(1.0),
            r=sw.learnable(GAIN),
            firing=sw.Firing(reset="subtract"),
        )
    layer.build(task.sizes, DT)
    return layer


def _stream(net: sw.Network, task: Task, variant: str) -> Any:
    if variant == COMPILED:
        return net.stream(batch=task.batch).step
    state: Any = None

    def step(x: Tensor) -> Tensor:
        nonlocal state
        y, state = net(x.unsqueeze(0), state)
        return y

    return step


def _rates(net: sw.Network, task: Task) -> list[float]:
    with torch.no_grad():
        records = net.run(network_input(task)[0]).records
    return [_mean(traces["spikes"]) for traces in records.values()]


def _mean(spikes: Tensor) -> float:
    return float(spikes.detach().mean())
