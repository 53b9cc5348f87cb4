"""Codes of whole sequences: values one after another, crossings of thresholds, a cue."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.coding import Chain, Crossing, Cue, ExactLatency, Serial, encoder_by_name
from spikewright.errors import ParameterError, ShapeError

DT = 1e-3
NAMES = ("A up", "B up", "C up", "A down", "B down", "C down")


def signal(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)


def spoken(spikes: Tensor) -> list[set[str]]:
    return [{NAMES[i] for i in row.nonzero().flatten().tolist()} for row in spikes[:, 0]]


def test_the_example_of_a_signal_with_three_thresholds() -> None:
    code = Crossing(6, DT, thresholds=(20, 80, 170))
    first, *rest = spoken(code(signal(0, 40, 180, 180, 30, 0)))
    assert first == set()
    assert rest == [{"A up"}, {"B up", "C up"}, set(), {"B down", "C down"}, {"A down"}]


def test_forty_thresholds_with_a_touch_and_a_cue_make_eighty_inputs_and_840_steps() -> None:
    levels = [k / 39 for k in range(40)]
    crossing = Crossing(784, DT, thresholds=levels, touch=True)
    code = Chain((Serial(784, DT), crossing, Cue(840, DT)))
    images = torch.zeros(2, 784)
    images[0, 100:103] = torch.tensor([1.0, 1.0, 0.5])
    x = code(images)
    assert (code.steps, code.dt) == (840, DT)
    assert x.shape == (840, 2, 80)
    rises, falls, touch, cue = x.split([39, 39, 1, 1], 2)
    assert rises.sum((1, 2)).nonzero().flatten().tolist() == [100]
    assert rises[100, 0].sum() == 39
    assert falls[102, 0].sum() == 19  # levels 20/39 to 38/39
    assert falls[103, 0].sum() == 20
    assert touch[:, 0].nonzero()[:, 0].tolist() == [100, 101]
    assert cue.sum(0).flatten().tolist() == [56, 56]
    assert not cue[:784].any()
    assert not x[:784, 1].any()


@given(
    values=st.lists(st.integers(0, 6), min_size=2, max_size=30),
    levels=st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True),
    touch=st.booleans(),
    cut=st.integers(1, 29),
)
@settings(max_examples=60, deadline=None)
def test_crossings_are_those_of_a_loop_and_chunks_give_the_whole(
    values: list[int], levels: list[int], touch: bool, cut: int
) -> None:
    levels = sorted(levels)
    code = Crossing(len(values), DT, thresholds=levels, touch=touch)
    whole = code(signal(*values))
    pairs = levels[:-1] if touch else levels
    for t, now in enumerate(values):
        before = values[t - 1] if t else now
        expected = [before <= level < now for level in pairs]
        expected += [now <= level < before for level in pairs]
        expected += [now >= levels[-1]] if touch else []
        assert whole[t, 0].tolist() == [float(e) for e in expected]
    cut = min(cut, len(values) - 1)
    first, last = code.chunk(signal(*values[:cut]))
    second, _ = code.chunk(signal(*values[cut:]), last)
    assert torch.equal(torch.cat([first, second]), whole)


def test_features_have_their_inputs_side_by_side() -> None:
    code = Crossing(5, DT, thresholds=(0.3, 0.6))
    x = torch.rand(5, 2, 3, generator=torch.Generator().manual_seed(2))
    assert code.channels(3) == 12
    apart = [code(x[..., k : k + 1]) for k in range(3)]
    assert torch.equal(code(x), torch.cat(apart, 2))


def test_serial_gives_rows_of_an_image_for_as_many_steps_as_asked() -> None:
    images = torch.arange(24.0).view(2, 1, 4, 3)
    x = Serial(8, DT, width=3, repeat=2)(images)
    assert x.shape == (8, 2, 3)
    assert torch.equal(x[0::2], images[:, 0].transpose(0, 1))
    assert torch.equal(x[1::2], x[0::2])
    assert torch.equal(Serial(12, DT)(images)[:, 1, 0], images[1].flatten())


def test_a_cue_as_long_as_the_signal_is_one_silent_input() -> None:
    x = torch.rand(4, 2, 3)
    cued = Cue(4, DT)(x)
    assert torch.equal(cued[..., :3], x)
    assert not cued[..., 3].any()


def test_codes_of_sequences_have_names_for_settings() -> None:
    made = encoder_by_name("crossing", 10, DT, thresholds=(0.5,))
    assert made == Crossing(10, DT, thresholds=(0.5,))
    assert encoder_by_name("serial", 10, DT, width=2) == Serial(10, DT, width=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crossing(3, DT, thresholds=()), "coding.Crossing: thresholds must be finite, "),
        (lambda: Crossing(3, DT, thresholds=(2.0, 1.0)), "increasing numbers, got (2.0, 1.0). "),
        (lambda: Crossing(3, DT, thresholds=(float("nan"),)), "thresholds must be finite, "),
        (lambda: Serial(3, DT, width=0), "coding.Serial: width must be a positive integer, got 0."),
        (lambda: Serial(3, DT, repeat=1.5), "repeat must be a positive integer, got 1.5."),
        (lambda: Chain(()), "coding.Chain: encoders must hold at least one, got none. "),
        (
            lambda: Chain((Serial(3, DT), Cue(4, 2e-3))),
            "coding.Chain: dt must be the same in all encoders, got 1 ms, 2 ms. ",
        ),
    ],
)
def test_options_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: Crossing(3, DT)(torch.zeros(4, 1, 1)), "with 3 steps, got (4, 1, 1). "),
        (lambda: Crossing(3, DT).chunk(torch.zeros(2, 4, 1), torch.zeros(3, 1)), "last must be "),
        (lambda: Crossing(3, DT)(torch.zeros(3, 1)), "(time, batch, features) with at least one "),
        (lambda: Crossing(3, DT)(torch.zeros(3, 1, 1).long()), "must be a tensor of floating-"),
        (lambda: Crossing(3, DT)(torch.full((3, 1, 1), torch.nan)), "values must be finite, "),
        (
            lambda: Serial(3, DT)(torch.zeros(2, 4)),
            "coding.Serial: values must have steps * width / repeat = 3 features, got 4. "
            "Pass steps=4.",
        ),
        (lambda: Cue(3, DT)(torch.zeros(4, 1, 1)), "coding.Cue: the signal must be (time, batch, "),
        (
            lambda: Chain((ExactLatency(3, DT), Cue(4, DT)))(torch.ones(1, 2)),
            "coding.Chain: ExactLatency must give a tensor, got SpikeTimes. ",
        ),
    ],
)
def test_signals_that_do_not_fit_are_refused(use: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        use()
    assert message in str(caught.value)
