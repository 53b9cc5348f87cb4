"""BindsNET"""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Any

import torch

from spikewright.benches.core import unsupervised as u
from spikewright.benches.core.task import DT, Task, Work
from spikewright.optional import require

KIND = "peer"
_MS = 1e-3


def variants(task: Task) -> tuple[str, ...]:
    """Plasticity is what it is compared on."""
    return ("",) if task.net == "stdp" else ()


def prepare(task: Task, variant: str) -> Work:
    """One image."""
    _vision_operators()
    networks: Any = require("bindsnet.network", package="bindsnet")
    nodes: Any = require("bindsnet.network.nodes", package="bindsnet")
    topology: Any = require("bindsnet.network.topology", package="bindsnet")
    learning: Any = require("bindsnet.learning", package="bindsnet")
    inputs, neurons = task.sizes
    network = networks.Network(dt=DT / _MS)
    source = nodes.Input(n=inputs, traces=True, tc_trace=u.TAU_TRACE / _MS)
    cells = nodes.DiehlAndCookNodes(
        n=neurons, traces=True, tc_trace=u.TAU_TRACE / _MS, rest=0.0, reset=u.RESET,
        thresh=u.THRESHOLD, refrac=round(u.REFRACTORY / _MS), tc_decay=u.TAU_MEM / _MS,
        theta_plus=u.LIFT, tc_theta_decay=u.TAU_ADAPT / _MS, one_spike=False,
    )  # fmt: skip
    network.add_layer(source, name="X")
    network.add_layer(cells, name="Y")
    forward = topology.Connection(
        source, cells, w=u.first_weights(task), update_rule=learning.PostPre,
        nu=(u.DEPRESSION, u.POTENTIATION), wmin=0.0, wmax=1.0, norm=u.TOTAL,
    )  # fmt: skip
    lateral = topology.Connection(cells, cells, w=u.INHIBITION * (torch.eye(neurons) - 1))
    network.add_connection(forward, source="X", target="Y")
    network.add_connection(lateral, source="Y", target="Y")
    probability = u.image(task) * (u.MAX_RATE * DT)
    stream = torch.Generator().manual_seed(2)

    def run() -> None:
        drawn = torch.rand(task.steps, 1, inputs, generator=stream) < probability
        network.run(inputs={"X": drawn}, time=task.steps)

    def rates() -> list[float]:
        monitors: Any = require("bindsnet.network.monitors", package="bindsnet")
        network.add_monitor(monitors.Monitor(cells, ["s"], time=task.steps), name="Y")
        run()
        spikes = int(network.monitors["Y"].get("s").sum())
        return [spikes / (neurons * task.steps)]

    return Work(run, rates, metadata.version("bindsnet"))


@functools.cache
def _vision_operators() -> torch.library.Library:
    """It imports torchvision, whose compiled operators do not load beside PyTorch for CPUs.

    Operators exist for as long as the library that declared them, so it is kept.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
