from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.recipes import recipe
from spikewright.recipes.core.radix import (
    BY_RATE,
    CLOCKS,
    DIFFER,
    FEWEST,
    MAXIMA,
    RADIX,
    ROUNDED,
    TIMES,
)
from spikewright.settings import Source

TOLD = [
    "rounding and fine-tuning: T = 4, weights of 3 bits",
    "test images in a rate code of 2 steps",
    "test images in a rate code of 15 steps",
    "test images through IF neurons, 8 steps, maximum of spikes",
    "test images through IF neurons, 8 steps, maximum of rates",
]


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


@pytest.mark.slow
def test_lenet_is_trained_rounded_compared_and_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = recipe("lenet-fpga")
    values = {"images": 1500, "validation": 200, "epochs": 2, "fine_epochs": 1, "checked": 3,
              "rates": (2, 15), "stepped": (2, 8), "simulated": 0}  # fmt: skip
    settings = found.settings(sources=[Source("test", values)])
    measured = found.measure(settings, tmp_path, resume=False, progress=True)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line in TOLD] == TOLD
    assert any(line.startswith("fine-tuning: epoch 1 of 1, loss 0.") for line in said)
    assert measured["test accuracy, %"] > 60
    assert measured[RADIX] > 60
    assert measured[RADIX] >= measured[ROUNDED] - 5
    assert measured[DIFFER] == 0
    assert measured[CLOCKS] == 90_045
    # As many levels, evenly spaced: the same numbers.
    assert measured[BY_RATE.format(x=15)] == measured[RADIX]
    assert measured[TIMES] in (2 / 4, 15 / 4)
    for metric in MAXIMA:
        stepped = [measured[metric.format(x=steps)] for steps in (2, 8)]
        assert stepped[0] < stepped[1]
    assert measured[FEWEST] in (2 / 4, 8 / 4)
    (curve,) = (sweep.curve([measured]) for sweep in found.sweeps)
    assert curve is not None
    assert curve.lines["rate code"].x == (2, 15)
    again = found.measure(settings, tmp_path, resume="auto", progress=False)
    assert again | {"training time, s": 0.0, "time an epoch, s": 0.0} == measured | {
        "training time, s": 0.0,
        "time an epoch, s": 0.0,
    }
