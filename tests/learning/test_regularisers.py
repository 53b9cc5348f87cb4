from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.errors import ParameterError, ShapeError
from spikewright.learning.regularisers import (
    REGULARISERS,
    LowerRate,
    SpikeRate,
    TargetRate,
    UpperRate,
)

ALL: tuple[SpikeRate, ...] = (
    UpperRate(maximum=1.3, power=1.5, strength=2.0),
    UpperRate(maximum=0.2, per="population", unit="step"),
    LowerRate(minimum=2.7, strength=3.0),
    LowerRate(minimum=2.7, per="population", over_batch=True),
    TargetRate(target=1.5, over_batch=True),
    TargetRate(target=0.3, unit="step"),
)


def with_counts(counts: list[list[int]], steps: int = 10) -> Tensor:
    """Spikes (steps, batch, neurons) with these counts (batch, neurons)."""
    spikes = torch.zeros(steps, len(counts), len(counts[0]), dtype=torch.float64)
    for b, row in enumerate(counts):
        for j, count in enumerate(row):
            spikes[:count, b, j] = 1
    return spikes


def test_the_regulariser_of_sparse_spiking_gradient_descent() -> None:
    # 0.06 max(0, mean count - 1) and 100 mean max(0, 0.001 - count)^2, averaged over the batch.
    records = {"1_lif": with_counts([[0, 4], [1, 0], [3, 5]])}
    upper = UpperRate(maximum=1.0, strength=0.06, per="population")
    lower = LowerRate(minimum=1e-3, strength=100.0)
    assert upper(records).item() == pytest.approx(0.06 * (1 + 0 + 3) / 3)
    assert lower(records).item() == pytest.approx(100 * 2 * 1e-6 / 6)


@pytest.mark.parametrize(
    ("options", "deviations"),
    [
        ({}, [1, -2, 5, 1]),
        ({"per": "population"}, [-0.5, 3]),
        ({"over_batch": True}, [3, -0.5]),
        ({"per": "population", "over_batch": True}, [1.25]),
        ({"unit": "step", "target": 0.2}, [0.1, -0.2, 0.5, 0.1]),
    ],
)
def test_activity_is_averaged_as_asked_before_the_penalty(
    options: dict[str, Any], deviations: list[float]
) -> None:
    records = {"a": with_counts([[3, 0], [7, 3]])}
    expected = sum(d**2 for d in deviations) / len(deviations)
    assert TargetRate(**{"target": 2.0, **options})(records).item() == pytest.approx(expected)


def test_a_rate_within_its_bounds_is_free() -> None:
    records = {"a": with_counts([[2, 3], [3, 2]])}
    assert UpperRate(maximum=3.0)(records) == 0
    assert LowerRate(minimum=2.0)(records) == 0
    assert TargetRate(target=2.5, per="population")(records) == 0


def test_terms_of_layers_are_added_up_and_others_are_left_alone() -> None:
    records = {"a": with_counts([[2]]), "b": with_counts([[4]]), "c": with_counts([[9]])}
    assert TargetRate(target=1.0, layers=("a", "b"))(records) == 1 + 9
    assert TargetRate(target=1.0)(records) == 1 + 9 + 64


@pytest.mark.parametrize("regulariser", ALL)
def test_the_gradients_are_finite_differences(regulariser: SpikeRate) -> None:
    generator = torch.Generator().manual_seed(2)
    spikes = torch.rand(5, 3, 2, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: regulariser({"a": x, "b": 2 * x}), (spikes,))


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    regulariser=st.sampled_from(ALL),
)
@settings(max_examples=50, deadline=None)
def test_the_term_is_a_scalar_of_the_dtype_and_never_negative(
    shape: tuple[int, ...], dtype: torch.dtype, regulariser: SpikeRate
) -> None:
    spikes = torch.bernoulli(torch.full(shape, 0.5, dtype=dtype))
    term = regulariser({"a": spikes})
    assert term.shape == ()
    assert term.dtype == dtype
    assert term >= 0
    torch.testing.assert_close(term, regulariser({"a": spikes.flatten(2)}))


def test_an_unknown_layer_is_named_with_its_nearest() -> None:
    with pytest.raises(ParameterError) as caught:
        UpperRate(layers=("1_liff",))({"1_lif": with_counts([[1]]), "3_li": with_counts([[1]])})
    assert str(caught.value) == (
        "regularisers.UpperRate: layers must be recorded layers, got '1_liff'. "
        "Did you mean '1_lif'?"
    )


def test_no_layer_at_all_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        LowerRate()({})
    assert str(caught.value) == (
        "regularisers.LowerRate: layers must hold at least one layer, got none. "
        "Use a network with a spiking layer or leave the regulariser out."
    )


@pytest.mark.parametrize("shape", [(5, 2), (0, 2, 3), (5, 0, 3)])
def test_records_that_are_no_run_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        TargetRate()({"a": torch.zeros(shape)})
    assert str(caught.value) == (
        "regularisers.TargetRate: spikes of layer 'a' must be (time, batch, *neurons) and not "
        f"empty, got {shape}. Record a layer of neurons over a whole run."
    )


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (UpperRate, {"strength": -1.0}, "strength must be at least 0 and finite, got -1.0. "),
        (UpperRate, {"maximum": -1.0}, "maximum must be at least 0 and finite, got -1.0. "),
        (LowerRate, {"power": 0.5}, "power must be at least 1 and finite, got 0.5. "),
        (TargetRate, {"target": float("nan")}, "target must be at least 0 and finite, got nan. "),
        (TargetRate, {"unit": "counts"}, "unit must be one of count, step, got 'counts'. Did you"),
        (TargetRate, {"per": "neurons"}, "per must be one of neuron, population, got 'neurons'. "),
        (TargetRate, {"layers": "a"}, "layers must be a tuple of names or None, got 'a'. Write "),
    ],
)
def test_bad_options_are_refused(
    kind: type[SpikeRate], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        kind(**options)
    assert str(caught.value).startswith(f"regularisers.{kind.__name__}: {message}")


def test_regularisers_are_found_by_name() -> None:
    found = [REGULARISERS[name] for name in ("upper_rate", "lower_rate", "target_rate")]
    assert found == [UpperRate, LowerRate, TargetRate]
