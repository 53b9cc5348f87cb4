from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.coding import (
    DECODERS,
    Count,
    Decoder,
    FirstSpike,
    Last,
    Max,
    Mean,
    decoder_by_name,
)
from spikewright.errors import ParameterError, ShapeError

ALL = [decoder_by_name(name, 1e-3) for name in DECODERS]


def traces(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 4, dtype=dtype, generator=generator)


def test_the_sums_over_time_are_what_their_names_say() -> None:
    x = traces()
    steps = list(x)
    torch.testing.assert_close(Count()(x), sum(steps[1:], steps[0]))
    torch.testing.assert_close(Mean()(x), sum(steps[1:], steps[0]) / 6)
    torch.testing.assert_close(Mean(skip=2)(x), sum(steps[3:], steps[2]) / 4)
    assert torch.equal(Last()(x), steps[5])


def test_the_maximum_is_the_largest_step_after_those_skipped() -> None:
    x = traces()
    x[0] = 100
    for b in range(3):
        for c in range(4):
            assert Max()(x)[b, c] == 100
            assert Max(skip=1)(x)[b, c] == max(float(x[t, b, c]) for t in range(1, 6))


@pytest.mark.parametrize("decoder", [Count(), Mean(), Mean(skip=2), Max(), Max(skip=2), Last()])
def test_the_gradients_of_smooth_decoders_are_finite_differences(decoder: Decoder) -> None:
    assert torch.autograd.gradcheck(decoder, (traces().requires_grad_(),))


def test_a_maximum_that_several_steps_share_shares_its_gradient() -> None:
    x = torch.tensor([1.0, 0.0, 1.0])[:, None, None].requires_grad_()
    (gradient,) = torch.autograd.grad(Max()(x).sum(), x)
    assert gradient.flatten().tolist() == [0.5, 0, 0.5]


def first_time(train: list[int], dt: float) -> float:
    return dt * next((t for t, spikes in enumerate(train) if spikes), len(train))


trains = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(train=trains)
@settings(deadline=None)
def test_the_first_spike_scores_minus_its_time_and_silence_minus_the_end(train: list[int]) -> None:
    output = torch.tensor(train, dtype=torch.float64)[:, None, None]
    assert FirstSpike(2e-3)(output).item() == pytest.approx(-first_time(train, 2e-3))


@given(train=trains)
@settings(deadline=None)
def test_the_gradient_of_a_first_spike_is_the_change_by_one_spike_more_or_less(
    train: list[int],
) -> None:
    output = torch.tensor(train, dtype=torch.float64)[:, None, None].requires_grad_()
    (gradient,) = torch.autograd.grad(FirstSpike(1e-3)(output).sum(), output)
    for t, spikes in enumerate(train):
        without, with_one = ([*train[:t], n, *train[t + 1 :]] for n in (0, 1))
        change = -first_time(with_one, 1e-3) + first_time(without, 1e-3)
        assert gradient[t].item() == pytest.approx(change), (train, t, spikes)


def test_each_neuron_of_each_sample_has_a_first_spike_of_its_own() -> None:
    output = torch.zeros(5, 2, 3)
    output[2, 0, 0] = output[4, 0, 0] = output[0, 1, 2] = 1
    assert FirstSpike(1.0)(output).tolist() == [[-2, -5, -5], [-5, -5, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("decoder", ALL, ids=lambda d: d.name)
def test_every_decoder_keeps_the_dtype_and_takes_an_empty_batch(
    decoder: Decoder, dtype: torch.dtype
) -> None:
    one = decoder.name == "over_threshold"  # of one output, told as two classes
    out = decoder(torch.zeros(4, 0, 1 if one else 3, dtype=dtype))
    assert out.dtype == dtype
    assert out.shape == (0, 2 if one else 3)


@pytest.mark.parametrize("decoder", ALL, ids=lambda d: d.name)
def test_an_output_of_another_rank_or_without_steps_is_refused(decoder: Decoder) -> None:
    where = f"coding.{type(decoder).__name__}"
    with pytest.raises(ShapeError) as caught:
        decoder(torch.zeros(4, 2))
    assert str(caught.value) == (
        f"{where}: output must be (time, batch, classes), got (4, 2). "
        "End the network in one neuron a class; a Flatten joins several feature axes."
    )
    with pytest.raises(ShapeError) as caught:
        decoder(torch.zeros(0, 2, 3))
    assert str(caught.value) == (
        f"{where}: output must have at least one time step and one class, got (0, 2, 3). "
        "Give the encoder or data set more steps."
    )


@pytest.mark.parametrize("value", [-1.0, 0.5, float("nan")])
def test_the_first_spike_of_a_membrane_is_refused(value: float) -> None:
    with pytest.raises(ShapeError) as caught:
        FirstSpike(1e-3)(torch.full((3, 1, 1), value))
    assert str(caught.value) == (
        "coding.FirstSpike: output must be spike counts, got other numbers. End the network in "
        "a spiking layer, or decode a membrane with Max, Mean or Last."
    )


def test_a_maximum_that_skips_everything_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        Max(skip=3)(torch.zeros(3, 1, 1))
    assert str(caught.value) == (
        "coding.Max: output must have more than skip = 3 time steps, got 3. "
        "Lower skip or give the encoder more steps."
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Max(skip=-1),
            "coding.Max: skip must be a whole number from 0 on, got -1. "
            "Pass the number of leading steps to leave out.",
        ),
        (
            lambda: FirstSpike(dt=0.0),
            "coding.FirstSpike: dt must be a positive, finite time in seconds, got 0.0. "
            "Pass for example dt=1e-3 for a step of 1 ms.",
        ),
        (
            lambda: decoder_by_name("frist_spike", 1e-3),
            "coding.decoder_by_name: name must be a known decoder, got 'frist_spike'. "
            "Did you mean 'first_spike'?",
        ),
        (
            lambda: decoder_by_name("max", 1e-3, skips=1),
            "coding.decoder_by_name: options must be fields of Max, got 'skips'. "
            "Did you mean 'skip'?",
        ),
    ],
)
def test_bad_options_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value) == message


def test_decoders_are_found_by_name() -> None:
    assert decoder_by_name("max", 1e-3, skip=1) == Max(skip=1)
    assert decoder_by_name("first_spike", 2e-3) == FirstSpike(dt=2e-3)
