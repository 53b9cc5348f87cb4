from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from cases import distance
from engine.composed import KINDS, gradients, make, spikes

HALF = torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize("kind", KINDS)
def test_state_and_gradients_stay_float32_under_autocast(kind: str) -> None:
    net = make(kind)
    x = spikes(net)
    with HALF:
        y, state = net(x)
        found = gradients(net, x, net)
    floating = [s for s in pytree.tree_leaves(state) if s is not None]
    assert y.dtype is torch.float32
    assert all(s.dtype is torch.float32 for s in floating)
    assert all(g.dtype is torch.float32 and bool(g.isfinite().all()) for g in found)


@pytest.mark.parametrize("kind", KINDS)
def test_membranes_under_autocast_are_close_to_those_in_float32(kind: str) -> None:
    net = make(kind)
    x = spikes(net)
    first = "1_recurrent" if kind == "recurrent" else list(net.layers)[1]

    def membrane() -> Any:
        records = net.run(x[:1], record=("v", "spikes")).records[first]
        return torch.where(records["spikes"] > 0, 0.0, records["v"]).detach()

    plain = membrane()
    with HALF:
        half = membrane()
    assert plain.any()
    both = (plain != 0) & (half != 0)  # where neither run fired
    assert not torch.equal(half[both], plain[both])
    assert distance(half[both], plain[both]) < 2**-7


def test_compiled_network_equals_eager_under_autocast() -> None:
    torch.compiler.reset()
    net = make("convolutional")
    x = spikes(net)
    graph = torch.compile(net, backend="aot_eager", fullgraph=True)
    with HALF:
        expected, found = gradients(net, x, net), gradients(net, x, graph)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    torch.compiler.reset()
