from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.coding import (
    ENCODERS,
    Bernoulli,
    Constant,
    Delta,
    Deterministic,
    Encoder,
    ExactLatency,
    Latency,
    LogLatency,
    Phase,
    Poisson,
    Population,
    Radix,
    encoder_by_name,
)
from spikewright.errors import ParameterError, ShapeError

SIGNALS = {"delta", "serial", "crossing", "cue"}
"""Codes of whole sequences, not of one value at a time."""
STATIC = [name for name in ENCODERS if name not in {*SIGNALS, "exact_latency"}]
UNIT = [name for name in ENCODERS if name not in {*SIGNALS, "constant"}]
RANDOM = (Bernoulli, Poisson)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    name=st.sampled_from(STATIC),
    steps=st.integers(1, 6),
    shape=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@settings(max_examples=120, deadline=None)
def test_every_encoder_keeps_shape_and_dtype_and_repeats_itself(
    name: str, steps: int, shape: list[int], dtype: torch.dtype
) -> None:
    values = torch.rand(shape, generator=seeded()).to(dtype)
    kept = values.clone()
    encoder = encoder_by_name(name, steps, 1e-3)
    out = encoder(values, seeded())
    expected = [shape[0], 10, *shape[1:]] if name == "population" else shape
    assert list(out.shape) == [steps, *expected]
    assert out.dtype == dtype
    assert torch.equal(out, encoder(values, seeded()))
    assert torch.equal(values, kept)


@pytest.mark.parametrize("name", [name for name in STATIC if name not in {"constant", "poisson"}])
def test_what_comes_out_lies_between_no_spike_and_one(name: str) -> None:
    out = encoder_by_name(name, 20, 1e-3)(torch.rand(20, 30, generator=seeded()), seeded())
    assert 0 <= out.min() < out.max() <= 1


@pytest.mark.parametrize(
    "name", [name for name in STATIC if name not in {"constant", "population"}]
)
def test_spikes_are_whole_numbers_and_zero_is_silent(name: str) -> None:
    values = torch.rand(20, 30, generator=seeded())
    values[:, 0] = 0
    out = encoder_by_name(name, 20, 1e-3)(values, seeded())
    assert torch.equal(out, out.round())
    assert out[..., 1:].any()
    assert not out[..., 0].any()


def test_constant_current_repeats_the_value_without_copying_and_passes_its_gradient() -> None:
    values = torch.tensor([[0.5, -2.0]], requires_grad=True)
    out = Constant(4, 1e-3)(values)
    assert out.stride(0) == 0
    assert torch.equal(out, torch.tensor([[[0.5, -2.0]]] * 4))
    Constant(4, 1e-3, gain=3.0)(values).sum().backward()
    assert torch.equal(values.grad, torch.full((1, 2), 12.0))  # pyright: ignore


@pytest.mark.parametrize("value", [0.02, 0.5, 1.0])
def test_bernoulli_fires_at_its_rate(value: float) -> None:
    out = Bernoulli(1000, 1e-3, max_rate=400.0)(torch.full((100, 10), value), seeded())
    p = value * 0.4
    assert abs(out.double().mean() - p) < 5 * math.sqrt(p * (1 - p) / out.numel())


@pytest.mark.parametrize("value", [0.02, 0.5, 1.0])
def test_poisson_counts_have_the_mean_and_variance_of_their_rate(value: float) -> None:
    out = Poisson(1000, 1e-3, max_rate=2500.0)(torch.full((100, 10), value), seeded()).double()
    mean = value * 2.5
    assert abs(out.mean() - mean) < 5 * math.sqrt(mean / out.numel())
    # The variance of a sample variance of n Poisson numbers is (mean + 2 mean^2) / n.
    assert abs(out.var() - mean) < 5 * math.sqrt((mean + 2 * mean**2) / out.numel())


@pytest.mark.parametrize("kind", RANDOM)
def test_the_steps_of_a_random_code_are_independent(kind: type[Encoder]) -> None:
    out = kind(1000, 1e-3)(torch.full((100, 10), 0.5), seeded()).double()
    centred = (out - out.mean()) / out.std()
    assert abs((centred[1:] * centred[:-1]).mean()) < 5 / math.sqrt(out.numel())


