"""Networks run in events: against the engine on a fine grid, and what cannot run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import event_networks as nets
import spikewright as sw
from spikewright.errors import EventError, NetworkError, ParameterError, ShapeError
from spikewright.events import Limits, requirements, simulate

DT = 2e-6
NETWORKS = {
    "dense": (nets.dense, (6,)),
    "convolved": (nets.convolved, (1, 6, 6)),
    "delayed": (nets.delayed, (6,)),
    "recurrent": (nets.recurrent, (6,)),
    "skipping": (nets.skipping, (6,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_are_those_of_the_engine_on_a_fine_grid(name: str) -> None:
    make, shape = NETWORKS[name]
    network, spikes = make(DT), nets.random_spikes(shape, 60, step=DT)
    exact = simulate(network, spikes)
    with torch.no_grad():
        records = network.run(spikes).records
    for layer, fired in exact.fired.items():
        grid = sw.SpikeTimes.from_raster(records[layer]["spikes"], DT)
        assert len(fired.spikes) > 5
        assert torch.equal(fired.counts, grid.counts())
        # Each spike on the grid resets up to a step late, and that adds up: 150 steps, not 1.
        assert _of_each(fired.spikes) == pytest.approx(_of_each(grid), abs=150 * DT)
    first = next(iter(exact.fired))
    grid = sw.SpikeTimes.from_raster(records[first]["spikes"], DT)
    if name != "recurrent":
        earliest = exact.fired[first].spikes.first().flatten()
        late = earliest - grid.first().flatten()
        assert bool(((late > -0.01 * DT) & (late < 1.01 * DT))[earliest.isfinite()].all())


def _of_each(spikes: sw.SpikeTimes) -> list[float]:
    """The times, sample by sample and unit by unit."""
    lists = zip(spikes.samples.tolist(), spikes.units.tolist(), spikes.times.tolist(), strict=True)
    return [time for _, _, time in sorted(lists)]


def one(weight: float, **options: float) -> sw.Network:
    network = sw.Sequential(sw.Linear(1, 1, bias=False), nets.neurons(**options), dt=1e-3).double()
    network.layers["0_linear"].weight.data.fill_(weight)  # type: ignore[union-attr, operator]
    return network


def at(*times: float) -> sw.SpikeTimes:
    zeros = torch.zeros(len(times), dtype=torch.int64)
    given = torch.tensor(times, dtype=torch.float64)
    return sw.SpikeTimes.sort(given, zeros, zeros, (1, (1,), nets.DURATION))


def test_rest_resistance_and_reset_shift_and_scale_the_membrane() -> None:
    plain = simulate(one(8.0), at(1e-3, 2e-3)).output
    options = {"v_leak": -2.0, "v_reset": -2.0, "v_threshold": 0.0, "r": 2.0}
    shifted = simulate(one(4.0, **options), at(1e-3, 2e-3))
    # u = v - v_leak has the threshold 2 and twice the current of one that has the threshold 1.
    scaled = simulate(one(4.0), at(1e-3, 2e-3)).output
    assert isinstance(plain, sw.SpikeTimes)
    assert isinstance(scaled, sw.SpikeTimes)
    assert isinstance(shifted.output, sw.SpikeTimes)
    torch.testing.assert_close(shifted.output.times, scaled.times, rtol=1e-6, atol=0)
    assert len(plain) > len(scaled) > 0


def test_subtracting_the_threshold_is_a_reset_to_zero_of_the_potential() -> None:
    subtract = nets.neurons(v_reset=-5.0, firing=sw.Firing(reset="subtract"))
    network = sw.Sequential(sw.Linear(1, 1, bias=False), subtract, dt=1e-3).double()
    network.layers["0_linear"].weight.data.fill_(9.0)  # type: ignore[union-attr, operator]
    expected = simulate(one(9.0, v_reset=0.0), at(1e-3)).output
    found = simulate(network, at(1e-3)).output
    assert isinstance(found, sw.SpikeTimes)
    assert isinstance(expected, sw.SpikeTimes)
    assert len(found) > 1
    assert found.times.tolist() == expected.times.tolist()


def test_limits_hold_for_the_layers_they_name() -> None:
    network, spikes = nets.dense(DT), nets.random_spikes((6,), 60)
    run = simulate(network, spikes, {"1_cubalif": Limits(spikes=1)})
    assert float(run.fired["1_cubalif"].counts.detach().max()) == 1
    assert run.fired["1_cubalif"].truncated > 0
    with pytest.raises(ParameterError, match=r"limits must be Limits by.*Did you mean '1_cubalif'"):
        simulate(network, spikes, {"1_cubali": Limits()})


def test_a_neuron_that_fires_without_end_is_an_error() -> None:
    with pytest.raises(EventError, match="must spike fewer than 3 times"):
        simulate(one(30.0), at(1e-3), Limits(bound=3))


def test_a_trial_without_spikes_is_silent() -> None:
    run = simulate(nets.recurrent(DT), nets.random_spikes((6,), 0))
    assert isinstance(run.output, sw.SpikeTimes)
    assert len(run.output) == 0
    assert run.fired["1_recurrent"].counts.shape == (2, 8)
    assert not run.fired["1_recurrent"].last.any()


def readout(**options: float) -> sw.Network:
    readout = sw.CubaLI(tau_mem=5e-3, tau_syn=2e-3, **options)
    layers = (sw.Linear(6, 8, bias=False), nets.neurons(), sw.Linear(8, 3, bias=False), readout)
    return nets.with_weights(sw.Sequential(*layers, dt=DT), -0.4, 1.4)


class Falling:
    """e^(-t / T)."""

    shared, rate = True, 1 / nets.DURATION

    def __call__(self, times: torch.Tensor, samples: torch.Tensor | None) -> torch.Tensor:
        return torch.exp(-times / nets.DURATION)


def test_the_membrane_of_a_readout_is_that_of_the_engine_on_a_fine_grid() -> None:
    network, spikes = readout(v_leak=0.3, r=0.5), nets.random_spikes((6,), 60, step=DT)
    with torch.no_grad():
        membrane = simulate(network, spikes).output
        v = network.run(spikes).output
    assert isinstance(membrane, sw.events.Membrane)
    weight = Falling()(torch.arange(1, len(v) + 1) * DT, None)[:, None, None]
    close = {"rtol": 0, "atol": 1e-2}
    torch.testing.assert_close(membrane.integrate(Falling()), (weight * v).mean(0), **close)
    torch.testing.assert_close(membrane.peak(), v.amax(0), **close)
    samples = membrane.sample()
    owner = torch.arange(2).repeat_interleave(samples.offsets.diff())
    total = torch.zeros(2, 3, dtype=torch.float64)
    total = total.index_add(0, owner, samples.weights[:, None] * samples.values**2)
    torch.testing.assert_close(total / nets.DURATION, (v**2).mean(0), **close)


def refused(*layers: sw.Layer, shape: tuple[int, ...] = (4,)) -> str:
    (line,) = requirements(sw.Sequential(*layers, dt=1e-3, shape=shape))
    return line


LAST = nets.neurons


def linear(inputs: int = 4, outputs: int = 4) -> sw.Linear:
    return sw.Linear(inputs, outputs, bias=False)


REFUSED: dict[str, Callable[[], str]] = {
    "'0_linear': has a bias": lambda: refused(sw.Linear(4, 4), LAST()),
    "BatchNorm has no meaning": lambda: refused(linear(), sw.BatchNorm(), LAST()),
    "MaxPool2d has no meaning": lambda: refused(
        sw.MaxPool2d(2), sw.Flatten(), linear(), LAST(), shape=(1, 4, 4)
    ),
    "LIF has no solution": lambda: refused(linear(), sw.LIF(), linear(), LAST()),
    "order of update is 'held'": lambda: refused(linear(), LAST(order="held")),
    "has noise": lambda: refused(linear(), LAST(noise=0.1)),
    "is refractory": lambda: refused(linear(), LAST(refractory=2e-3)),
    "does not reset": lambda: refused(linear(), LAST(firing=sw.Firing(reset="none"))),
    "several spikes in a step": lambda: refused(
        linear(), LAST(firing=sw.Firing(reset="subtract", max_spikes=2))
    ),
    "weighs what was weighed": lambda: refused(linear(), linear(), LAST()),
    "Delay acts on spikes": lambda: refused(linear(), sw.Delay(1e-3), LAST()),
    "do not spike": lambda: refused(linear(), sw.CubaLI(), linear(), LAST()),
    "rounds its delays": lambda: refused(sw.Delay(1e-3, rounded=True), linear(), LAST()),
    "must be neurons": lambda: refused(linear(), LAST(), linear()),
    "feeds spikes back by Scale": lambda: refused(linear(), sw.Recurrent(LAST(), sw.Scale(0.5))),
    "count for different factors": lambda: refused(
        sw.Scale(torch.rand(1, 4, 4)),
        sw.SumPool2d(2),
        sw.Flatten(),
        linear(),
        LAST(),
        shape=(1, 4, 4),
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_layer_that_cannot_run_is_named_with_the_way_out(words: str) -> None:
    line = REFUSED[words]()
    assert line.startswith("layer '")
    assert words in line
    assert line.endswith(".")


def test_a_network_that_cannot_run_is_refused_with_all_its_lines() -> None:
    network = sw.Sequential(sw.Linear(1, 1), sw.LIF(), dt=1e-3)
    with pytest.raises(NetworkError, match=r"'0_linear': has a bias[^@]*'1_lif': LIF has no"):
        simulate(network, at(1e-3))


@pytest.mark.parametrize("option", [{"v_leak": 1.0}, {"v_reset": 1.5}])
def test_a_threshold_below_rest_or_reset_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="v_threshold of layer '1_cubalif' must be above"):
        simulate(one(1.0, **option), at(1e-3))


def test_spikes_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"features \(6,\) of the network's input, got \(5,\)"):
        simulate(nets.dense(DT), nets.random_spikes((5,), 4))


def test_an_open_network_takes_the_shape_of_its_first_spikes() -> None:
    layers = (sw.Conv2d(None, 2, 3, bias=False), nets.neurons())
    network = sw.Sequential(*layers, dt=1e-3)
    run = simulate(network, nets.random_spikes((1, 6, 6), 10))
    assert isinstance(run.output, sw.SpikeTimes)
    assert run.output.shape == (2, 4, 4)


def test_spikes_that_are_out_of_order_are_refused() -> None:
    network, spikes = nets.dense(1e-3), nets.random_spikes((6,), 10)
    mixed = replace(spikes, times=spikes.times.flip(0))
    with pytest.raises(ShapeError, match="times must not fall within a sample"):
        simulate(network, mixed)


def test_a_raster_is_refused_with_the_way_to_spikes() -> None:
    with pytest.raises(ShapeError, match=r"must be SpikeTimes, got a Tensor.*from_raster"):
        simulate(nets.dense(1e-3), torch.zeros(5, 2, 6))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_parameter_that_is_not_finite_is_named(value: float) -> None:
    network = nets.dense(1e-3)
    network.layers["0_linear"].weight.data[0, 0] = value
    with pytest.raises(ParameterError, match=r"must be finite.*'nodes\.0_linear\.weight'"):
        simulate(network, nets.random_spikes((6,), 10))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Limits(spikes=0), "spikes must be a whole number from 1, got 0"),
        (lambda: Limits(spikes=-1), "spikes must be a whole number from 1, got -1"),
        (lambda: Limits(spikes=1.5), "spikes must be a whole number from 1, got 1.5"),
        (lambda: Limits(bound=-1), "bound must be a whole number from 1, got -1"),
        (lambda: Limits(spikes=20, bound=20), "spikes must be fewer than bound, 20, got 20"),
    ],
)
def test_limits_are_whole_numbers_and_in_order(make: Callable[[], Limits], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        make()


@pytest.mark.parametrize("limits", [3, {"1_cubalif": 3}])
def test_limits_of_another_kind_are_refused(limits: Any) -> None:
    with pytest.raises(ParameterError, match="events: limits must be Limits"):
        simulate(nets.dense(1e-3), nets.random_spikes((6,), 10), limits)
