"""A network can be copied and stored, and is then the same network."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import spikewright as sw
from network.nets import NETS, spikes


@pytest.mark.parametrize("name", NETS)
def test_a_deep_copy_gives_the_same_output_and_shares_nothing(name: str) -> None:
    net = NETS[name]().eval()
    assert net.shape is not None
    other, x = copy.deepcopy(net), spikes(9, 2, *net.shape)
    torch.manual_seed(5)
    before, _ = net(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    torch.manual_seed(5)
    assert torch.equal(other(x)[0], before)


@pytest.mark.parametrize("name", NETS)
def test_tensors_go_through_a_file_into_a_network_built_alike(name: str, tmp_path: Path) -> None:
    net, other = NETS[name]().eval(), NETS[name]().eval()
    assert net.shape is not None
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    other.load_state_dict(load_file(tmp_path / "net.safetensors"))
    x = spikes(9, 2, *net.shape)
    torch.manual_seed(5)
    expected, _ = net(x)
    torch.manual_seed(5)
    assert torch.equal(other(x)[0], expected)


def test_a_network_with_open_sizes_takes_those_of_the_file() -> None:
    net = sw.Sequential(sw.Flatten(), sw.Linear(6, 4), sw.LIF(), dt=1e-3, shape=(2, 3))
    other = sw.Sequential(sw.Flatten(), sw.Linear(None, 4), sw.LIF(), dt=1e-3)
    other.load_state_dict(net.state_dict())
    x = spikes(5, 2, 2, 3)
    assert torch.equal(other(x)[0], net(x)[0])
