"""A recurrent layer against a loop written out here."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import spikewright as sw
from network.nets import sequence, spikes
from spikewright.engine.spike import DEFAULT_SURROGATE
from spikewright.errors import BackendError, NetworkError, ShapeError


def by_hand(x: Tensor, w_in: Tensor, b_in: Tensor, w_back: Tensor) -> Tensor:
    """LIF, tau_mem 10 ms, threshold 0.02, reset to zero, spikes fed back one step later."""
    tau, threshold = torch.tensor([10e-3, 0.02]).to(x.dtype)
    decay = torch.exp(-1e-3 / tau)
    v = x.new_zeros(x.shape[1], len(b_in))
    s, rows = v, []
    for current in x @ w_in.T + b_in:
        v = decay * v + (1 - decay) * (current + s @ w_back.T)
        u = v - threshold
        hard = (u > 0).to(u.dtype)
        soft = DEFAULT_SURROGATE.derivative(u.detach()) * u
        s = hard + (soft - soft.detach())
        v = torch.where(hard > 0, torch.zeros_like(v), v)
        rows.append(s)
    return torch.stack(rows)


def test_values_and_gradients_equal_those_of_a_loop_by_hand() -> None:
    cells = sw.LIF(tau_mem=10e-3, v_threshold=0.02)
    net = sequence(sw.Linear(6, 7), sw.Recurrent(cells)).double()
    x = spikes(25, 4, 6).double().requires_grad_()
    out, _ = net(x)
    weighting = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(3))
    (out * weighting).sum().backward()
    linear, recurrent = net.layers.values()
    ours = [x.grad, linear.weight.grad, linear.bias.grad, recurrent.connection.weight.grad]
    sources = [x, linear.weight, linear.bias, recurrent.connection.weight]
    leaves = [source.detach().clone().requires_grad_() for source in sources]
    expected = by_hand(*leaves)
    (expected * weighting).sum().backward()
    assert 0.05 < float(out.detach().mean()) < 0.9
    assert torch.equal(out, expected)
    for gradient, leaf in zip(ours, leaves, strict=True):
        assert leaf.grad.any()
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-10, atol=1e-12)


def test_a_spike_comes_back_exactly_one_step_later() -> None:
    layer = sw.Recurrent(sw.IF(), sw.Linear(2, 2, bias=False))
    layer.build((2,), dt=1e-3)
    with torch.no_grad():
        layer.connection.weight.copy_(torch.tensor([[0.0, 0.0], [2.0, 0.0]]) * 1e3)
    x = torch.zeros(4, 1, 2)
    x[0, 0, 0] = 2e3  # neuron 0 fires at once, and makes neuron 1 fire a step later
    out, state = layer(x)
    assert out[:, 0].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    assert state.spikes.tolist() == [[0, 0]]


def test_a_convolution_may_lead_back_among_images() -> None:
    cells = sw.LIF(v_threshold=0.05)
    net = sequence(
        sw.Recurrent(cells, sw.Conv2d(2, 2, 3, padding="same")), inputs=(2, 5, 5)
    ).double()
    x = spikes(8, 2, 2, 5, 5).double()
    conv, state, s, rows = net.layers["0_recurrent"].connection, None, torch.zeros_like(x[0]), []
    alone = sw.LIF(v_threshold=0.05).double()
    alone.build((2, 5, 5), dt=1e-3)
    for current in x:
        out, state = alone((current + conv(s[None])[0][0])[None], state)
        s = out[0]
        rows.append(s)
    assert torch.equal(net(x)[0], torch.stack(rows))


def message(layer: sw.Layer, *shape: int) -> str:
    with pytest.raises((NetworkError, BackendError, ShapeError)) as caught:
        sw.Sequential(layer, dt=1e-3)(spikes(4, 2, *shape))
    return str(caught.value)


def test_a_connection_that_leads_elsewhere_is_refused() -> None:
    assert message(sw.Recurrent(sw.LIF(), sw.Linear(5, 4)), 5) == (
        "network: layer '0_recurrent': Recurrent: the connection must lead from (5,) to (5,), "
        "got (4,). Give it as many outputs as the neurons have inputs."
    )


def test_images_need_a_connection_of_their_own() -> None:
    assert message(sw.Recurrent(sw.LIF()), 1, 5, 5) == (
        "network: layer '0_recurrent': Recurrent: the connection must be given for neurons of "
        "shape (1, 5, 5), got None. "
        "Pass for example Conv2d(channels, channels, 3, padding='same')."
    )


def test_what_is_not_a_layer_of_neurons_cannot_recur() -> None:
    with pytest.raises(NetworkError) as caught:
        sw.Recurrent(sw.Linear(3, 3))
    assert str(caught.value) == (
        "Recurrent: neuron must be a layer of neurons, got Linear. "
        "Pass for example Recurrent(LIF())."
    )


def test_a_backend_that_cannot_recur_is_refused_rather_than_replaced() -> None:
    back = sw.DelayedLinear(5, 5, 2e-3, learnable=True)
    assert message(sw.Recurrent(sw.LIF(backend="cpu"), back), 5) == (
        "engine.scan: a recurrent layer with backend 'cpu' must have a Linear or a connection "
        "with fixed delays of whole steps, got one that cannot go into a kernel: its delays are "
        "learnable. Use backend='auto', which takes the reference for it."
    )


def test_a_layer_outside_a_network_says_that_dt_is_missing() -> None:
    with pytest.raises(NetworkError, match=r"^Recurrent: dt must be bound before the layer runs"):
        sw.Recurrent(sw.LIF())(spikes(4, 2, 5))
