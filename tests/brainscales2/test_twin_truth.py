"""The fixed pattern of a chip: how circuits with equal codes differ."""

from __future__ import annotations

import numpy as np
import pytest

from brainscales2.setups import Twin, configure, events
from spikewright.targets.brainscales2.chip import CIRCUITS, MOST_CODE
from spikewright.targets.brainscales2.transfer import TRANSFER, nearest_codes

SOME = {name: np.full(CIRCUITS, 500, np.int16) for name in TRANSFER}


@pytest.mark.parametrize("mismatch", [0.05, 0.1, 0.2])
def test_times_and_gains_spread_by_the_mismatch_and_potentials_by_its_part_of_50_lsb(
    mismatch: float,
) -> None:
    values = Twin(seed=2, mismatch=mismatch).truth.physical(SOME)
    for name, value in values.items():
        spread = value.std() / (50.0 if name.startswith("v_") else value.mean())
        assert spread == pytest.approx(mismatch, rel=0.15), name
        nominal = TRANSFER[name].value(np.array([500.0]))[0]
        assert abs(np.median(value) - nominal) < 0.25 * value.std(), name


def test_without_mismatch_every_circuit_has_the_nominal_values() -> None:
    twin = Twin(seed=2, mismatch=0.0)
    for values in (twin.truth.physical(SOME), twin.truth.seen(SOME)):
        for name, value in values.items():
            assert (value == TRANSFER[name].value(np.array([500.0]))).all(), name


def test_parameters_and_circuits_are_drawn_independently() -> None:
    values = Twin(seed=2).truth.physical(SOME)
    together = np.corrcoef(list(values.values()))
    assert np.abs(together - np.eye(len(together))).max() < 0.2
    column = values["tau_mem"][:256]
    assert abs(np.corrcoef(column, values["tau_mem"][256:])[0, 1]) < 0.2


def test_a_seed_is_the_identity_of_a_chip() -> None:
    one, same, other = (Twin(seed=seed).truth.seen(SOME) for seed in (7, 7, 8))
    for name in one:
        assert np.array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])
    assert Twin(seed=7).identity() == Twin(seed=7).identity()


def test_what_the_converter_shows_is_the_value_that_is_called_seen() -> None:
    twin = Twin(seed=7, noise=0.0)
    c = configure(sampled=range(CIRCUITS), v_leak=120.0, v_threshold=280.0)
    shown = twin.run(c, events([])).membrane[5, 0]
    assert np.abs(shown - twin.truth.seen(c.codes)["v_leak"]).max() < 0.501
    assert np.abs(shown - twin.truth.physical(c.codes)["v_leak"]).max() > 5


@pytest.mark.parametrize("name", list(TRANSFER))
def test_the_nominal_code_of_a_nominal_value_is_the_code(name: str) -> None:
    curve = TRANSFER[name]
    codes = np.arange(MOST_CODE + 1)
    assert np.array_equal(nearest_codes(name, curve.value(codes.astype(float))), codes)


def test_dead_circuits_do_what_their_fault_says() -> None:
    dead = {10: "silent", 20: "stuck"}
    c = configure(addresses={10: 1, 20: 2, 30: 3}, sampled=[10, 20, 30], v_leak=200.0)
    observed = Twin(seed=1, noise=0.0, dead=dead).run(c, events([]))  # type: ignore[arg-type]
    assert set(observed.spike_circuit) == {30}
    silent, stuck, alive = observed.membrane[:, 0].T
    assert len(set(stuck)) == 1
    assert silent.min() > 170
    assert len(set(alive)) > 5
