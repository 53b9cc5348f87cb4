"""Membranes of the twin against closed forms and an independent integration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from brainscales2.setups import QUIET, Converter, Twin, configure, events, spikes_of, values

FINE = Converter(period=0.5e-6)


def response(t: np.ndarray, tau_mem: float, tau_syn: float) -> np.ndarray:
    """A membrane after a unit of synaptic current at time 0: difference of exponentials."""
    t = np.maximum(t, 0)
    if np.isclose(tau_mem, tau_syn):
        return t / tau_mem * np.exp(-t / tau_mem)
    factor = tau_syn / (tau_mem - tau_syn)
    return factor * (np.exp(-t / tau_mem) - np.exp(-t / tau_syn))


@pytest.mark.parametrize("taus", [(6e-6, 6e-6), (10e-6, 5e-6), (20e-6, 3e-6)], ids=str)
@pytest.mark.parametrize("late", [0.0, 0.23e-6], ids=["on the grid", "between steps"])
@pytest.mark.parametrize("sign", [1, -1])
def test_membrane_after_one_spike_equals_the_closed_form_to_one_percent(
    taus: tuple[float, float], late: float, sign: int
) -> None:
    kind = "exc" if sign > 0 else "inh"
    gain = 130 / (360 * response(np.linspace(0, 40e-6, 999), *taus).max())
    wanted = {"tau_mem": taus[0], f"tau_syn_{kind}": taus[1], f"gain_{kind}": gain}
    rest = {"v_leak": 60.0 if sign > 0 else 200.0, "v_threshold": 280.0}
    rows = [(row, sign, 5, {300: 60}) for row in range(6)]
    c = configure(rows, sampled=[300], **wanted, **rest)
    twin, start = Twin(**QUIET, converter=FINE), 10e-6 + late
    observed = twin.run(c, events([(start, 5)], seconds=80e-6))
    v = {name: value[300] for name, value in values(twin, c).items()}
    rise = (
        360
        * v[f"gain_{kind}"]
        * response(observed.membrane_time - start, v["tau_mem"], v[f"tau_syn_{kind}"])
    )
    found = observed.membrane[:, 0, 0] - v["v_leak"]
    apart = np.abs(found - sign * rise)[np.abs(observed.membrane_time - start) > 0.5e-6]
    assert 120 < rise.max() < 140
    assert apart.max() < 0.01 * rise.max() + 0.1


def test_without_input_membranes_stay_at_their_leak() -> None:
    c = configure(sampled=range(512), v_leak=91.0)
    twin = Twin(seed=3, noise=0.0)
    observed = twin.run(c, events([], []))
    expected = np.rint(values(twin, c)["v_leak"])
    assert (observed.membrane == expected).all()
    assert len(np.unique(expected)) > 10


def test_without_leak_a_membrane_integrates() -> None:
    c = configure(
        [(0, 1, 1, {0: 63})],
        sampled=[0],
        switches={"leak": False, "firing": False},
        gain_exc=2.0,
    )
    twin = Twin(**QUIET)
    observed = twin.run(c, events([(5e-6, 1), (60e-6, 1)], seconds=120e-6))
    v = {name: value[0] for name, value in values(twin, c).items()}
    height = 63 * v["gain_exc"] * v["tau_syn_exc"] / v["tau_mem"]
    before = observed.membrane[np.searchsorted(observed.membrane_time, 58e-6), 0, 0]
    assert 10 < height < 200
    assert observed.membrane[0, 0, 0] == round(v["v_leak"])
    assert abs(before - v["v_leak"] - height * (1 - np.exp(-53 / 6))) < 1
    assert observed.membrane[-1, 0, 0] == 255


@pytest.mark.parametrize("leak", [150.0, 180.0, 230.0])
@pytest.mark.parametrize("refractory", [0.0, 2e-6, 5e-6])
def test_rate_above_threshold_equals_that_of_leaky_integrate_and_fire(
    leak: float, refractory: float
) -> None:
    c = configure(addresses={7: 1}, v_leak=leak, tau_mem=20e-6, refractory=refractory)
    twin = Twin(**QUIET, dt=0.05e-6)
    observed = twin.run(c, events([], seconds=400e-6))
    v = {name: value[7] for name, value in values(twin, c).items()}
    distance = (v["v_leak"] - v["v_reset"]) / (v["v_leak"] - v["v_threshold"])
    expected = v["refractory"] + v["tau_mem"] * np.log(distance)
    gaps = np.diff(spikes_of(observed, 7))
    assert len(gaps) > 8
    assert np.abs(gaps - expected).max() < 2 * twin.dt


def test_membrane_is_held_at_the_reset_for_the_refractory_period() -> None:
    c = configure(
        addresses={7: 1}, sampled=[7], v_leak=200.0, v_reset=40.0, refractory=20e-6, tau_mem=5e-6
    )
    twin = Twin(**QUIET)
    observed = twin.run(c, events([], seconds=100e-6))
    v = {name: value[7] for name, value in values(twin, c).items()}
    spikes = spikes_of(observed, 7)
    since = observed.membrane_time - spikes[1]
    held = (since > 0) & (since < v["refractory"] - twin.dt)
    assert held.sum() >= 10
    assert (observed.membrane[held, 0, 0] == round(v["v_reset"])).all()
    free = (since > v["refractory"] + twin.dt) & (since < v["refractory"] + 3e-6)
    assert (observed.membrane[free, 0, 0] > v["v_reset"] + 10).all()


ADAPTIVE = {
    "v_exponential": 120.0, "slope": 6.0, "a": 0.2, "b": 12.0, "tau_adapt": 100e-6,
}  # fmt: skip


def adaptive_trace(v: dict[str, float], seconds: float) -> tuple[list[float], list[float]]:
    """Spike times of AdEx by SciPy, float64, event by event, and the membrane 5 µs after each."""

    def slope_of(t: float, y: np.ndarray) -> list[float]:
        upswing = v["slope"] * np.exp((y[0] - v["v_exponential"]) / v["slope"])
        rise = (v["v_leak"] - y[0] + upswing - y[1]) / v["tau_mem"]
        return [rise, (v["a"] * (y[0] - v["v_leak"]) - y[1]) / v["tau_adapt"]]

    def crossing(t: float, y: np.ndarray) -> float:
        return y[0] - v["v_threshold"]

    crossing.terminal = True  # type: ignore[attr-defined]
    times, later, start, state = [], [], 0.0, [v["v_leak"], 0.0]
    while start < seconds:
        found = solve_ivp(
            slope_of, (start, seconds), state, events=crossing, rtol=1e-9, atol=1e-9, max_step=1e-6,
            dense_output=True,
        )  # fmt: skip
        if times and start + 5e-6 < found.t[-1]:
            later.append(float(found.sol(start + 5e-6)[0]))
        if not len(found.t_events[0]):
            break
        start = float(found.t_events[0][0])
        times.append(start)
        state = [v["v_reset"], found.y_events[0][0][1] + v["b"]]
    return times, later


def test_adaptive_exponential_circuit_equals_an_independent_integration() -> None:
    c = configure(
        addresses={2: 1}, fast=2, tau_mem=10e-6, v_leak=135.0, v_threshold=160.0, v_reset=70.0,
        switches={"exponential": True, "subthreshold": True, "triggered": True}, **ADAPTIVE,
    )  # fmt: skip
    twin, seconds = Twin(**QUIET, dt=0.02e-6), 400e-6
    observed = twin.run(c, events([], seconds=seconds))
    v = {name: float(value[2]) for name, value in values(twin, c).items()}
    times, later = adaptive_trace(v, seconds)
    found = spikes_of(observed, 2)
    assert len(times) == len(found) >= 4
    assert np.diff(times)[-1] > 1.3 * np.diff(times)[0]  # it adapts
    assert np.abs(np.array(times) - found).max() < 0.01 * times[-1]
    for time, level in zip(found, later, strict=False):
        shown = observed.fast[np.searchsorted(observed.fast_time, time + 5e-6), 0]
        assert abs(float(shown) - level) < 2


def test_terms_that_are_off_in_a_circuit_do_not_act_on_it() -> None:
    c = configure(addresses={2: 1, 3: 2}, sampled=[2, 3], v_leak=150.0, tau_mem=10e-6, **ADAPTIVE)
    plain = Twin(**QUIET).run(c, events([], seconds=200e-6))
    some = np.arange(512) == 2
    c.switches.update(exponential=some, subthreshold=some, triggered=some)
    mixed = Twin(**QUIET).run(c, events([], seconds=200e-6))
    assert np.array_equal(spikes_of(mixed, 3), spikes_of(plain, 3))
    assert np.array_equal(mixed.membrane[:, :, 1], plain.membrane[:, :, 1])
    assert len(spikes_of(mixed, 2)) < len(spikes_of(plain, 2))


def test_an_exponential_term_without_slope_leaves_no_gap_in_the_membrane() -> None:
    c = configure(
        addresses={2: 1}, sampled=[2], v_leak=150.0, switches={"exponential": True},
        **(ADAPTIVE | {"slope": 0.0, "v_exponential": 100.0}),
    )  # fmt: skip
    observed = Twin(**QUIET).run(c, events([]))
    assert len(spikes_of(observed, 2)) > 5
    assert (observed.membrane[1:] < 160).all()


def test_circuits_without_firing_pass_their_threshold_in_silence() -> None:
    c = configure(addresses={2: 1}, sampled=[2], v_leak=200.0, switches={"firing": False})
    observed = Twin(**QUIET).run(c, events([]))
    assert len(observed.spike_time) == 0
    assert (observed.membrane == 200).all()


@pytest.mark.parametrize("tau", [4e-6, 30e-6])
def test_noise_of_a_resting_membrane_is_one_lsb_and_as_slow_as_the_membrane(tau: float) -> None:
    exact = Converter(period=0.5e-6, noise=0.0)
    c = configure(sampled=range(64), tau_mem=tau, v_leak=128.0, switches={"firing": False})
    twin = Twin(mismatch=0.0, converter=exact)
    observed = twin.run(c, events(*[[]] * 20, seconds=400e-6))
    v = observed.membrane[200:].astype(float) - values(twin, c)["v_leak"][0]
    assert abs(v.mean()) < 0.05
    assert abs(np.sqrt((v**2).mean() - 1 / 12) - 1) < 0.05  # less the rounding to whole LSB
    lag = round(tau / 0.5e-6)
    assert abs((v[lag:] * v[:-lag]).mean() / ((v**2).mean() - 1 / 12) - np.exp(-1)) < 0.05
