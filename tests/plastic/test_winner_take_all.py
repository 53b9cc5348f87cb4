"""Neurons that compete, against a loop over them in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import spikewright as sw
from plastic.rules import DT, draw, trains
from spikewright.errors import (
    BackendError,
    CompileError,
    ExchangeError,
    NetworkError,
    ParameterError,
    ShapeError,
)


def layer(neuron: sw.Neuron, neurons: int, **options: object) -> sw.WinnerTakeAll:
    made = sw.WinnerTakeAll(neuron, **options)  # type: ignore[arg-type]
    made.build((neurons,), DT)
    return made


def lif(**options: object) -> sw.LIF:
    return sw.LIF(tau_mem=10e-3, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("winners", "clamp"), [(1, 0), (1, 4), (2, 3), (7, 0)])
def test_winners_and_membranes_are_those_of_a_loop_over_neurons(winners: int, clamp: int) -> None:
    drawn, x = draw(11, 7, winners, clamp), trains(150, 11, 0.3)
    with torch.no_grad():
        drawn.connection.weight.copy_(drawn.w.T)
    run = drawn.net.run(x[:, None], record=("spikes", "v"))
    spikes, v = (run.records["cells"][name][:, 0].detach().numpy() for name in ("spikes", "v"))
    for t, row in enumerate(x.numpy()):
        np.testing.assert_array_equal(spikes[t], drawn.cells.step(row @ drawn.w.numpy()))
        np.testing.assert_allclose(v[t], drawn.cells.v, rtol=1e-12, atol=1e-13)
    assert spikes.sum() > 10
    assert 1 < spikes.sum(1).max() <= winners or winners == 1


@pytest.mark.parametrize("neuron", [sw.CubaLIF, sw.AdEx, sw.AdaptiveLIF])
def test_a_stream_and_parts_of_a_run_equal_the_whole_run_bit_for_bit(neuron: type) -> None:
    torch.manual_seed(2)
    cells = neuron(v_threshold=torch.linspace(0.04, 0.06, 8).view(2, 4), refractory=2 * DT)
    compete = sw.WinnerTakeAll(cells, winners=2, clamp=2 * DT, v_inhibited=torch.rand(2, 4) - 1)
    net = sw.Sequential(compete, sw.Flatten(), dt=DT, shape=(2, 4))
    x = 4 * torch.rand(40, 3, 2, 4)
    with torch.no_grad():
        whole, last = net(x)
        first, state = net(x[:13])
        second, after = net(x[13:], state)
    stream = net.stream(3)
    assert whole.any()
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(torch.cat([stream.run(x[:30]), stream.run(x[30:])]), whole)
    for found in (after, stream.state):
        assert all(map(torch.equal, pytree.tree_leaves(found), pytree.tree_leaves(last)))


def test_of_equal_neurons_the_first_wins() -> None:
    x = torch.full((1, 2, 5), 30.0)
    x[:, 1, 0] = 20.0
    one, _ = layer(lif(), 5)(x)
    two, _ = layer(lif(), 5, winners=2)(x)
    assert one[0].nonzero().tolist() == [[0, 0], [1, 1]]
    assert two[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]


def test_each_neuron_is_judged_by_its_own_threshold() -> None:
    cells = layer(lif(v_threshold=torch.tensor([1.0, 2.0, 2.9])), 3)
    spikes, _ = cells(torch.tensor([20.0, 30.0, 32.0]).expand(1, 1, 3))  # v is 1.9, 2.85, 3.05
    assert spikes.flatten().tolist() == [1.0, 0.0, 0.0]


def test_the_others_are_held_and_silent_for_the_clamp() -> None:
    cells = layer(lif(), 3, clamp=4 * DT, v_inhibited=-0.5)
    x = torch.zeros(12, 1, 3)
    x[0] = torch.tensor([30.0, 0.0, 20.0])
    x[1:] = torch.tensor([0.0, 30.0, 30.0])
    spikes, _, traces = cells.run(x, record=("v",))
    v = traces["v"][:, 0]
    assert (v[:5, 1:] == -0.5).all()
    assert spikes[:, 0].nonzero()[:2].tolist() == [[0, 0], [5, 1]]
    assert (v[5:10, [0, 2]] == -0.5).all()


def test_where_nobody_fires_the_neurons_do_as_they_do_alone() -> None:
    x = torch.rand(50, 2, 6)
    together, state = layer(lif(v_threshold=9.0), 6)(x)
    alone = lif(v_threshold=9.0)
    alone.build((6,), DT)
    assert not together.any()
    assert torch.equal(state.neuron.v, alone(x)[1].v)


def test_the_gradient_of_a_spike_is_the_surrogate_of_the_winner_and_zero_for_others() -> None:
    cells = layer(lif(surrogate=sw.surrogate.Arctan()), 3)
    x = torch.tensor([14.0, 18.0, 2.0], dtype=torch.float64).view(1, 1, 3).requires_grad_()
    cells.double()(x)[0].sum().backward()
    gain = 1 - np.exp(-0.1)
    excess = torch.tensor(18.0 * gain - 1.0, dtype=torch.float64)
    expected = gain * float(sw.surrogate.Arctan().derivative(excess))
    np.testing.assert_allclose(x.grad[0, 0], [0.0, expected, 0.0], rtol=1e-6)  # type: ignore[index]


def test_learned_weights_before_it_get_a_gradient_over_time() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(sw.Linear(6, 5), sw.WinnerTakeAll(lif()), sw.Linear(5, 2), sw.LI(), dt=DT)
    net(10 * torch.rand(20, 2, 6))[0].sum().backward()
    weight = net.layers["0_linear"].weight
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
    assert weight.grad.any()


def complaint(error: type[Exception], *given: object, **options: object) -> str:
    with pytest.raises(error) as caught:
        sw.WinnerTakeAll(*given, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_what_cannot_compete_is_refused_by_name() -> None:
    assert "got Linear" in complaint(NetworkError, sw.Linear(3, 3))
    assert "got Recurrent" in complaint(NetworkError, sw.Recurrent(sw.LIF()))
    assert "neurons that spike, got LI " in complaint(ParameterError, sw.LI())
    assert "with a membrane v, got Threshold" in complaint(ParameterError, sw.Threshold())
    assert "without noise, got LIF" in complaint(ParameterError, lif(noise=0.1))
    several = lif(firing=sw.Firing(reset="subtract", max_spikes=3))
    assert "fire once a step at most" in complaint(ParameterError, several)
    assert "whole number from 1, got 0" in complaint(ParameterError, lif(), winners=0)
    assert "seconds from 0, got -1" in complaint(ParameterError, lif(), clamp=-1)
    assert "must be finite" in complaint(ParameterError, lif(), v_inhibited=float("nan"))
    with pytest.raises(ParameterError, match="at least one dt"):
        layer(lif(), 3, clamp=DT / 4)
    with pytest.raises(ParameterError, match="got shape"):
        layer(lif(), 3, v_inhibited=torch.zeros(2))
    with pytest.raises(NetworkError, match="dt must be bound"):
        sw.WinnerTakeAll(lif())(torch.zeros(1, 1, 3))


def test_a_state_of_another_batch_is_refused() -> None:
    cells = layer(lif(), 3)
    _, state = cells(torch.zeros(2, 4, 3))
    with pytest.raises(ShapeError, match="for 5 samples"):
        cells(torch.zeros(2, 5, 3), state)
    with pytest.raises(ShapeError, match="got LIFState"):
        cells(torch.zeros(2, 4, 3), state.neuron)
    with pytest.raises(ParameterError, match="fields of the state, got 'i'"):
        cells.run(torch.zeros(2, 4, 3), record=("i",))


def test_targets_and_exchange_formats_refuse_it_by_name() -> None:
    net = sw.Sequential({"in": sw.Linear(4, 3), "out": sw.WinnerTakeAll(lif())}, dt=DT)
    net.build((4,))
    sample: Tensor = torch.zeros(3, 1, 4)
    with pytest.raises((CompileError, BackendError), match="WinnerTakeAll"):
        sw.compile(net, "brainscales2", calibration=sample)
    with pytest.raises(ExchangeError, match="WinnerTakeAll"):
        sw.to_nir(net)
