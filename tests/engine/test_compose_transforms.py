from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

import spikewright as sw
from engine.composed import KINDS, gradients, loss_of, make, spikes
from spikewright.errors import NetworkError

SEEDS = 3


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_side_by_side_equal_runs_one_by_one(kind: str) -> None:
    networks = [make(kind, seed) for seed in range(SEEDS)]
    x, net = spikes(networks[0]), networks[0]
    parameters, buffers = stack_module_state(networks)  # type: ignore[arg-type]

    def run(parameters: Any, buffers: Any) -> Any:
        return functional_call(net, (parameters, buffers), (x,))[0]

    y = vmap(run)(parameters, buffers)
    found = vmap(grad(lambda p, b: loss_of(run(p, b))))(parameters, buffers)
    for i, alone in enumerate(networks):
        expected = gradients(alone, x, alone)
        ours = [y[i], *(found[name][i] for name, _ in alone.named_parameters())]
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_inputs_and_states_may_differ_by_seed() -> None:
    net = make("current_based")
    x = torch.stack([spikes(net, seed=seed) for seed in range(SEEDS)])
    first, state = vmap(net, out_dims=(0, 0))(x[:, :5])
    second, _ = vmap(net)(x[:, 5:], state)
    expected = torch.stack([net(one)[0] for one in x])
    assert torch.equal(torch.cat([first, second], dim=1), expected)


def test_gradient_of_a_mapped_loss_is_the_sum_over_samples() -> None:
    net = make("dense")
    x = torch.stack([spikes(net, seed=seed) for seed in range(SEEDS)])
    named = {name: p.detach() for name, p in net.named_parameters()}

    def total(parameters: Any) -> Any:
        return vmap(lambda one: loss_of(functional_call(net, parameters, (one,))[0]))(x).sum()

    found = grad(total)(named)
    net.zero_grad()
    sum(loss_of(net(one)[0]) for one in x).backward()  # type: ignore[union-attr]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.any()
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-5, atol=1e-6)


def test_gradient_by_the_input_is_that_of_a_plain_run() -> None:
    net = make("recurrent")
    x = spikes(net).requires_grad_()
    (expected,) = torch.autograd.grad(loss_of(net(x)[0]), x)
    assert expected.any()
    assert torch.equal(grad(lambda x: loss_of(net(x)[0]))(x.detach()), expected)


def test_noise_takes_a_draw_for_each_seed_where_asked() -> None:
    net = sw.Sequential(sw.Linear(6, 5), sw.LIF(noise=50.0), dt=1e-3)
    x = torch.zeros(20, 2, 6)
    weight = net.layers["0_linear"].weight.expand(SEEDS, 5, 6)

    def run(weight: Any) -> Any:
        return functional_call(net, {"nodes.0_linear.weight": weight}, (x,))[0]

    y = vmap(run, randomness="different")(weight)
    assert not torch.equal(y[0], y[1])
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(run)(weight)


def test_delays_run_side_by_side() -> None:
    torch.manual_seed(0)
    delayed = sw.DelayedLinear(6, 5, delays=3e-3, learnable=True)
    again = sw.Recurrent(sw.LIF(), sw.DelayedLinear(5, 5, delays=2e-3))
    net = sw.Sequential(delayed, again, dt=1e-3)
    x = (torch.rand(12, 2, 6) < 0.5).float() * 20
    parameters, buffers = stack_module_state([net, net])
    y = vmap(lambda p, b: functional_call(net, (p, b), (x,))[0])(parameters, buffers)
    expected = net(x)[0]
    assert expected.any()
    assert torch.equal(y[1], expected)


def test_network_of_unknown_shape_is_refused() -> None:
    net = sw.Sequential(sw.Linear(None, 4), sw.LIF(), dt=1e-3)
    with pytest.raises(NetworkError, match=r"net\.build\(shape\)"):
        vmap(net)(torch.zeros(2, 5, 2, 3))


def test_second_derivative_is_refused() -> None:
    net = make("dense")
    x = spikes(net)

    def slope(x: Any) -> Any:
        return grad(lambda x: loss_of(net(x)[0]))(x).sum()

    with pytest.raises(Exception, match="at most once"):
        grad(slope)(x)
