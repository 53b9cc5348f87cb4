"""snnTorch"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from spikewright.benches.core.task import DECAY, Task, Work
from spikewright.benches.peers.core.data import weights
from spikewright.benches.peers.core.framework import ALL_STEPS, IN_LOOP, Framework
from spikewright.benches.peers.core.nets import with_weight
from spikewright.optional import require

KIND = "peer"


class Cell(nn.Module):
    """snnTorch returns a tuple of spikes and states; ``spikes`` says which one is the output."""

    def __init__(self, cell: nn.Module, output: int = 0) -> None:
        super().__init__()
        self.cell, self.output = cell, output

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        result = self.cell(x, *(state or self.fresh()))
        return result[self.output], result[self.start() :]

    def start(self) -> int:
        """Where in the result the state begins: recurrent cells are given their spikes again."""
        return int(not hasattr(self.cell, "recurrent"))

    def fresh(self) -> Any:
        cell: Any = self.cell
        state = cell.reset_mem()
        return state if isinstance(state, tuple) else (state,)


class SnnTorch(Framework):
    """Leaky, RLeaky and Synaptic."""

    def __init__(self, in_loop: bool) -> None:
        self.snn: Any = require("snntorch", extra="bench")
        surrogate: Any = require("snntorch.surrogate", extra="bench")
        self.spike = surrogate.fast_sigmoid()
        super().__init__(self.snn.__version__, in_loop)

    def lif(self, neurons: int) -> nn.Module:
        return Cell(self.snn.Leaky(beta=DECAY, spike_grad=self.spike))

    def readout(self, neurons: int) -> nn.Module:
        return Cell(self.snn.Leaky(beta=DECAY, reset_mechanism="none"), output=1)

    def recurrent(self, task: Task) -> nn.Module:
        hidden = task.sizes[1]
        cell = self.snn.RLeaky(beta=DECAY, linear_features=hidden, spike_grad=self.spike)
        with_weight(cell.recurrent, weights(task)[-1])
        return Cell(cell)

    def cuba(self, neurons: int) -> nn.Module:
        learn = {"learn_alpha": True, "learn_beta": True, "learn_threshold": True}
        return Cell(self.snn.Synaptic(alpha=0.8, beta=DECAY, spike_grad=self.spike, **learn))


def variants(task: Task) -> tuple[str, ...]:
    """Its tutorials put products into the loop over time; all steps at once is possible, too."""
    return ("",) if task.layer_alone or task.action == "stream" else (IN_LOOP, ALL_STEPS)


def prepare(task: Task, variant: str) -> Work:
    """The task in snnTorch."""
    return SnnTorch(in_loop=variant == IN_LOOP).work(task)
