"""Curves among the metrics of a recipe."""

from __future__ import annotations

from spikewright.recipes.core.sweep import Sweep, curves, single

SWEEP = Sweep("Accuracy", "T", "%", {"streams": "T = {x}: accuracy (%)", "ANN": "ANN (%)"})


def test_points_are_the_means_of_all_seeds_in_the_order_of_x() -> None:
    seeds = [
        {"T = 16: accuracy (%)": 90.0, "T = 4: accuracy (%)": 80.0, "ANN (%)": 95.0, "T = 8": 1.0},
        {"T = 16: accuracy (%)": 92.0, "T = 4: accuracy (%)": 84.0, "ANN (%)": 97.0},
    ]
    (curve,) = curves([SWEEP], seeds)
    streams = curve.lines["streams"]
    assert (streams.x, streams.y) == ((4.0, 16.0), (82.0, 91.0))
    assert streams.spread == (8.0**0.5, 2.0**0.5)
    assert curve.lines["ANN"].y == (96.0,)
    assert curve.lines["ANN"].x == ()


def test_x_may_be_a_fraction_or_in_powers_of_ten() -> None:
    (curve,) = curves([SWEEP], [{"T = 1e-05: accuracy (%)": 1.0, "T = 0.25: accuracy (%)": 2.0}])
    assert curve.lines["streams"].x == (1e-5, 0.25)
    assert curve.lines["streams"].spread == ()


def test_a_point_that_a_seed_lacks_and_a_sweep_without_points_are_left_out() -> None:
    (curve,) = curves([SWEEP], [{"T = 4: accuracy (%)": 1.0, "T = 8: accuracy (%)": 2.0},
                                {"T = 4: accuracy (%)": 3.0}])  # fmt: skip
    assert curve.lines["streams"].x == (4.0,)
    assert set(curve.lines) == {"streams"}
    assert curves([SWEEP], [{"ANN (%)": 90.0}]) == ()
    assert curves([SWEEP], [{}]) == ()


def test_levels_and_what_is_of_no_sweep_are_single() -> None:
    values = {"T = 4: accuracy (%)": 80.0, "T = x: accuracy (%)": 1.0, "ANN (%)": 95.0}
    assert single([SWEEP], values) == {"T = x: accuracy (%)": 1.0, "ANN (%)": 95.0}
    assert single([], values) == values
