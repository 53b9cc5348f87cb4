from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from spikewright.audio import FilterBank, XyloFrontEnd
from spikewright.audio.filter_bank import band
from spikewright.errors import ParameterError

BANK = FilterBank(32000.0, (40.0, 674.0, 5154.0), (4.0, 4.0, 2.0))


def test_coefficients_are_those_of_scipys_butterworth_band_pass() -> None:
    for column, (centre, quality) in enumerate(zip(BANK.centres, BANK.qualities, strict=True)):
        b, a = signal.butter(1, band(centre, quality), "bandpass", fs=BANK.rate)
        b0, a1, a2 = BANK.coefficients()[:, column]
        assert np.allclose([b0, 0.0, -b0], b, rtol=0, atol=1e-12)
        assert np.allclose([1.0, a1, a2], a, rtol=0, atol=1e-12)


def test_response_is_that_of_freqz_and_one_at_the_centre() -> None:
    frequency = np.geomspace(20.0, 15000.0, 200)
    for column, (centre, quality) in enumerate(zip(BANK.centres, BANK.qualities, strict=True)):
        b, a = signal.butter(1, band(centre, quality), "bandpass", fs=BANK.rate)
        _, expected = signal.freqz(b, a, frequency, fs=BANK.rate)
        assert np.allclose(BANK.response(frequency)[column], expected, atol=1e-9)
        low, high = band(centre, quality)
        at_edges = np.abs(BANK.response(np.array([low, high])))[column]
        assert np.allclose(at_edges, np.sqrt(0.5), atol=1e-9)
    at_centres = np.abs(BANK.response(np.array(BANK.centres)))
    assert np.abs(at_centres.diagonal() - 1).max() < 0.01


def test_response_follows_the_closed_form_of_the_bilinear_transform() -> None:
    frequency = np.array([100.0, 500.0, 674.0, 900.0])
    low, high, warped = (
        np.tan(np.pi * np.array(f) / BANK.rate) for f in (*band(674.0, 4.0), frequency)
    )
    expected = 1 / (1 + 1j * (warped**2 - low * high) / (warped * (high - low)))
    assert np.allclose(BANK.response(frequency)[1], expected, atol=1e-12)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_xylos_filters_have_a_quality_of_four_at_the_nominal_centres(rate: int) -> None:
    ear = XyloFrontEnd(rate)
    frequency = np.geomspace(20.0, rate / 2, 40000)
    for row, centre in zip(np.abs(ear.bank.response(frequency)), ear.bank.centres, strict=True):
        passed = frequency[row >= np.sqrt(0.5)]
        assert abs(frequency[row.argmax()] / centre - 1) < 0.02
        assert abs(centre / (passed[-1] - passed[0]) / 4 - 1) < 0.02


@pytest.mark.parametrize(
    ("centres", "qualities", "fault"),
    [
        ((), (), "as many, 1 to 64"),
        ((100.0,), (4.0, 4.0), "got 1 and 2"),
        ((15500.0,), (4.0,), "between 0 and 16000 Hz"),
        ((0.0,), (4.0,), "a centre of 0 Hz"),
        ((float("nan"),), (4.0,), "a centre of nan Hz"),
    ],
)
def test_filters_that_cannot_be_are_refused(
    centres: tuple[float, ...], qualities: tuple[float, ...], fault: str
) -> None:
    with pytest.raises(ParameterError, match=fault):
        FilterBank(32000.0, centres, qualities)
