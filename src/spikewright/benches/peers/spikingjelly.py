"""SpikingJelly"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.benches.core.task import DECAY, Task, Work
from spikewright.benches.peers.core.data import weights
from spikewright.benches.peers.core.framework import Framework
from spikewright.benches.peers.core.nets import with_weight
from spikewright.optional import require

KIND = "peer"
TAU = 1 / (1 - DECAY)


class SpikingJelly(Framework):
    """Multi-step mode; its faster backends need a GPU."""

    cells = False

    def __init__(self) -> None:
        self.nodes: Any = require("spikingjelly.activation_based.neuron", extra="bench")
        self.layers: Any = require("spikingjelly.activation_based.layer", extra="bench")
        self.functions: Any = require("spikingjelly.activation_based.functional", extra="bench")
        super().__init__(metadata.version("spikingjelly"))

    def lif(self, neurons: int) -> nn.Module:
        return self.nodes.LIFNode(tau=TAU, decay_input=False, v_reset=None, step_mode="m")

    def readout(self, neurons: int) -> nn.Module:
        return self.layers.SynapseFilter(tau=TAU, step_mode="m")

    def recurrent(self, task: Task) -> nn.Module:
        node, back = self.lif(task.sizes[1]), weights(task)[-1]
        self.functions.set_step_mode(node, "s")
        layer = self.layers.LinearRecurrentContainer(node, *back.shape, bias=False, step_mode="m")
        # Its own product takes input and feedback together, after the product with the input.
        with_weight(layer.rc, torch.cat([torch.eye(len(back)), back], dim=1))
        return layer

    def begin(self, net: nn.Module) -> None:
        self.functions.reset_net(net)

    def stream(self, task: Task) -> Callable[[Tensor], object]:
        layers: list[nn.Module] = []
        for link, neurons in zip(self.links(task), self.neurons(task), strict=True):
            layers += [link, neurons]
        net = nn.Sequential(*layers)
        self.functions.set_step_mode(net, "s")
        return net


def prepare(task: Task, variant: str) -> Work:
    """The task in SpikingJelly."""
    return SpikingJelly().work(task)
