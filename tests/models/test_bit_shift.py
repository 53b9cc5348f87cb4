"""Time constants that shifts by whole bits have."""

from __future__ import annotations

import math

import pytest

from spikewright.errors import ParameterError
from spikewright.models import bit_shift, bit_shift_tau

DT = 1e-3


@pytest.mark.parametrize("dash", range(1, 11))
def test_a_time_constant_of_a_shift_is_kept(dash: int) -> None:
    tau = -DT / math.log(1 - 2.0**-dash)
    assert bit_shift(tau, DT) == dash
    assert bit_shift_tau(tau, DT) == pytest.approx(tau, rel=1e-12)


def test_a_shifted_integer_decays_as_its_time_constant_says() -> None:
    dash, v, steps = bit_shift(16e-3, DT), 1000, 0
    assert dash == 4
    while v >= 2**dash:
        assert v == pytest.approx(1000 * math.exp(-steps * DT / bit_shift_tau(16e-3, DT)), abs=15)
        v, steps = v - (v >> dash), steps + 1
    assert steps > 60


def test_a_time_constant_shorter_than_a_step_becomes_the_shortest_there_is() -> None:
    assert bit_shift(0.1 * DT, DT) == 1
    assert math.exp(-DT / bit_shift_tau(0.1 * DT, DT)) == pytest.approx(0.5)


@pytest.mark.parametrize("tau", [0.0, -1e-3, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(tau: float) -> None:
    with pytest.raises(ParameterError) as caught:
        bit_shift(tau, DT)
    assert str(caught.value) == (
        f"models.bit_shift: tau must be a positive, finite time, got {tau!r} s. "
        "Pass for example tau=20e-3."
    )
