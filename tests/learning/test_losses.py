from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.special import log_softmax
from torch import Tensor

from spikewright.coding import DECODERS, FirstSpike
from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.learning.losses import (
    LOSSES,
    CrossEntropy,
    FirstSpikeCrossEntropy,
    Loss,
    MembraneMSE,
    RateMSE,
    SpikeCountMSE,
    VanRossum,
    exponential_filter,
)

T, B, C = 7, 4, 3
CLASSES = torch.tensor([0, 2, 1, 2])
OF_CLASSES: tuple[Loss, ...] = (
    CrossEntropy(),
    CrossEntropy(score_penalty=0.3, scale=2.0),
    FirstSpikeCrossEntropy(tau=0.5),
    SpikeCountMSE(correct=5, incorrect=1),
    RateMSE(correct=0.8, incorrect=0.1),
)
OF_SIGNALS: tuple[Loss, ...] = (MembraneMSE(), VanRossum(tau=3e-3, dt=1e-3))


def outputs(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(T, B, C, dtype=torch.float64, generator=generator)


def test_cross_entropy_is_that_of_the_softmax_plus_the_penalty_on_scores() -> None:
    scores = outputs()[0]
    scaled = 2 * scores.numpy()
    expected = -log_softmax(scaled, axis=1)[range(B), CLASSES.numpy()].mean()
    expected += 4e-4 * (scaled**2).mean()
    loss = CrossEntropy(score_penalty=4e-4, scale=2.0)(outputs(), scores, CLASSES)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_the_penalty_acts_on_large_scores_even_where_the_answer_is_sure() -> None:
    scores = torch.tensor([[100.0, 0.0]])
    loss = CrossEntropy(score_penalty=4e-4)(scores[None], scores, torch.tensor([0]))
    assert loss.item() == pytest.approx(4e-4 * 100**2 / 2)


def test_the_gradient_of_first_spikes_is_the_published_one() -> None:
    tau = 2e-3
    times = torch.tensor([[1e-3, 3e-3, 4e-3], [2e-3, 2e-3, 9e-3]], dtype=torch.float64)
    times.requires_grad_()
    targets = torch.tensor([1, 0])
    loss = FirstSpikeCrossEntropy(tau)(times[None], -times, targets)
    (gradient,) = torch.autograd.grad(loss, times)
    p = torch.softmax(-times.detach() / tau, 1)
    wanted = torch.nn.functional.one_hot(targets, 3)
    torch.testing.assert_close(gradient, (wanted - p) / tau / 2)


def test_descending_the_first_spike_loss_asks_a_silent_right_neuron_to_fire() -> None:
    output = torch.zeros(4, 1, 2)
    output[1, 0, 0] = 1
    output.requires_grad_()
    loss = FirstSpikeCrossEntropy(1e-3)(output, FirstSpike(1e-3)(output), torch.tensor([1]))
    (gradient,) = torch.autograd.grad(loss, output)
    assert (gradient[:, 0, 1] < 0).all()
    assert gradient[1, 0, 0] > 0


def test_counts_and_rates_are_pulled_to_their_targets() -> None:
    output = torch.zeros(10, 2, 2)
    output[:3, 0, 0] = output[:4, 1, 0] = output[:6, 1, 1] = 1
    targets = torch.tensor([0, 1])
    # Counts (3, 0) and (4, 6) against (5, 1) and (1, 5).
    counts = SpikeCountMSE(correct=5, incorrect=1)(output, output[0], targets)
    assert counts.item() == pytest.approx((4 + 1 + 9 + 1) / 4)
    rates = RateMSE(correct=0.5, incorrect=0.1)(output, output[0], targets)
    assert rates.item() == pytest.approx((4 + 1 + 9 + 1) / 4 / 100)


def test_membrane_distance_is_the_mean_square() -> None:
    output, targets = outputs(1), outputs(2)
    expected = ((output - targets) ** 2).mean()
    torch.testing.assert_close(MembraneMSE()(output, output[0], targets), expected)


def trains(*times: list[int], steps: int) -> Tensor:
    """(steps, 1, neurons) with one spike at each time."""
    out = torch.zeros(steps, 1, len(times), dtype=torch.float64)
    for neuron, spikes in enumerate(times):
        for t in spikes:
            out[t, 0, neuron] += 1
    return out


@pytest.mark.parametrize("step", [0, 50, 299])
def test_one_spike_too_many_is_half_a_unit_wherever_it_is(step: int) -> None:
    output = trains([step], steps=300)
    loss = VanRossum(tau=7e-3, dt=1e-3)(output, output[0], torch.zeros_like(output))
    assert loss.item() == pytest.approx(0.5, rel=1e-12)


@given(first=st.integers(0, 299), second=st.integers(0, 299))
@settings(max_examples=30, deadline=None)
def test_a_shifted_spike_costs_one_minus_exp_of_its_shift(first: int, second: int) -> None:
    output, target = trains([first], steps=300), trains([second], steps=300)
    loss = VanRossum(tau=20e-3, dt=1e-3)(output, output[0], target)
    assert loss.item() == pytest.approx(-math.expm1(-abs(first - second) / 20), abs=1e-12)


def test_the_distance_of_trains_is_the_integral_of_their_filtered_difference() -> None:
    tau, dt, fine = 4e-3, 1e-3, 2e-6
    spikes, wanted = [3, 4, 9], [2, 9, 15]
    t = np.arange(0, 0.12, fine)
    signal = np.zeros_like(t)
    for sign, train in ((1, spikes), (-1, wanted)):
        for step in train:
            age = t - step * dt
            signal += sign * np.where(age >= -fine / 2, np.exp(-np.maximum(age, 0) / tau), 0)
    expected = trapezoid(signal**2, dx=fine) / tau
    output = trains(spikes, [], steps=20)
    loss = VanRossum(tau, dt)(output, output[0], trains(wanted, [], steps=20))
    assert loss.item() == pytest.approx(expected / 2, rel=2e-3)


@given(steps=st.integers(1, 40), chunk=st.integers(1, 17), decay=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_the_filter_in_chunks_is_the_recurrence(steps: int, chunk: int, decay: float) -> None:
    generator = torch.Generator().manual_seed(steps)
    x = torch.randn(steps, 2, 3, dtype=torch.float64, generator=generator)
    y, expected = torch.zeros(2, 3, dtype=torch.float64), []
    for step in x:
        y = decay * y + step
        expected.append(y)
    torch.testing.assert_close(exponential_filter(x, decay, chunk), torch.stack(expected))


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_the_gradients_of_losses_of_classes_are_finite_differences(loss: Loss) -> None:
    def of(output: Tensor) -> Tensor:
        return loss(output, output.sum(0), CLASSES)

    assert torch.autograd.gradcheck(of, (outputs().requires_grad_(),))


@pytest.mark.parametrize("loss", OF_SIGNALS)
def test_the_gradients_of_losses_of_signals_are_finite_differences(loss: Loss) -> None:
    def of(output: Tensor) -> Tensor:
        return loss(output, output[0], outputs(2))

    assert torch.autograd.gradcheck(of, (outputs().requires_grad_(),))


@pytest.mark.parametrize("loss", [*OF_CLASSES, *OF_SIGNALS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_loss_is_a_mean_over_the_batch_in_the_dtype_of_the_output(
    loss: Loss, dtype: torch.dtype
) -> None:
    output = outputs().to(dtype)
    targets = CLASSES if loss in OF_CLASSES else outputs(2).to(dtype)
    batch_axis = 0 if loss in OF_CLASSES else 1
    whole = loss(output, output.sum(0), targets)
    parts = [
        loss(o, o.sum(0), t)
        for o, t in zip(output.split(1, 1), targets.split(1, batch_axis), strict=True)
    ]
    assert whole.shape == ()
    assert whole.dtype == dtype
    torch.testing.assert_close(whole, torch.stack(parts).mean())


@pytest.mark.parametrize("loss", OF_CLASSES)
@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            torch.tensor([0, 1, 2, 3]),
            "targets must lie between 0 and 2, got 0 to 3. Give the network one output a class.",
        ),
        (
            torch.tensor([0, -1, 2, 1]),
            "targets must lie between 0 and 2, got -1 to 2. Give the network one output a class.",
        ),
        (
            torch.zeros(4, 3),
            "targets must be (batch,) int64 for scores (batch, classes), got (4, 3) "
            "torch.float32 for (4, 3). Pass class numbers, not one-hot rows.",
        ),
        (
            torch.zeros(5, dtype=torch.int64),
            "targets must be (batch,) int64 for scores (batch, classes), got (5,) torch.int64 "
            "for (4, 3). Pass class numbers, not one-hot rows.",
        ),
    ],
)
def test_targets_that_are_no_classes_are_refused(loss: Loss, targets: Tensor, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        loss(outputs(), outputs()[0], targets)
    assert str(caught.value) == f"losses.{type(loss).__name__}: {message}"


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_an_empty_batch_is_refused(loss: Loss) -> None:
    with pytest.raises(ShapeError) as caught:
        loss(torch.zeros(T, 0, C), torch.zeros(0, C), torch.zeros(0, dtype=torch.int64))
    assert str(caught.value) == (
        f"losses.{type(loss).__name__}: the batch must hold at least one sample, got none. "
        "Leave empty batches out."
    )


@pytest.mark.parametrize("loss", OF_SIGNALS)
def test_signals_of_another_shape_are_refused(loss: Loss) -> None:
    with pytest.raises(ShapeError) as caught:
        loss(outputs(), outputs()[0], outputs()[:-1])
    assert str(caught.value) == (
        f"losses.{type(loss).__name__}: targets must have the shape of the output and not be "
        "empty, got (6, 4, 3) for (7, 4, 3). Pass target signals (time, batch, classes)."
    )


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (CrossEntropy, {"score_penalty": -1.0}, "score_penalty must be at least 0 and finite"),
        (CrossEntropy, {"scale": 0.0}, "scale must be positive and finite"),
        (FirstSpikeCrossEntropy, {"tau": 0.0}, "tau must be positive and finite"),
        (SpikeCountMSE, {"correct": math.nan}, "correct must be at least 0 and finite"),
        (RateMSE, {"incorrect": math.inf}, "incorrect must be at least 0 and finite"),
        (VanRossum, {"tau": -1e-3, "dt": 1e-3}, "tau must be positive and finite"),
    ],
)
def test_bad_options_are_refused(kind: type[Loss], options: dict[str, Any], message: str) -> None:
    field, value = next(iter(options.items()))
    with pytest.raises(ParameterError) as caught:
        kind(**options)
    assert str(caught.value) == (
        f"losses.{kind.__name__}: {message}, got {value!r}. Change {field} or leave it out."
    )


def test_a_loss_refuses_scores_it_makes_no_sense_of() -> None:
    with pytest.raises(RuleError) as caught:
        FirstSpikeCrossEntropy(1e-3).check_decoder("max")
    assert str(caught.value) == (
        "losses.FirstSpikeCrossEntropy: decoder must be one of first_spike, got 'max'. "
        "Choose such a decoder or another loss."
    )
    with pytest.raises(RuleError, match="got 'first_spike'"):
        CrossEntropy().check_decoder("first_spike")


def test_every_loss_reads_known_decoders_or_none_and_each_decoder_has_a_loss() -> None:
    read = {name for loss in LOSSES.values() for name in loss.decoders or ()}
    assert read == set(DECODERS)
    for name in DECODERS:
        SpikeCountMSE(correct=1).check_decoder(name)
