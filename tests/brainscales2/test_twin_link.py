"""What converters and link do to what happens on the chip."""

from __future__ import annotations

import numpy as np
import pytest

from brainscales2.setups import QUIET, Converter, Link, Twin, configure, events, spikes_of
from spikewright.errors import ParameterError
from spikewright.targets.brainscales2.twin.converter import MOST_LEVEL


def test_the_parallel_converter_samples_at_its_period() -> None:
    c = configure(sampled=[0, 300])
    times = Twin(**QUIET).run(c, events([], seconds=38e-6)).membrane_time
    np.testing.assert_allclose(times, 1.7e-6 * np.arange(23))
    coarse = Twin(**QUIET, converter=Converter(period=6e-6)).run(c, events([], seconds=38e-6))
    np.testing.assert_allclose(coarse.membrane_time, 6e-6 * np.arange(7))
    assert coarse.membrane.shape == (7, 1, 2)


def test_samples_saturate_at_both_ends_of_eight_bits() -> None:
    rows = [(row, sign, address, {circuit: 63})
            for circuit, (first, sign, address) in enumerate([(0, 1, 1), (20, -1, 1)])
            for row in range(first, first + 8)]  # fmt: skip
    c = configure(rows, sampled=[0, 1], gain_exc=3.0, gain_inh=3.0, switches={"firing": False})
    shown = Twin(**QUIET).run(c, events([(2e-6, 1)])).membrane[:, 0]
    assert shown.dtype == np.uint8
    assert shown[:, 0].max() == MOST_LEVEL
    assert shown[:, 1].min() == 0
    assert np.abs(shown[-1].astype(int) - 80).max() <= 1


def test_the_fast_converter_shows_the_same_membrane_more_often() -> None:
    c = configure([(0, 1, 1, {7: 60})], sampled=[7], fast=7, gain_exc=2.0)
    converter = Converter(period=1.7e-6, fast_period=0.1e-6)
    observed = Twin(**QUIET, converter=converter).run(c, events([(2e-6, 1)]))
    assert len(observed.fast_time) == 601
    both = observed.fast[::17][: len(observed.membrane)]
    assert np.array_equal(both, observed.membrane[:, :, 0])
    assert observed.fast.max() > 100


def test_the_converter_has_noise_of_its_own() -> None:
    c = configure(sampled=range(128), v_leak=128.0)
    c.codes["v_leak"][:] += np.arange(512) % 7  # so that rounding is met at all its places
    still = Twin(mismatch=0.0, noise=1e-9).run(c, events(*[[]] * 30))
    noisy = Twin(mismatch=0.0, noise=1e-9, converter=Converter(noise=2e9)).run(
        c, events(*[[]] * 30)
    )
    spread = (noisy.membrane.astype(float) - still.membrane).std()
    assert spread == pytest.approx(np.hypot(2, np.sqrt(1 / 12)), rel=0.03)


def firing(circuits: int) -> dict[str, object]:
    """Circuits that fire together every ten microseconds."""
    return {"addresses": {n: n for n in range(circuits)}, "v_leak": 200.0, "refractory": 10e-6}


