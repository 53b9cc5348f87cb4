"""Rows, columns, addresses, signs, and what the twin keeps between runs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from brainscales2.setups import QUIET, Link, Twin, configure, events, spikes_of, values
from spikewright.engine import threads as engine_threads
from spikewright.targets.brainscales2.chip import Configuration, Observations, Stimulus
from spikewright.targets.brainscales2.twin import written

HIT = events([(5e-6, 9)])
"""One event for the rows that listen to 9."""


def heights(configuration: Configuration, stimulus: Stimulus = HIT, **options: Any) -> np.ndarray:
    """How far each sampled membrane gets from where it starts, with its sign, LSB."""
    shown = Twin(**QUIET, **options).run(configuration, stimulus).membrane[:, 0].astype(float)
    moved = shown - shown[0]
    return moved[np.abs(moved).argmax(0), np.arange(moved.shape[1])]


def same(a: Observations, b: Observations) -> bool:
    names = ("spike_time", "spike_circuit", "spike_sample", "membrane", "membrane_time", "fast")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names) and a.lost == b.lost


def test_an_event_reaches_the_rows_that_listen_to_it_with_their_sign() -> None:
    rows = [
        (0, 1, 9, {0: 60}), (1, -1, 9, {1: 60}), (2, 1, 8, {2: 60}), (3, 0, 9, {3: 60}),
        (0, 1, 9, {256: 30}),
    ]  # fmt: skip
    sampled = [0, 1, 2, 3, 256]
    up, down, other, off, half = heights(
        configure(rows, sampled=sampled, v_leak=125.0, v_threshold=280.0, gain_exc=3, gain_inh=3)
    )
    assert up > 50
    assert abs(down + up) <= 1
    assert other == off == 0
    assert abs(half - up / 2) <= 1


def test_rows_with_the_same_address_add_up() -> None:
    rows = [(0, 1, 9, {0: 20, 1: 63}), (1, 1, 9, {0: 43}), (2, -1, 9, {2: 40}), (3, 1, 9, {2: 40})]
    one, two, none = heights(
        configure(rows, sampled=[0, 1, 2], v_threshold=280.0, gain_exc=3, gain_inh=3)
    )
    assert one == two > 50
    assert none == 0


def test_inhibition_has_time_constant_and_gain_of_its_own() -> None:
    rows = [(0, 1, 9, {0: 60}), (1, -1, 9, {1: 60})]
    c = configure(
        rows, sampled=[0, 1], v_leak=125.0, tau_syn_inh=12e-6, gain_inh=1.0, gain_exc=2.0,
        v_threshold=280.0,
    )  # fmt: skip
    twin = Twin(**QUIET)
    shown = twin.run(c, HIT).membrane[:, 0].astype(float) - 125
    v = values(twin, c)
    fast = 60 * v["gain_exc"][0] / np.e
    slow = -60 * v["gain_inh"][1] / 2  # the peak of two time constants in the ratio 2 is 1/2
    assert abs(shown[:, 0].max() - fast) < 0.02 * fast + 1
    assert abs(shown[:, 1].min() - slow) < 0.02 * -slow + 1


@pytest.mark.parametrize("latency", [0.0, 0.5e-6, 3e-6])
def test_spikes_reach_rows_on_the_chip_after_the_latency(latency: float) -> None:
    strong = {row: (row, 1, 9, {5: 63}) for row in range(12)}
    rows = [*strong.values(), (20, 1, 700, {300: 63})]
    c = configure(
        rows, addresses={5: 700}, sampled=[300], v_threshold=130.0, gain_exc=2.0, fast=300
    )
    twin = Twin(**QUIET, link=Link(latency=latency))
    observed = twin.run(c, HIT)
    fired = spikes_of(observed, 5)[0]
    started = observed.fast_time[np.flatnonzero(observed.fast[:, 0] > observed.fast[0, 0])[0]]
    stated = twin.identity()["link"]["latency"]
    assert stated == max(latency, twin.dt)
    assert stated <= started - fired < stated + 0.1e-6
    assert not np.isin(observed.spike_circuit, [300]).any()


def test_circuits_in_a_loop_keep_each_other_firing() -> None:
    rows = [(row, 1, 9, {0: 63}) for row in range(12)]
    rows += [(20 + row, 1, 1, {1: 63}) for row in range(12)]
    rows += [(40 + row, 1, 2, {0: 63}) for row in range(12)]
    c = configure(rows, addresses={0: 1, 1: 2}, refractory=2e-6, gain_exc=1.0)
    observed = Twin(**QUIET).run(c, HIT)
    first, second = spikes_of(observed, 0), spikes_of(observed, 1)
    assert len(first) > 5
    assert len(second) > 5
    silent = Twin(**QUIET).run(c, events([]))
    assert len(silent.spike_time) == 0


def busy(sampled: int = 40) -> Configuration:
    """Circuits that are driven and drive each other, on both blocks."""
    random = np.random.default_rng(0)
    circuits = [*range(sampled // 2), *range(256, 256 + sampled // 2)]
    rows: list[Any] = []
    for row in range(20):
        sign = 1 if row % 2 == 0 else -1
        rows.append((row, sign, row // 4, {c: int(random.integers(64)) for c in circuits}))
        rows.append((40 + row, sign, 100 + row, {c: int(random.integers(40)) for c in circuits}))
    return configure(
        rows, addresses={c: 100 + n for n, c in enumerate(circuits)}, sampled=circuits,
        fast=circuits[0], gain_exc=1.5, refractory=1e-6,
    )  # fmt: skip


def many(samples: int, seed: int = 0) -> Stimulus:
    random = np.random.default_rng(1)
    trains = [
        [(float(t), n) for n, t in enumerate(random.uniform(0, 20e-6, 5))] for _ in range(samples)
    ]
    return events(*trains, seconds=40e-6, seed=seed)


def test_equal_runs_are_equal_and_seeds_draw_other_noise() -> None:
    twin, c = Twin(seed=1), busy()
    first = twin.run(c, many(6))
    assert len(first.spike_time) > 200
    assert same(twin.run(c, many(6)), first)
    assert same(Twin(seed=1).run(c, many(6)), first)
    assert not same(twin.run(c, many(6, seed=1)), first)
    assert not same(Twin(seed=2).run(c, many(6)), first)


def test_neither_threads_nor_parts_nor_other_samples_change_a_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    c, stimulus = busy(), many(9)
    expected = Twin(seed=1).run(c, stimulus)
    before = torch.get_num_threads()
    monkeypatch.setattr(engine_threads, "WORTH_A_THREAD", 1)
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            assert same(Twin(seed=1).run(c, stimulus), expected)
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(written, "MOST_VALUES", 2 * 80 * 40)
    assert same(Twin(seed=1).run(c, stimulus), expected)
    fewer = Twin(seed=1).run(c, many(4))
    assert np.array_equal(fewer.membrane, expected.membrane[:, :4])
    early = expected.spike_sample < 4
    assert np.array_equal(fewer.spike_time, expected.spike_time[early])


def test_what_the_caller_does_with_tensors_changes_nothing() -> None:
    twin, c, stimulus = Twin(seed=1), busy(), many(3)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            found = twin.run(c, stimulus)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(found, Twin(seed=1).run(c, stimulus))
    assert same(twin.run(c, stimulus), found)


def test_layers_in_turn_do_what_all_circuits_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    random, layers = np.random.default_rng(3), [[0, 3, 300], [2, 310, 311], [5, 1]]
    rows: list[Any] = [
        (row, 1 if row % 3 else -1, row % 5, dict.fromkeys(layers[0], 63)) for row in range(15)
    ]
    for first, (own, listeners) in enumerate(itertools.pairwise(layers)):
        for n, sender in enumerate(own):
            for row in range(20 + 40 * first + 8 * n, 26 + 40 * first + 8 * n):
                weights = {c: int(random.integers(20, 63)) for c in listeners}
                rows.append((row, 1, 1000 + sender, weights))
    everyone = sorted(c for layer in layers for c in layer)
    c = configure(
        rows, addresses={n: 1000 + n for n in everyone}, sampled=everyone, fast=311, gain_exc=1.2,
        refractory=1e-6,
    )  # fmt: skip
    in_turn = Twin(seed=3).run(c, many(5))
    monkeypatch.setattr(written, "generations", lambda reach: [np.arange(len(reach))])
    at_once = Twin(seed=3).run(c, many(5))
    assert set(in_turn.spike_circuit) == set(everyone)
    assert np.array_equal(in_turn.spike_circuit, at_once.spike_circuit)
    assert np.array_equal(in_turn.spike_time, at_once.spike_time)
    apart = np.abs(in_turn.membrane.astype(int) - at_once.membrane)
    assert apart.max() <= 1
    assert apart.mean() < 0.01
    assert np.abs(in_turn.fast.astype(int) - at_once.fast).max() <= 1


def test_samples_start_from_rest() -> None:
    twin, c = Twin(**QUIET), configure([(0, 1, 9, {0: 60})], sampled=[0], gain_exc=3.0)
    quiet = twin.run(c, events([(55e-6, 9)], []))
    assert (quiet.membrane[:, 1] == quiet.membrane[0, 1]).all()


def test_membranes_and_spikes_are_those_of_a_fresh_twin_whatever_was_changed() -> None:
    used, c, stimulus = Twin(seed=1), busy(), many(3)
    changes = {
        "weights": np.minimum(c.weights + np.uint8(3), 63) * (c.weights > 0),
        "row_sign": -c.row_sign,
        "row_address": np.where(c.row_address == 1, 2, c.row_address).astype(np.int32),
        "neuron_address": np.where(c.neuron_address == 103, -1, c.neuron_address).astype(np.int32),
        "sampled": c.sampled & (np.arange(512) != 3),
        "fast_circuit": 2,
        "switches": {"firing": np.arange(512) != 2},
        "codes": {**c.codes, "tau_mem": c.codes["tau_mem"] + np.int16(40)},
    }
    before = used.run(c, stimulus)
    for name, value in changes.items():
        changed = replace(c, **{name: value})
        found = used.run(changed, stimulus)
        assert not same(found, before), name
        assert same(found, Twin(seed=1).run(changed, stimulus)), name
        assert same(used.run(c, stimulus), before), name


def test_weights_changed_in_place_are_noticed() -> None:
    twin, c = Twin(**QUIET), configure([(0, 1, 9, {0: 60})], sampled=[0], gain_exc=3.0)
    twin.run(c, HIT)
    c.weights[0, 0, 0] = 0
    assert (twin.run(c, HIT).membrane == 80).all()


def test_a_configuration_that_uses_no_circuit_shows_nothing() -> None:
    observed = Twin().run(configure(), HIT)
    assert observed.membrane.shape[1:] == (1, 0)
    assert len(observed.spike_time) == len(observed.fast_time) == 0
    assert observed.seconds == pytest.approx(60e-6)
