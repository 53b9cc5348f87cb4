"""sinabs"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import metadata
from typing import Any

from torch import Tensor, nn

from spikewright.benches.core.task import DECAY, Task, Work
from spikewright.benches.peers.core.data import weights
from spikewright.benches.peers.core.framework import Framework
from spikewright.benches.peers.core.nets import with_weight
from spikewright.optional import require

KIND = "peer"
TAU = -1 / math.log(DECAY)


class TimeFirst(nn.Module):
    """sinabs has the batch before time."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.transpose(0, 1)).transpose(0, 1)


class Sinabs(Framework):
    """LIF, LIFRecurrent and ExpLeak with one spike a step."""

    cells = False

    def __init__(self) -> None:
        self.layers: Any = require("sinabs.layers", package="sinabs")
        activation: Any = require("sinabs.activation", package="sinabs")
        self.options = {"tau_mem": TAU, "norm_input": False, "spike_fn": activation.SingleSpike}
        super().__init__(metadata.version("sinabs"))

    def lif(self, neurons: int) -> nn.Module:
        return TimeFirst(self.layers.LIF(**self.options))

    def readout(self, neurons: int) -> nn.Module:
        return TimeFirst(self.layers.ExpLeak(tau_mem=TAU, norm_input=False))

    def recurrent(self, task: Task) -> nn.Module:
        hidden = task.sizes[1]
        back = with_weight(nn.Linear(hidden, hidden, bias=False), weights(task)[-1])
        return TimeFirst(self.layers.LIFRecurrent(rec_connect=back, **self.options))

    def begin(self, net: nn.Module) -> None:
        # Its own reset of a whole network passes over recurrent layers.
        modules: Any = net.modules()
        for module in modules:
            if isinstance(module, self.layers.StatefulLayer):
                module.reset_states()

    def stream(self, task: Task) -> Callable[[Tensor], object]:
        net = self.network(task)
        return lambda x: net(x.unsqueeze(0))


def prepare(task: Task, variant: str) -> Work:
    """The task in sinabs."""
    return Sinabs().work(task)
