"""The after-hyperpolarising current: closed forms, LIF where beta is zero, adaptive thresholds."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.neurons import AHPLIF, LIF, AdaptiveLIF, Firing, Neuron

F64 = torch.float64
DT = 0.1e-3


def value(number: float) -> Tensor:
    return torch.tensor(number, dtype=F64)


def built(layer: Neuron, dt: float = DT) -> Neuron:
    layer.double().build((1,), dt)
    return layer


def constant(level: float, steps: int) -> Tensor:
    return torch.full((steps, 1, 1), level, dtype=F64)


def test_the_current_after_some_spikes_is_the_sum_of_their_decays() -> None:
    dt, tau, beta = 1e-3, 30e-3, 0.25
    layer = built(AHPLIF(tau_mem=value(dt), tau_ahp=value(tau), beta=value(beta)), dt)
    x = constant(0.0, 80)
    fired = [3, 4, 11, 40]
    x[fired] = 20.0
    spikes, _, traces = layer.run(x, None, ("i_ahp",))
    assert spikes.flatten().nonzero().flatten().tolist() == fired
    expected = [
        -beta * math.fsum(math.exp(-(t - k) * dt / tau) for k in fired if k <= t) for t in range(80)
    ]
    assert traces["i_ahp"].flatten().tolist() == pytest.approx(expected, abs=1e-14)


def test_a_spike_hyperpolarises_from_the_next_step_on() -> None:
    layer = built(AHPLIF(tau_mem=value(20e-3), beta=value(2.0), firing=Firing("none")), 1e-3)
    v = layer.run(constant(25.0, 3), None, ("v",))[2]["v"].flatten()
    decay, gain = math.exp(-1 / 20), -math.expm1(-1 / 20)
    first = gain * 25.0
    second = decay * first + gain * (25.0 - 2.0)
    assert first > 1
    assert v[:2].tolist() == pytest.approx([first, second], rel=1e-13)


@pytest.mark.parametrize(("level", "beta"), [(4.0, 0.04), (2.5, 0.05), (8.0, 0.02)])
def test_adaptation_ratio_is_that_of_the_steady_state_formula(level: float, beta: float) -> None:
    """f = f_LIF(I - r beta tau_ahp f): the rate at which the mean current holds itself up."""
    tau, slow = 10e-3, 500e-3
    layer = built(AHPLIF(tau_mem=value(tau), tau_ahp=value(slow), beta=value(beta)))
    spikes, _ = layer(constant(level, 40_000))
    times = spikes.flatten().nonzero().flatten().double() * DT
    ratio = float((times[-1] - times[-11]) / 10 / (times[1] - times[0]))

    def rate(current: float) -> float:
        return 1 / (tau * math.log(current / (current - 1))) if current > 1 else 0.0

    low, high = 0.0, rate(level)
    for _ in range(60):
        f = (low + high) / 2
        low, high = (f, high) if rate(level - beta * slow * f) > f else (low, f)
    assert rate(level) / low > 1.5
    assert ratio == pytest.approx(rate(level) / low, rel=0.05)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(
    "options", [{}, {"refractory": 3e-3, "firing": Firing("subtract")}], ids=str
)
def test_without_beta_it_is_lif_bit_for_bit(backend: Any, options: dict[str, Any]) -> None:
    plain = LIF(backend=backend, **options)
    silent = AHPLIF(beta=0.0, backend=backend, **options)
    x = 6 * torch.rand(120, 3, 7, generator=torch.Generator().manual_seed(1))
    results: list[tuple[Tensor, Tensor]] = []
    for layer in (plain, silent):
        layer.build((7,), 1e-3)
        spikes, _, traces = layer.run(x, None, ("v",))
        results.append((spikes, traces["v"]))
    assert results[0][0].any()
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_it_stops_where_a_threshold_lifted_as_much_stops() -> None:
    """A constant current shifts the membrane by its gain, so both have the same rheobase."""
    beta, spikes = 0.3, 4.0
    still = {"tau_mem": value(10e-3), "beta": value(beta)}
    current = built(AHPLIF(tau_ahp=value(1e6), **still))
    lifted = built(AdaptiveLIF(tau_adapt=value(1e6), **still))
    rheobase = 1 + beta * spikes
    for level, fires in ((rheobase * 0.999, False), (rheobase * 1.001, True)):
        x, at = constant(level, 4000), constant(spikes, 1)[0]
        ahp = current(x, current.State(0 * at, -beta * at))[0]
        adaptive = lifted(x, lifted.State(0 * at, at))[0]
        assert bool(ahp.any()) is bool(adaptive.any()) is fires


def test_a_reset_leaves_the_current_and_a_fresh_start_clears_it() -> None:
    layer = built(AHPLIF(beta=value(0.5)), 1e-3)
    _, state = layer(constant(40.0, 5))
    assert float(state.v) == 0
    assert float(state.i_ahp) < -2
    assert float(layer.initial_state(1).i_ahp) == 0


def test_each_neuron_may_have_its_own_time_and_strength_and_learn_them() -> None:
    beta = torch.where(torch.arange(6) < 3, 0.0, 0.4)
    cells = AHPLIF(
        tau_ahp=sw.learnable(torch.linspace(0.05, 0.5, 6)), beta=sw.learnable(beta), tau_mem=5e-3
    )
    net = sw.Sequential(cells, sw.Linear(6, 2), sw.LI(), dt=1e-3)
    net.build((6,))
    spikes = cells(torch.full((200, 1, 6), 3.0))[0].sum(0).flatten()
    assert (spikes[:3] > spikes[3:].max()).all()
    net(torch.full((50, 1, 6), 3.0))[0].sum().backward()
    grads = {name: p.grad for name, p in cells.named_parameters()}
    assert len(grads) == 2
    assert all(g is not None and bool(g[3:].abs().gt(0).all()) for g in grads.values())


def test_chunks_and_a_stream_give_what_one_run_gives() -> None:
    torch.manual_seed(0)
    cells = sw.Recurrent(AHPLIF(beta=0.2, tau_mem=5e-3, v_threshold=0.2))
    net = sw.Sequential(sw.Linear(5, 12), cells, sw.Linear(12, 3), sw.LI(), dt=1e-3)
    x = torch.rand(40, 2, 5)
    with torch.no_grad():
        whole, last = net(x)
        first, state = net(x[:13])
        second, end = net(x[13:], state)
    assert whole.abs().max() > 0
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(end["1_recurrent"].neuron.i_ahp, last["1_recurrent"].neuron.i_ahp)
    stream = net.stream(2)
    streamed = torch.cat([stream.run(x[:13]), stream.run(x[13:])])
    torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-6)


def test_nir_has_no_such_neuron_and_the_export_says_so() -> None:
    net = sw.Sequential({"slow": AHPLIF()}, dt=1e-3, shape=(2,))
    with pytest.raises(sw.errors.ExchangeError, match="got 'slow': AHPLIF"):
        sw.to_nir(net)
