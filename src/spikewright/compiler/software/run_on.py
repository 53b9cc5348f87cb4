"""A program run in software a part of a sequence at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright.borrow import streams_kept
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.software.runnable import network_of
from spikewright.compiler.target import Advance
from spikewright.engine.forward import forward_by


def run_on(program: DiscreteProgram, seed: int = 0) -> Advance:
    """What takes the next steps of a sample, number formats included, from a fresh start.

    Args:
        seed: of neurons with noise.

    >>> import spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> net = sw.Sequential(sw.Linear(5, 3), sw.LIF(), dt=1e-3).eval()
    >>> x = (torch.rand(20, 1, 5) < 0.5).float()
    >>> advance = run_on(discretise(net))
    >>> bool((torch.cat([advance(x[:7]), advance(x[7:])]) == net(x)[0]).all())
    True
    """
    network = network_of(program)
    shape = program.node(program.output).shape
    state: dict[str, Any] | None = None

    def advance(x: Tensor) -> Tensor:
        nonlocal state
        if not len(x):
            return x.new_empty(0, 1, *shape)
        with torch.no_grad(), streams_kept(), forward_by(None):
            torch.default_generator.manual_seed(seed)  # a fresh start draws from it
            output, state = network(x, state)
        return output

    return advance
