"""What may come in: each bad input has an error of its own, the rest simply works."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

import spikewright as sw
from network.nets import NETS, sequence, spikes
from spikewright.errors import ShapeError


def refused(net: sw.Network, x: object) -> str:
    with pytest.raises(ShapeError) as caught:
        net(x)
    return str(caught.value)


@pytest.fixture
def net() -> sw.Network:
    return sequence(sw.Linear(6, 9), sw.LIF(), sw.Linear(9, 2), sw.LI())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_input_that_is_not_finite_is_refused_with_its_place(net: sw.Network, value: float) -> None:
    x = spikes(7, 3, 6)
    x[2, 1, 4] = value
    x[5, 0, 0] = value
    assert refused(net, x) == (
        f"network: input must be finite, got {value} at (time, batch, *features) = (2, 1, 4), "
        "2 such values in all. Clean the data, or scale it."
    )


def test_infinities_that_cancel_are_found_and_large_sums_are_not_mistaken(net: sw.Network) -> None:
    x = torch.full((7, 3, 6), 1e38)
    net(x)
    x[0, 0, 0], x[0, 0, 1] = float("inf"), -float("inf")
    assert "got inf at (time, batch, *features) = (0, 0, 0), 2 such values" in refused(net, x)


@pytest.mark.parametrize("shape", [(0, 3, 6), (5, 0, 6)])
def test_no_time_steps_or_an_empty_batch_are_refused(
    net: sw.Network, shape: tuple[int, ...]
) -> None:
    assert refused(net, torch.zeros(shape)) == (
        "network: input must be (time, batch, *features) with at least one step and one sample, "
        f"got shape {shape}. Add the axes that are missing."
    )


@pytest.mark.parametrize("shape", [(5, 3, 7), (5, 3, 2, 3), (5, 6)])
def test_wrong_feature_counts_and_ranks_are_refused(
    net: sw.Network, shape: tuple[int, ...]
) -> None:
    assert refused(net, torch.zeros(shape)) == (
        f"network: input must be (time, batch, 6), got shape {shape}. "
        "A layer keeps the shape it was first used with; make a new layer for another."
    )


def test_what_is_no_tensor_or_complex_is_refused(net: sw.Network) -> None:
    assert refused(net, [[1.0]]) == (
        "network: input must be a tensor (time, batch, *features), got list. "
        "Convert it with torch.as_tensor."
    )
    assert refused(net, torch.zeros(5, 3, 6, dtype=torch.complex64)) == (
        "network: input must be real, got torch.complex64. "
        "Pass real and imaginary part as features of their own."
    )


def test_input_of_another_precision_is_refused_with_both_ways_out(net: sw.Network) -> None:
    found = refused(net, spikes(5, 3, 6).double())
    assert re.search(r"must be torch\.float32, as the weights are, got torch\.float64", found)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_integers_give_what_their_floats_give(dtype: torch.dtype, precision: torch.dtype) -> None:
    net = NETS["recurrent"]().to(precision)
    x = spikes(9, 3, 6)
    out, _ = net(x.to(dtype))
    assert out.dtype == precision
    assert torch.equal(out, net(x.to(precision))[0])


@pytest.mark.parametrize("name", ["cuba", "recurrent", "delay", "delayed synapses", "images"])
def test_strided_input_gives_what_its_contiguous_copy_gives(name: str) -> None:
    net = NETS[name]()
    assert net.shape is not None
    x = spikes(3, 9, *net.shape).transpose(0, 1)
    wide = spikes(9, 6, *net.shape)[:, ::2]
    for strided in (x, wide, x.flip(0)):
        plain: Tensor = strided.contiguous().clone()
        assert torch.equal(net(strided)[0], net(plain)[0])
    assert not x.is_contiguous()
