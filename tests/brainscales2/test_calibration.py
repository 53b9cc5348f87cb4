"""Calibration measures a chip from outside; the twin's truth says whether it was right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from brainscales2.setups import Link, Twin
from spikewright.errors import DeviceError, ParameterError
from spikewright.targets.brainscales2.calibration import calibrate, measure_scales, nominal
from spikewright.targets.brainscales2.calibration.fit import fit_shape
from spikewright.targets.brainscales2.calibration.synapses import peak, response
from spikewright.targets.brainscales2.chip import CIRCUITS, Configuration, Observations, Stimulus
from spikewright.targets.brainscales2.settings import Settings, Wanted, same_for_all

DEAD: dict[int, Any] = {7: "silent", 300: "stuck"}
ALIVE = ~np.isin(np.arange(CIRCUITS), list(DEAD))
TIMES = ("tau_mem", "tau_syn_exc", "tau_syn_inh")


class OnlyRun:
    """A chip of which nothing but `Chip` can be used."""

    def __init__(self, twin: Twin) -> None:
        self._run, self._identity, self.runs = twin.run, twin.identity, 0

    def identity(self) -> dict[str, Any]:
        return self._identity()

    def run(self, configuration: Configuration, stimulus: Stimulus) -> Observations:
        self.runs += 1
        return self._run(configuration, stimulus)


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(seed=5, dead=DEAD)


@pytest.fixture(scope="module")
def wanted() -> Wanted:
    return same_for_all(refractory=5e-6)


@pytest.fixture(scope="module")
def settings(twin: Twin, wanted: Wanted) -> Settings:
    return calibrate(OnlyRun(twin), wanted)


def errors(twin: Twin, settings: Settings, wanted: Wanted, name: str) -> np.ndarray[Any, Any]:
    """Truth less what is wanted: of potentials in LSB, of others as a share; living circuits."""
    asked = getattr(wanted, name)
    away = twin.truth.seen(settings.codes)[name] - asked
    return (away if name.startswith("v_") else away / asked)[ALIVE]


@pytest.mark.parametrize("name", [*TIMES, "v_threshold", "v_leak", "v_reset"])
def test_calibration_cuts_the_spread_of_times_and_potentials_at_least_five_times(
    name: str, twin: Twin, settings: Settings, wanted: Wanted
) -> None:
    before = errors(twin, nominal(wanted), wanted, name)
    after = errors(twin, settings, wanted, name)
    assert before.std() > (4 if name.startswith("v_") else 0.08)
    assert after.std() < before.std() / 5
    assert abs(after.mean()) < (0.5 if name.startswith("v_") else 0.01)


@pytest.mark.parametrize("name", ["gain_exc", "gain_inh"])
def test_calibration_evens_out_the_gains(
    name: str, twin: Twin, settings: Settings, wanted: Wanted
) -> None:
    before = errors(twin, nominal(wanted), wanted, name)
    after = errors(twin, settings, wanted, name)
    assert after.std() < before.std() / 5
    assert abs(after.mean()) < 0.01


def test_refractory_periods_come_within_an_internal_step(
    twin: Twin, settings: Settings, wanted: Wanted
) -> None:
    after = errors(twin, settings, wanted, "refractory") * 5e-6
    assert np.abs(after).max() < twin.dt
    assert abs(after.mean()) < 0.1 * twin.dt


def test_measured_values_are_near_the_truth(twin: Twin, settings: Settings) -> None:
    truth = twin.truth.seen(settings.codes)
    assert set(settings.measured) == set(settings.codes)
    for name, measured in settings.measured.items():
        away = (measured - truth[name])[ALIVE]
        limit = 0.5 if name.startswith("v_") else 0.1 if name == "refractory" else 0.02
        away = away if name.startswith("v_") else away / truth[name][ALIVE].mean()
        assert away.std() < limit, name


def test_circuits_that_do_not_work_are_named_with_the_reason(settings: Settings) -> None:
    assert settings.dead == {
        300: "its membrane does not follow its leak",
        7: "it does not fire with a leak above its threshold",
    }
    for codes in settings.codes.values():
        assert codes.dtype == np.int16
        assert codes.min() >= 0
        assert codes.max() <= 1022


@pytest.mark.slow
def test_a_link_that_carries_little_is_enough() -> None:
    narrow = Twin(seed=9, link=Link(rate_out=40))
    wanted = same_for_all()
    settings = calibrate(narrow, wanted)
    assert settings.dead == {}
    before = narrow.truth.seen(nominal(wanted).codes)["v_threshold"].std()
    assert narrow.truth.seen(settings.codes)["v_threshold"].std() < before / 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"noise": 0.0}, {"noise": 2.0}, {"mismatch": 0.2}], ids=["no noise", "2", "20 %"]
)
def test_other_noise_and_mismatch_leave_less_than_a_third_of_the_spread(
    options: dict[str, float],
) -> None:
    twin, wanted = Twin(seed=9, **options), same_for_all()
    settings = calibrate(twin, wanted)
    assert settings.dead == {}
    for name in (*TIMES, "v_threshold"):
        before = errors(twin, nominal(wanted), wanted, name).std()
        assert errors(twin, settings, wanted, name).std() < before / 3, name


@pytest.mark.slow
def test_layers_with_different_wishes_are_calibrated_side_by_side() -> None:
    wanted, second = same_for_all(), np.arange(CIRCUITS) >= 256
    other = {"tau_mem": 20e-6, "tau_syn_exc": 3e-6, "gain_exc": 1.6, "v_threshold": 200.0}
    wanted = replace(
        wanted, **{n: np.where(second, value, getattr(wanted, n)) for n, value in other.items()}
    )
    twin = Twin(seed=6)
    settings = calibrate(twin, wanted)
    for half in (second, ~second):
        for name in (*TIMES, "gain_exc", "gain_inh", "v_threshold"):
            asked = getattr(wanted, name)
            away = twin.truth.seen(settings.codes)[name] - asked
            spread = (away if name.startswith("v_") else away / asked)[half].std()
            assert spread < (1.0 if name.startswith("v_") else 0.02), name


def test_progress_names_each_quantity_and_ends_at_one() -> None:
    told: list[tuple[str, float]] = []
    calibrate(
        Twin(), same_for_all(), rounds=0, progress=lambda what, share: told.append((what, share))
    )
    assert [what for what, _ in told][1:4] == ["v_leak", "v_reset", "tau_mem"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_without_rounds_the_nominal_codes_are_only_measured() -> None:
    twin, wanted = Twin(seed=3), same_for_all()
    settings, start = calibrate(twin, wanted, rounds=0), nominal(wanted)
    for name, codes in start.codes.items():
        assert np.array_equal(settings.codes[name], codes)
    assert np.corrcoef(settings.measured["tau_mem"], twin.truth.seen(start.codes)["tau_mem"])[
        0, 1
    ] == pytest.approx(1, abs=0.01)


def test_a_chip_that_fails_ends_the_calibration() -> None:
    class Broken(Twin):
        def run(self, configuration: Configuration, stimulus: Stimulus) -> Observations:
            raise DeviceError("the cable is out")

    with pytest.raises(DeviceError, match="the cable is out"):
        calibrate(Broken(), same_for_all())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tau_mem": 1.0}, "tau_mem must lie from 8e-07 to 0.0004 s, got 1 for circuit 0"),
        ({"gain_exc": 9.0}, "gain_exc must lie from 0 to 4 LSB, got 9 for circuit 0"),
        ({"v_leak": float("nan")}, "v_leak must lie from -20 to 286.6 LSB, got nan for circuit 0"),
    ],
)
def test_what_no_code_reaches_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        nominal(same_for_all(**change))
    assert f"brainscales2.Wanted: {message}" in str(caught.value)


def test_wishes_of_another_shape_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"v_reset must be one value for each of 512.*\(\)"):
        nominal(replace(same_for_all(), v_reset=np.float64(3)))


def test_measured_scales_are_those_of_the_chip(
    twin: Twin, settings: Settings, wanted: Wanted
) -> None:
    scales, truth = measure_scales(twin, settings), twin.truth.seen(settings.codes)
    distance = truth["v_threshold"] - truth["v_leak"]
    gain = (truth["gain_exc"] + truth["gain_inh"]) / 2
    ratio = (scales.weight_scale / (distance / gain))[ALIVE]
    assert abs(ratio.mean() - 1) < 0.02
    assert ratio.std() < 0.02
    assert (scales.trace_scale * distance)[ALIVE].std() < 0.02
    half = measure_scales(twin, settings, v_threshold=2.0, v_leak=1.0, r=0.5)
    assert np.median(half.weight_scale / scales.weight_scale) == pytest.approx(0.5, rel=0.01)


def test_fits_find_time_constants_among_outliers_and_gaps() -> None:
    random = np.random.default_rng(0)
    tau = random.uniform(4e-6, 9e-6, 40)
    x = random.uniform(0, 40e-6, (300, 40))
    clean = 60 + 80 * np.exp(-x / tau)
    y = clean + random.normal(0, 0.5, x.shape)
    y[random.random(x.shape) < 0.03] = 250.0
    y[random.random(x.shape) < 0.2] = np.nan
    x[:, 39] = np.nan
    fit = fit_shape(lambda s, t: np.exp(-s / t), x, y, np.full(40, 6e-6))
    assert np.abs(fit.tau / tau - 1)[:39].max() < 0.02
    assert np.abs(fit.base - 60)[:39].max() < 1
    assert np.abs(fit.height - 80)[:39].max() < 2
    assert np.isnan(fit.tau[39])
    assert np.isfinite(fit.tau[:39]).all()


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1 + 1e-9, 4.0])
def test_the_response_solves_its_differential_equation(ratio: float) -> None:
    tau_mem, tau_syn = np.array([6e-6]), np.array([6e-6 * ratio])
    s = np.linspace(0, 60e-6, 60001)[:, None]
    v, i = response(s, tau_mem, tau_syn), np.exp(-s / tau_syn)
    slope = np.gradient(v[:, 0], s[:, 0])
    np.testing.assert_allclose(slope[1:-1], ((i - v) / tau_mem)[1:-1, 0], atol=20)
    assert peak(tau_mem, tau_syn) == pytest.approx(v.max(), rel=1e-3)
