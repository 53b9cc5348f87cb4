"""Codes with a way back: what returns exactly, and how far all else may stray."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.coding import (
    Bernoulli,
    Deterministic,
    ExactLatency,
    Invertible,
    Latency,
    LogLatency,
    Phase,
    Poisson,
    Radix,
)
from spikewright.errors import ParameterError, ShapeError

DT = 1e-3
MAKES: dict[str, Callable[[int], Invertible]] = {
    "radix": lambda steps: Radix(steps, DT),
    "phase": lambda steps: Phase(steps, DT, period=(steps + 1) // 2),
    "deterministic": lambda steps: Deterministic(steps, DT),
    "late": lambda steps: Deterministic(steps, DT, phase=0.0),
    "slow": lambda steps: Deterministic(steps, DT, max_rate=700.0, phase=0.75),
    "latency": lambda steps: Latency(steps + 1, DT),
    "silent zero": lambda steps: Latency(steps, DT, time_of_zero=steps * DT),
    "small first": lambda steps: Latency(steps + 1, DT, steps * DT, 0.0, threshold=None),
}
LEVELS: dict[str, Callable[[int], int]] = {
    "radix": lambda steps: 2**steps,
    "phase": lambda steps: 2 ** ((steps + 1) // 2),
    "deterministic": lambda steps: steps + 1,
    "late": lambda steps: steps + 1,
    "slow": lambda steps: math.floor(Fraction(7 * steps, 10) + Fraction(3, 4)) + 1,
    "latency": lambda steps: steps + 1,
    "silent zero": lambda steps: steps + 1,
    "small first": lambda steps: steps + 1,
}
codes = st.sampled_from(sorted(MAKES))
values_strategy = st.lists(st.floats(0, 1), min_size=1, max_size=40)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@given(name=codes, steps=st.integers(1, 8), dtype=st.sampled_from(DTYPES))
@settings(deadline=None, max_examples=150)
def test_levels_come_back_to_the_last_bit(name: str, steps: int, dtype: torch.dtype) -> None:
    code = MAKES[name](steps)
    assert len(code.levels) == LEVELS[name](steps)
    assert (code.levels.diff() > 0).all()
    levels = code.levels.to(dtype)[None]
    back = code.decode(code(levels))
    assert back.dtype == dtype
    assert torch.equal(back, levels)


@given(name=codes, steps=st.integers(1, 8), values=values_strategy)
@settings(deadline=None, max_examples=150)
def test_any_value_comes_back_as_a_level_within_the_bound(
    name: str, steps: int, values: list[float]
) -> None:
    code = MAKES[name](steps)
    x = torch.tensor(values, dtype=torch.float64)[None]
    back = code.decode(code(x))
    assert ((back - x).abs() <= code.bound * (1 + 1e-9)).all()
    assert torch.isin(back, code.levels).all()


@pytest.mark.parametrize("steps", [2, 3, 5, 8])
@pytest.mark.parametrize("name", MAKES)
def test_the_bound_is_attained(name: str, steps: int) -> None:
    code, points = MAKES[name](steps), 20_000
    x = (torch.arange(points + 1, dtype=torch.float64) / points)[None]
    error = float((code.decode(code(x)) - x).abs().max())
    assert code.bound - 1 / points <= error <= code.bound * (1 + 1e-9)


@given(name=codes, steps=st.integers(1, 8), values=values_strategy, cut=st.integers(0, 40))
@settings(deadline=None)
def test_a_batch_in_two_parts_gives_the_whole(
    name: str, steps: int, values: list[float], cut: int
) -> None:
    code = MAKES[name](steps)
    x = torch.tensor(values).reshape(-1, 1, 1)
    whole = code(x)
    assert torch.equal(torch.cat([code(x[:cut]), code(x[cut:])], 1), whole)
    parts = [code.decode(whole[:, :cut]), code.decode(whole[:, cut:])]
    assert torch.equal(torch.cat(parts), code.decode(whole))


@pytest.mark.parametrize("steps", range(1, 9))
def test_radix_sends_one_spike_for_each_set_bit_and_half_its_steps_on_average(steps: int) -> None:
    code = Radix(steps, DT)
    spikes = code(code.levels[:, None])
    assert spikes.sum((0, 2)).tolist() == [q.bit_count() for q in range(2**steps)]
    assert spikes.sum(0).mean() == steps / 2
    trains = ["".join(str(int(s)) for s in train) for train in spikes[:, :, 0].T.tolist()]
    assert trains == [f"{q:0{steps}b}" for q in range(2**steps)]


@given(steps=st.integers(1, 24), value=st.floats(0, 1, width=32))
@settings(deadline=None)
def test_radix_rounds_halves_up(steps: int, value: float) -> None:
    (train,) = Radix(steps, DT)(torch.tensor([[value]]))[:, 0].T.int().tolist()
    q = math.floor(Fraction(value) * (2**steps - 1) + Fraction(1, 2))
    assert int("".join(map(str, train)), 2) == q


def test_a_byte_of_an_image_is_sent_as_it_is() -> None:
    pixels = torch.arange(256.0) / 255
    code = Radix(8, DT)
    spikes = code(pixels[None])[:, 0]
    weights = torch.tensor([128.0, 64, 32, 16, 8, 4, 2, 1])
    assert torch.equal(weights @ spikes, torch.arange(256.0))
    assert torch.equal(code.decode(spikes[:, None])[0], pixels)


def test_bits_in_reverse_are_other_values_except_of_palindromes() -> None:
    code = Radix(5, DT)
    spikes = code(code.levels[None])
    turned = (code.decode(spikes.flip(0))[0] * 31).round().int().tolist()
    assert turned == [int(f"{q:05b}"[::-1], 2) for q in range(32)]
    assert sum(a != b for a, b in enumerate(turned)) == 32 - 8


def test_phase_repeats_the_bits_and_may_end_within_them() -> None:
    code = Phase(8, DT, period=3)
    spikes = code(torch.tensor([[5 / 7, 3 / 7]]))
    assert spikes[:, 0, 0].tolist() == [1, 0, 1, 1, 0, 1, 1, 0]
    assert spikes[:, 0, 1].tolist() == [0, 1, 1, 0, 1, 1, 0, 1]
    assert Phase(20, DT).bits == 8
    assert Phase(5, DT).bits == 5


@given(
    q=st.integers(0, 31), repeats=st.integers(1, 6), extra=st.integers(0, 4), lost=st.integers(0, 4)
)
@settings(deadline=None)
def test_a_spike_that_phase_loses_costs_its_weight_over_its_repetitions(
    q: int, repeats: int, extra: int, lost: int
) -> None:
    code = Phase(5 * repeats + extra, DT, period=5)
    x = torch.tensor([[q / 31]], dtype=torch.float64)
    spikes = code(x)
    assert torch.equal(code.decode(spikes), x)
    sent = spikes[lost].item()
    spikes[lost] = 0
    times = repeats + (lost < extra)
    expected = (q - sent * 2 ** (4 - lost) / times) / 31
    assert code.decode(spikes).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("steps", range(1, 9))
def test_the_spikes_of_even_values_are_what_the_codes_promise(steps: int) -> None:
    x = ((torch.arange(5040, dtype=torch.float64) + 0.5) / 5040)[None]

    def mean(name: str) -> float:
        return float(MAKES[name](steps)(x).sum(0).mean())

    # The codes are symmetric about 1/2; ties between levels, half of them each way, may add some.
    for name in ("radix", "phase", "deterministic"):
        assert mean(name) == pytest.approx(steps / 2, abs=steps * 2**steps / 5040)
    # A single spike, but for the values next to 0.
    assert mean("silent zero") == pytest.approx(1 - 1 / (2 * steps), abs=1e-3)
    assert mean("small first") == 1


def test_silence_is_zero_and_the_first_spike_counts() -> None:
    code = Latency(4, DT, time_of_zero=4 * DT)
    spikes = torch.zeros(4, 1, 3)
    spikes[1, 0, 1] = spikes[3, 0, 1] = spikes[3, 0, 2] = 1
    assert code.decode(spikes).tolist() == [[0, 0.75, 0.25]]
    assert code(torch.tensor([[0.12, 0.13]])).sum(0).tolist() == [[0, 1]]


def test_times_off_the_grid_come_back_within_zero_and_one() -> None:
    code = Latency(9, DT, time_of_one=1.3e-3, time_of_zero=7.2e-3)
    levels = code.levels
    assert levels[0] == 0
    assert levels[-1] == 1
    # Steps 1 to 7; (7.2 - t) / 5.9 in between, 0 for step 7 and for silence.
    expected = [0.0, *(float(Fraction(72 - 10 * t, 59)) for t in (7, 6, 5, 4, 3, 2)), 1.0]
    assert levels.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("steps", "threshold"), [(100, 0.2), (30, 0.3), (12, 0.5), (3, 0.2)])
def test_the_time_of_a_leaky_integrator_comes_back(steps: int, threshold: float) -> None:
    code = LogLatency(steps, DT, threshold=threshold)
    levels = code.levels[None]
    # By hand: one level for each step from that of value 1 on, and silence.
    earliest = round(20 * math.log(1 / (1 - threshold)))
    ones = [threshold / (1 - math.exp(-t / 20)) if t else 1 for t in range(earliest, steps)]
    expected = sorted({0.0, *(min(1.0, value) for value in ones)})
    assert levels[0].tolist() == pytest.approx(expected)
    assert torch.equal(code.decode(code(levels)), levels)
    x = torch.arange(20_001, dtype=torch.float64)[None] / 20_000
    error = float((code.decode(code(x)) - x).abs().max())
    assert code.bound - 1e-4 <= error <= code.bound * (1 + 1e-9)


def test_exact_times_come_back_to_rounding_and_silence_as_zero() -> None:
    x = torch.rand(20, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    x[0, :2] = torch.tensor([0.0, 1.0])
    code = ExactLatency(20, DT, time_of_one=2e-3, time_of_zero=18e-3)
    torch.testing.assert_close(code.decode(code(x)), x, rtol=0, atol=1e-14)
    some = ExactLatency(20, DT, threshold=0.4)
    torch.testing.assert_close(some.decode(some(x)), x * (x > 0.4), rtol=0, atol=1e-14)
    with pytest.raises(ShapeError) as caught:
        ExactLatency(21, DT).decode(some(x))
    assert str(caught.value) == (
        "coding.ExactLatency: spikes must be of a trial of 0.021 s, got 0.02 s. "
        "Decode with the steps that they were encoded with."
    )


def test_a_threshold_widens_the_bound_of_a_latency() -> None:
    code = Latency(11, DT, threshold=0.3)
    assert code.bound == 0.3
    assert code.levels.tolist() == pytest.approx([0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    x = torch.tensor([[0.3]])
    assert code.decode(code(x)).item() == 0


@pytest.mark.parametrize("value", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("max_rate", [None, 400.0])
def test_a_count_by_chance_is_an_unbiased_estimate_with_the_error_it_says(
    value: float, max_rate: float | None
) -> None:
    code, samples = Bernoulli(16, DT, max_rate), 40_000
    x = torch.full((samples, 1), value, dtype=torch.float64)
    error = code.decode(code(x, torch.Generator().manual_seed(3))) - x
    mean_square = value * ((1 if max_rate is None else 2.5) - value) / 16
    assert abs(float(error.mean())) < 5 * math.sqrt(mean_square / samples)
    # The kurtosis of a count is below 4.3 here: 5 deviations of the mean square are 4.6 %.
    assert float(error.square().mean()) == pytest.approx(mean_square, rel=0.05)
    assert mean_square <= code.rms_bound**2 * (1 + 1e-12)


def test_the_greatest_error_of_a_rate_by_chance_is_at_its_half() -> None:
    assert Bernoulli(16, DT).rms_bound == 1 / 8
    # At a probability of 0.4 for value 1, that of 1 itself: sqrt(1 (1 / 0.4 - 1) / 16).
    assert Bernoulli(16, DT, max_rate=400.0).rms_bound == pytest.approx(math.sqrt(1.5 / 16))
    assert Bernoulli(16, DT, max_rate=800.0).rms_bound == pytest.approx(0.625 / 4)


def test_poisson_counts_come_back_as_rates() -> None:
    code = Poisson(10, DT, max_rate=2000.0)
    spikes = torch.zeros(10, 1, 2)
    spikes[3, 0, 0] = 3
    spikes[4, 0, 0] = 2
    assert code.decode(spikes).tolist() == [[0.25, 0.0]]


def test_half_precision_counts_a_long_train() -> None:
    code = Deterministic(5000, DT)
    x = torch.tensor([[0.75]], dtype=torch.bfloat16)
    assert torch.equal(code.decode(code(x)), x)


BACKWARDS = [
    Radix(4, DT),
    Phase(4, DT),
    Deterministic(4, DT),
    Bernoulli(4, DT),
    Latency(4, DT),
    LogLatency(4, DT),
]


@pytest.mark.parametrize("code", BACKWARDS, ids=lambda code: code.name)
@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        (torch.full((4, 1, 1), 2.0), "spikes must be 0 or 1, got others in 4 of 4"),
        (torch.full((4, 1, 1), 0.5), "spikes must be 0 or 1, got others in 4 of 4"),
        (torch.full((4, 1, 1), -1.0), "spikes must be 0 or 1, got others in 4 of 4"),
        (torch.full((4, 1, 1), math.nan), "spikes must be 0 or 1, got others in 4 of 4"),
        (torch.zeros(5, 1, 1), "spikes must be (time, batch, *features) with 4 steps, got (5, 1"),
        (torch.zeros(4), "spikes must be (time, batch, *features) with 4 steps, got (4,). "),
        (torch.zeros(4, 1, 1).int(), "spikes must be a tensor of floating-point numbers, got "),
        ([1.0], "spikes must be a tensor of floating-point numbers, got list. "),
    ],
)
def test_what_is_no_train_of_spikes_is_refused(
    code: Invertible, spikes: Tensor, message: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        code.decode(spikes)
    assert str(caught.value).startswith(f"coding.{type(code).__name__}: {message}")


def test_poisson_takes_several_spikes_a_step_but_whole_ones() -> None:
    code = Poisson(4, DT)
    assert code.decode(torch.full((4, 1, 1), 2.0)).item() == 2
    with pytest.raises(ShapeError, match="spikes must be whole numbers, got others in 4 of 4"):
        code.decode(torch.full((4, 1, 1), math.inf))


def test_a_latency_that_puts_all_spikes_at_one_time_has_no_way_back() -> None:
    code = Latency(1, DT)
    with pytest.raises(ParameterError) as caught:
        code.decode(code(torch.ones(1, 1)))
    assert str(caught.value) == (
        "coding.Latency: time_of_zero and time_of_one must differ for a way back, got 0.0 for "
        "both. Use more steps, or time_of_zero=steps * dt."
    )
