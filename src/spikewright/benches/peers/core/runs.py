"""What is timed, for whatever network: training, inference, streaming, one layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikewright.benches.core.task import Task
from spikewright.benches.peers.core.data import layer_input, network_input

LEARNING_RATE = 1e-6
"""So small that the firing rates stay as they are from run to run."""

Run = Callable[[], object]
Net = Callable[[Tensor], Any]


def output_of(result: Any) -> Tensor:
    """What a network gives, whether it comes with a state or alone."""
    return result[0] if isinstance(result, tuple) else result


def anew(x: Tensor) -> Tensor:
    """The same numbers as a new tensor: this package would know what it found in one before."""
    return x.view_as(x)


def layer(net: nn.Module, task: Task, gain: float = 1.0) -> Run:
    """Forward and backward of a layer alone."""
    x, gradient = layer_input(task, gain)
    wanted = [x, *net.parameters()] if task.net == "cuba" else [x]
    return lambda: torch.autograd.grad(output_of(net(x)), wanted, gradient)


def training(net: nn.Module, task: Task, forward: Net | None = None) -> Run:
    """A step of training: forward, cross-entropy of the mean readout, backward, Adam.

    Args:
        forward: runs the network in another way than by calling it.
    """
    forward = forward or net
    x, classes = network_input(task)
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)

    def run() -> None:
        optimiser.zero_grad()
        cross_entropy(output_of(forward(anew(x))).mean(0), classes).backward()
        optimiser.step()

    return run


def inference(net: Net, task: Task) -> Run:
    """A forward pass over the whole batch."""
    x, _ = network_input(task)

    def run() -> Tensor:
        with torch.inference_mode():
            return output_of(net(anew(x))).mean(0)

    return run


def streaming(step: Callable[[Tensor], object], task: Task) -> Run:
    """The steps of a sequence, one call each."""
    rows = [row.clone() for row in network_input(task)[0]]

    def run() -> None:
        with torch.inference_mode():
            for row in rows:
                step(row)

    return run