def test_recorded_times_are_spread_by_the_jitter() -> None:
    c = configure(**firing(200))
    exact = Twin(**QUIET).run(c, events([], []))
    blurred = Twin(mismatch=0.0, noise=1e-6, link=Link(jitter=0.2)).run(c, events([], []))
    order = [np.lexsort((o.spike_time, o.spike_circuit, o.spike_sample)) for o in (exact, blurred)]
    away = blurred.spike_time[order[1]] - exact.spike_time[order[0]]
    assert len(away) > 1500
    assert abs(away.mean()) < 0.02e-6
    assert away.std() == pytest.approx(0.2e-6, rel=0.1)
    assert len(np.unique(away)) > 700
    assert abs(np.corrcoef(away[: len(away) // 2], away[len(away) // 2 :])[0, 1]) < 0.1
    assert (np.diff(blurred.spike_time)[np.diff(blurred.spike_sample) == 0] >= 0).all()


def test_events_on_their_way_in_are_spread_by_the_jitter() -> None:
    c = configure([(0, 1, 9, {0: 60})], sampled=[0], gain_exc=3.0, v_threshold=280.0)
    stimulus = events(*[[(20e-6, 9)]] * 60)
    onsets = []
    for jitter in (0.0, 1.0):
        twin = Twin(mismatch=0.0, noise=1e-6, link=Link(jitter=jitter), dt=0.1e-6)
        onsets.append((twin.run(c, stimulus).membrane[:, :, 0] > 81).argmax(0) * 1.7e-6)
    assert len(set(onsets[0])) == 1
    assert 0.7e-6 < onsets[1].std() < 1.5e-6
    assert abs(onsets[1].mean() - onsets[0].mean()) < 1e-6


def test_spikes_above_the_rate_are_lost_and_counted() -> None:
    c = configure(**firing(200))
    whole = Twin(**QUIET).run(c, events([], []))
    assert whole.lost == (0, 0)
    cut = Twin(**QUIET, link=Link(rate_out=60)).run(c, events([], []))
    assert cut.lost[1] == len(whole.spike_time) - len(cut.spike_time) > 0
    windows = np.floor(cut.spike_time / 1e-6) + 1000 * cut.spike_sample
    assert np.unique(windows, return_counts=True)[1].max() == 60
    assert set(zip(cut.spike_time, cut.spike_circuit, strict=True)) <= set(
        zip(whole.spike_time, whole.spike_circuit, strict=True)
    )


def test_events_above_the_rate_do_not_arrive() -> None:
    c = configure([(0, 1, 1, {0: 2})], sampled=[0], gain_exc=3.0, switches={"firing": False})
    burst = [(1e-6 + n * 1e-9, 1) for n in range(40)]
    all_of_it = Twin(**QUIET).run(c, events(burst))
    half = Twin(**QUIET, link=Link(rate_in=20)).run(c, events(burst))
    assert all_of_it.lost == (0, 0)
    assert half.lost == (20, 0)
    rise = [float(o.membrane.max()) - 80 for o in (all_of_it, half)]
    assert rise[1] == pytest.approx(rise[0] / 2, abs=1)


def test_spikes_come_by_sample_and_time_and_only_from_circuits_with_an_address() -> None:
    c = configure(addresses={3: 1, 400: 2}, sampled=[3, 4, 400], v_leak=200.0)
    observed = Twin(seed=4).run(c, events([], [], []))
    assert set(observed.spike_circuit) == {3, 400}
    assert (np.diff(observed.spike_sample) >= 0).all()
    assert len(spikes_of(observed, 3, 2)) > 3
    assert observed.spike_time.max() <= 60e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Link(rate_in=0), "brainscales2.Link: rate_in must be at least 1, got 0"),
        (lambda: Link(jitter=-1e-9), "brainscales2.Link: jitter must be at least 0, got -1e-09"),
        (lambda: Link(latency=float("nan")), "latency must be at least 0, got nan"),
        (lambda: Converter(period=0), "brainscales2.Converter: period must be positive, got 0"),
        (lambda: Converter(noise=-1), "brainscales2.Converter: noise must be positive, got -1"),
        (lambda: Twin(mismatch=-0.1), "brainscales2.Twin: mismatch must be from 0 to 1, got -0.1"),
        (lambda: Twin(noise=float("inf")), "brainscales2.Twin: noise must be zero or positive"),
        (lambda: Twin(dt=0.0), "brainscales2.Twin: dt must be from 10 ns to 10 µs, got 0.0"),
        (lambda: Twin(dead={512: "silent"}), "dead must be circuits below 512"),
        (lambda: Twin(dead={1: "tired"}), "dead must be 'silent' or 'stuck' each"),
    ],
)
def test_options_outside_their_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value)