@pytest.mark.parametrize("kind", RANDOM)
def test_a_random_code_draws_from_the_generator_it_is_given(kind: type[Encoder]) -> None:
    values = torch.full((5, 40), 0.5)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    generator = seeded(7)
    first, second = kind(9, 1e-3)(values, generator), kind(9, 1e-3)(values, generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    assert not torch.equal(kind(9, 1e-3)(values), kind(9, 1e-3)(values))


def test_bernoulli_with_probability_one_always_fires() -> None:
    assert Bernoulli(500, 1e-3)(torch.ones(100, 10)).all()


@given(value=st.floats(0, 1), steps=st.integers(1, 200), phase=st.floats(0, 0.99))
@settings(deadline=None)
def test_deterministic_spikes_never_stray_from_their_rate(
    value: float, steps: int, phase: float
) -> None:
    values = torch.tensor([[value]], dtype=torch.float64)
    out = Deterministic(steps, 1e-3, max_rate=800.0, phase=phase)(values).flatten()
    mean = value * 0.8 * torch.arange(1, steps + 1, dtype=torch.float64)
    ahead = out.cumsum(0) - mean
    assert ((out == 0) | (out == 1)).all()
    assert (ahead <= phase + 1e-9).all()
    assert (ahead > phase - 1 - 1e-9).all()


@pytest.mark.parametrize("tenths", range(11))
def test_deterministic_counts_of_tenths_are_exact(tenths: int) -> None:
    out = Deterministic(100, 1e-3)(torch.tensor([[tenths / 10]]))
    assert out.sum() == 10 * tenths
    steps = out.flatten().nonzero().flatten()
    assert tenths == 0 or steps.diff().max() - steps.diff().min() <= 1


def test_latency_is_linear_in_the_value() -> None:
    values = torch.linspace(0, 1, 11, dtype=torch.float64)[None]
    out = Latency(11, 1e-3, threshold=None)(values)
    assert torch.equal(out[:, 0], torch.eye(11, dtype=torch.float64).flip(0))


def test_latency_places_the_coordinates_of_yin_yang() -> None:
    # t = 2 us + value * 24 us, by hand, on a grid of 1 us.
    encoder = Latency(38, 1e-6, time_of_one=26e-6, time_of_zero=2e-6, threshold=None)
    out = encoder(torch.tensor([[0.0, 0.25, 0.5, 0.76, 1.0]]))
    assert out[:, 0].T.argmax(1).tolist() == [2, 8, 14, 20, 26]
    assert torch.equal(out.sum(0), torch.ones(1, 5))


def test_latency_is_silent_up_to_and_with_its_threshold() -> None:
    out = Latency(10, 1e-3, threshold=0.5)(torch.tensor([[0.0, 0.25, 0.5, 0.625, 1.0]]))
    assert out.sum(0).tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_latency_is_when_a_leaky_integrator_first_fires(dtype: torch.dtype) -> None:
    dt, tau, threshold, steps = 1e-3, 20e-3, 0.2, 100
    values = torch.linspace(0.01, 1, 300, dtype=dtype)
    out = LogLatency(steps, dt, tau, threshold)(values[None])[:, 0]
    for i, value in enumerate(values.tolist()):
        time = tau * math.log(value / (value - threshold)) if value > threshold else math.inf
        expected = [round(time / dt)] if time / dt < steps - 0.5 else []
        assert out[:, i].nonzero().flatten().tolist() == expected
        if expected:
            assert value * (1 - math.exp(-time / tau)) == pytest.approx(threshold)


def test_log_latency_drops_values_at_its_threshold_and_spikes_after_the_end() -> None:
    out = LogLatency(100, 1e-3)(torch.tensor([[0.2, 0.200001, 0.21, 1.0]]))
    assert out.sum(0).tolist() == [[0, 0, 1, 1]]


def test_population_curves_are_gaussian_around_even_centres() -> None:
    values = torch.rand(3, 2, dtype=torch.float64, generator=seeded())
    out = Population(2, 1e-3, neurons=5, width=0.8)(values)
    for k, centre in enumerate((0, 0.25, 0.5, 0.75, 1)):
        expected = torch.exp(-((values - centre) ** 2) / (2 * 0.2**2))
        torch.testing.assert_close(out[1, :, k], expected)


def test_a_periodic_population_answers_to_zero_and_one_alike() -> None:
    out = Population(1, 1e-3, neurons=4, periodic=True)(torch.tensor([[0.0], [1.0], [0.875]]))
    torch.testing.assert_close(out[0, 0], out[0, 1])
    # Wrapped distances of half a spacing and of one and a half, from the centres 0, 1/4, 1/2, 3/4.
    assert out[0, 2, :, 0].log().tolist() == pytest.approx([-0.125, -1.125, -1.125, -0.125])


def test_a_population_passes_its_responses_to_a_further_encoder() -> None:
    values = torch.rand(3, 2, generator=seeded())
    then = Latency(9, 1e-3)
    encoder = Population(9, 1e-3, neurons=4, then=then)
    assert torch.equal(encoder(values), then(encoder.responses(values)))


def test_the_gradient_of_a_population_is_that_of_its_curves() -> None:
    values = torch.rand(2, 3, dtype=torch.float64, generator=seeded(), requires_grad=True)
    assert torch.autograd.gradcheck(Population(3, 1e-3, neurons=4), (values,))


def delta_reference(signal: list[float], threshold: float, maximum: int) -> list[tuple[int, int]]:
    """One channel, with exact numbers: the reference follows the signal by whole thresholds."""
    reference, out = signal[0], []
    for x in signal:
        up = down = 0
        while x - reference >= threshold and up < maximum:
            reference, up = reference + threshold, up + 1
        while reference - x >= threshold and down < maximum:
            reference, down = reference - threshold, down + 1
        out.append((up, down))
    return out


@given(
    # Quarters are exact in binary, so the reference's sums are too.
    quarters=st.lists(st.integers(-40, 40), min_size=1, max_size=30),
    threshold=st.sampled_from([0.25, 0.5, 2.0]),
    maximum=st.sampled_from([1, 3, None]),
)
@settings(deadline=None)
def test_delta_events_follow_the_signal(
    quarters: list[int], threshold: float, maximum: int | None
) -> None:
    signal = [quarter / 4 for quarter in quarters]
    out = Delta(len(signal), 1e-3, threshold=threshold, maximum=maximum)(
        torch.tensor(signal)[:, None, None]
    )
    events = [tuple(step) for step in out[:, 0, :, 0].int().tolist()]
    assert events == delta_reference(signal, threshold, maximum or 1000)


def test_delta_events_rebuild_a_long_signal_within_a_threshold() -> None:
    t = torch.arange(2000) / 200
    signal = torch.stack([t.sin(), (3 * t).cos()], 1)[:, None]
    out = Delta(2000, 1e-3, threshold=0.07, maximum=None)(signal)
    rebuilt = signal[0] + 0.07 * (out[:, :, 0] - out[:, :, 1]).cumsum(0)
    assert (rebuilt - signal).abs().max() < 0.07 + 1e-4
    assert out.shape == (2000, 1, 2, 2)


def test_delta_starts_from_the_reference_it_is_given() -> None:
    out = Delta(2, 1e-3, threshold=0.5, maximum=None, reference=0.0)(torch.full((2, 1, 1), 1.25))
    assert out[:, 0, :, 0].tolist() == [[2, 0], [0, 0]]


def pixels() -> torch.Tensor:
    """Every value of a byte, as images hand them to encoders."""
    return torch.arange(256.0)[None] / 255


def test_exact_latency_holds_the_code_of_eventprop_on_mnist() -> None:
    dt, trial = 1e-3, 20e-3
    code = ExactLatency(
        20, dt, time_of_one=2 * dt, time_of_zero=trial - 2 * dt, threshold=1.5 / 255
    )
    spikes = code(pixels())
    assert spikes.units.tolist() == list(range(255, 1, -1))
    expected = [(255 - g) / 255 * (trial - 4 * dt) + 2 * dt for g in range(255, 1, -1)]
    assert spikes.times.tolist() == pytest.approx(expected, rel=1e-6)
    assert spikes.duration == trial


def test_exact_latency_holds_the_code_of_spike_time_backpropagation() -> None:
    code = ExactLatency(200, 1e-3, time_of_one=0.0, time_of_zero=0.1)
    spikes = code(pixels())
    first = spikes.first()[0].tolist()
    assert first[0] == math.inf
    assert first[1:] == pytest.approx([0.1 * (1 - p / 255) for p in range(1, 256)], abs=1e-8)
    assert spikes.duration == pytest.approx(0.2)


def test_exact_latency_rounded_to_the_grid_is_latency() -> None:
    values = torch.rand(4, 3, 5, generator=seeded())
    options = {"time_of_one": 1e-3, "time_of_zero": 17e-3, "threshold": 0.2}
    spikes = ExactLatency(20, 1e-3, **options)(values)
    assert spikes.shape == (3, 5)
    assert torch.equal(spikes.raster(1e-3), Latency(20, 1e-3, **options)(values))


def test_exact_latency_of_value_zero_is_the_end_of_the_trial() -> None:
    spikes = ExactLatency(7, 0.1, threshold=None)(torch.zeros(2, 3))
    assert spikes.times.tolist() == [7 * 0.1] * 6


def test_a_population_may_fire_at_exact_times() -> None:
    code = Population(20, 1e-3, neurons=3, then=ExactLatency(20, 1e-3, threshold=0.5))
    spikes = code(torch.tensor([[0.5]], dtype=torch.float64))
    assert not isinstance(spikes, torch.Tensor)
    assert spikes.shape == (3, 1)
    assert spikes.units.tolist() == [1, 0, 2]
    late = 20e-3 * (1 - math.exp(-0.5))
    assert spikes.times.tolist() == pytest.approx([0.0, late, late])


VALUES: list[tuple[Any, str]] = [
    (
        torch.tensor([[0.5, -0.25]]),
        "values must lie in [0, 1], got a range of -0.25 to 0.5. "
        "Scale them first, for example with (x - x.min()) / (x.max() - x.min()).",
    ),
    (
        torch.tensor([[0.5, 255.0]]),
        "values must lie in [0, 1], got a range of 0.5 to 255. "
        "Scale them first, for example with (x - x.min()) / (x.max() - x.min()).",
    ),
    (
        torch.tensor([[0.5, math.nan, math.inf]]),
        "values must be finite, got NaN or infinity in 2 of 3 places. "
        "Fill or drop these samples first.",
    ),
    (
        torch.zeros(2, 3, dtype=torch.uint8),
        "values must be a tensor of floating-point numbers, got torch.uint8. "
        "Convert them, for example images of bytes with images.float() / 255.",
    ),
    (
        [0.5],
        "values must be a tensor of floating-point numbers, got list. "
        "Convert them, for example images of bytes with images.float() / 255.",
    ),
    (
        torch.tensor(0.5),
        "values must be (batch, *features), got a single number. "
        "Add the batch axis with values[None].",
    ),
]


@pytest.mark.parametrize("name", UNIT)
@pytest.mark.parametrize(("values", "message"), VALUES)
def test_bad_values_are_refused(name: str, values: Any, message: str) -> None:
    encoder = encoder_by_name(name, 5, 1e-3)
    with pytest.raises(ShapeError) as caught:
        encoder(values)
    assert str(caught.value) == f"coding.{type(encoder).__name__}: {message}"


@pytest.mark.parametrize("encoder", [Constant(3, 1e-3), Delta(3, 1e-3)])
def test_codes_of_any_number_still_refuse_nan(encoder: Encoder) -> None:
    values = torch.zeros(3, 2, 4)
    values[1, 1, 1] = math.nan
    with pytest.raises(ShapeError, match=r"got NaN or infinity in 1 of 24 places\. Fill or drop"):
        encoder(values)


def test_a_signal_of_another_length_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        Delta(3, 1e-3)(torch.zeros(4, 2, 5))
    assert str(caught.value) == (
        "coding.Delta: the signal must be (time, batch, *features) with 3 steps, got (4, 2, 5). "
        "Time is the first axis; use movedim to put it there."
    )


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Constant, {"steps": 0}, "steps must be a positive integer, got 0. "),
        (Constant, {"steps": 2.0}, "steps must be a positive integer, got 2.0. "),
        (Constant, {"dt": 0.0}, "dt must be a positive, finite time in seconds, got 0.0. "),
        (Constant, {"gain": math.nan}, "gain must be positive and finite, got nan. "),
        (Bernoulli, {"max_rate": -1.0}, "max_rate must be positive and finite, got -1.0. "),
        (
            Bernoulli,
            {"max_rate": 1500.0},
            "max_rate must be at most 1 / dt = 1000 Hz, got 1500. Lower max_rate or dt, "
            "or use Poisson, which may put several spikes into a step.",
        ),
        (Deterministic, {"max_rate": 1001.0}, "max_rate must be at most 1 / dt = 1000 Hz, got"),
        (Deterministic, {"phase": 1.0}, "phase must lie in [0, 1), got 1.0. "),
        (
            Latency,
            {"time_of_zero": 10e-3, "threshold": None},
            "time_of_zero must lie between 0 and 0.009 s, the last step, got 0.01. ",
        ),
        (
            Latency,
            {"time_of_zero": 10.1e-3},
            "time_of_zero must lie between 0 and 0.01 s, the end, got 0.0101. ",
        ),
        (
            ExactLatency,
            {"time_of_zero": 11e-3},
            "time_of_zero must lie between 0 and 0.01 s, the trial's end, got 0.011. ",
        ),
        (ExactLatency, {"threshold": 1.0}, "threshold must lie in [0, 1) or be None, got 1.0. "),
        (Latency, {"time_of_one": -1e-3}, "time_of_one must lie between 0 and 0.009 s, the last"),
        (Latency, {"threshold": 1.0}, "threshold must lie in [0, 1) or be None, got 1.0. "),
        (LogLatency, {"threshold": 0.0}, "threshold must lie in (0, 1), got 0.0. "),
        (LogLatency, {"tau": 0.0}, "tau must be positive and finite, got 0.0. "),
        (Radix, {"steps": 25}, "steps must be a whole number from 1 to 24, got 25. "),
        (Phase, {"period": 0}, "period must be a whole number from 1 to 24, got 0. "),
        (Phase, {"period": 11}, "period must be at most steps = 10, got 11. "),
        (Population, {"neurons": 1}, "neurons must be an integer of at least 2, got 1. "),
        (Population, {"width": 0}, "width must be positive and finite, got 0. "),
        (
            Population,
            {"then": Constant(4, 1e-3)},
            "then must have the same steps and dt, got 4 and 0.001 for 10 and 0.001. ",
        ),
        (Delta, {"threshold": 0.0}, "threshold must be positive and finite, got 0.0. "),
        (Delta, {"maximum": 0}, "maximum must be at least 1 or None, got 0. "),
        (Delta, {"reference": math.inf}, "reference must be finite or None, got inf. "),
    ],
)
def test_bad_options_are_refused(
    kind: type[Encoder], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        kind(**{"steps": 10, "dt": 1e-3, **options})
    assert str(caught.value).startswith(f"coding.{kind.__name__}: {message}")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("dt", [1e-3, 3e-4, 7e-6, 0.1])
def test_a_rate_of_one_spike_a_step_is_allowed_however_it_rounds(dt: float) -> None:
    assert Bernoulli(50, dt, max_rate=1 / dt)(torch.ones(10, 10)).all()


def test_encoders_are_found_by_name_and_unknown_names_get_the_nearest() -> None:
    assert encoder_by_name("latency", 5, 1e-3, threshold=0.5) == Latency(5, 1e-3, threshold=0.5)
    with pytest.raises(ParameterError) as caught:
        encoder_by_name("poison", 5, 1e-3)
    assert str(caught.value) == (
        "coding.encoder_by_name: name must be a known encoder, got 'poison'. "
        "Did you mean 'poisson'?"
    )
    with pytest.raises(ParameterError) as caught:
        encoder_by_name("poisson", 5, 1e-3, maxrate=3.0)
    assert str(caught.value) == (
        "coding.encoder_by_name: options must be fields of Poisson, got 'maxrate'. "
        "Did you mean 'max_rate'?"
    )
