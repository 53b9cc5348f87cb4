"""Norse"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import torch
from torch import nn

from spikewright.benches.core.task import DECAY, DT, Task, Work
from spikewright.benches.peers.core.data import weights
from spikewright.benches.peers.core.framework import ALL_STEPS, IN_LOOP, Framework
from spikewright.optional import require

KIND = "peer"


class Norse(Framework):
    """LIFBoxCell and LIBoxCell, without currents; LIFRecurrentCell, whose current lasts a step."""

    gain = 1.0 - DECAY

    def __init__(self, in_loop: bool) -> None:
        self.norse: Any = require("norse.torch", extra="bench")
        super().__init__(metadata.version("norse"), in_loop)

    def lif(self, neurons: int) -> nn.Module:
        return self.norse.LIFBoxCell(dt=DT)

    def readout(self, neurons: int) -> nn.Module:
        return self.norse.LIBoxCell(dt=DT)

    def recurrent(self, task: Task) -> nn.Module:
        into, _, back = (nn.Parameter(weight) for weight in weights(task, self.gain))
        sizes = {"input_size": task.sizes[0], "hidden_size": task.sizes[1]}
        given = {"input_weights": into, "recurrent_weights": back, "autapses": True}
        parameters = self.norse.LIFParameters(tau_syn_inv=torch.tensor(1 / DT))
        return self.norse.LIFRecurrentCell(**sizes, **given, p=parameters, dt=DT)

    def links(self, task: Task) -> list[nn.Module]:
        links = super().links(task)
        # Its recurrent cell does the product with the input itself.
        return [nn.Identity(), links[1]] if task.net == "recurrent" else links


def variants(task: Task) -> tuple[str, ...]:
    """Its tutorials put products into the loop over time; all steps at once is possible, too."""
    choice = not task.layer_alone and task.action != "stream" and task.net != "recurrent"
    return (IN_LOOP, ALL_STEPS) if choice else ("",)


def prepare(task: Task, variant: str) -> Work:
    """The task in Norse."""
    return Norse(in_loop=variant == IN_LOOP).work(task)
