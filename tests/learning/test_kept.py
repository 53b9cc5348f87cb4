"""What a chain of layers keeps between the forward and the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import spikewright as sw


def test_spikes_are_kept_as_events_and_not_as_dense_numbers() -> None:
    torch.manual_seed(0)
    chain = (sw.Linear(64, 128), sw.LIF(r=8.0), sw.Linear(128, 64, path="events"))
    net = sw.Sequential(*chain, dt=1e-3, shape=(64,))
    x = (torch.rand(32, 4, 64) < 0.1).float()
    net.run(x)  # compiles: PyTorch cannot trace where saved tensors are watched
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        run = net.run(x)
    spikes = run.records["1_lif"]["spikes"]
    assert spikes.any()
    assert all(tensor.data_ptr() != spikes.data_ptr() for tensor in kept)
    node: Any = run.output.grad_fn
    events = node.events
    assert events.number == int(spikes.count_nonzero())
    lists = events.indptr.nbytes + events.index.nbytes + events.count.nbytes
    assert lists < spikes.nbytes / 4
