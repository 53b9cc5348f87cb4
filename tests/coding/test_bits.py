"""Whole numbers as planes of bits, most significant first, and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.coding import from_bits, to_bits
from spikewright.errors import ParameterError, ShapeError

EXACT = {
    torch.uint8: 8,
    torch.int8: 7,
    torch.int16: 15,
    torch.int64: 62,
    torch.float32: 24,
    torch.float64: 53,
}


@st.composite
def numbers(draw: st.DrawFn) -> tuple[list[int], int, torch.dtype]:
    dtype = draw(st.sampled_from(sorted(EXACT, key=str)))
    bits = draw(st.integers(1, EXACT[dtype]))
    found = draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=20))
    return found, bits, dtype


@given(numbers())
@settings(deadline=None)
def test_planes_are_the_digits_that_python_writes(case: tuple[list[int], int, torch.dtype]) -> None:
    found, bits, dtype = case
    q = torch.tensor(found, dtype=dtype)
    planes = to_bits(q, bits)
    assert planes.dtype == dtype
    assert ["".join(str(int(s)) for s in train) for train in planes.T.tolist()] == [
        f"{n:0{bits}b}" for n in found
    ]
    back = from_bits(planes)
    assert back.dtype == torch.int64
    assert back.tolist() == found


@given(numbers(), st.data())
@settings(deadline=None)
def test_planes_in_chunks_make_the_number_of_the_whole(
    case: tuple[list[int], int, torch.dtype], data: st.DataObject
) -> None:
    found, bits, dtype = case
    planes = to_bits(torch.tensor(found, dtype=dtype).reshape(-1, 1), bits)
    m = None
    for part in planes.split(data.draw(st.integers(1, bits))):
        m = from_bits(part, before=m)
    assert m is not None
    assert m.flatten().tolist() == found


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_number_of_up_to_eight_bits_returns_and_its_reverse_does_not(bits: int) -> None:
    q = torch.arange(2**bits).reshape(2, -1)
    planes = to_bits(q, bits)
    assert torch.equal(from_bits(planes), q)
    turned = from_bits(planes.flip(0)).flatten().tolist()
    assert turned == [int(f"{n:0{bits}b}"[::-1], 2) for n in range(2**bits)]


def test_shift_and_add_over_planes_is_the_dot_product() -> None:
    generator = torch.Generator().manual_seed(5)
    weight = torch.randint(-4, 4, (7, 50), generator=generator)
    q = torch.randint(0, 16, (50, 3), generator=generator)
    m = torch.zeros(7, 3, dtype=torch.int64)
    for plane in to_bits(q, 4):
        m = 2 * m + weight @ plane
    assert torch.equal(m, weight @ q)


def test_planes_of_truth_values_are_taken() -> None:
    assert from_bits(torch.tensor([[True, False], [False, True]])).tolist() == [2, 1]
    assert to_bits(torch.tensor([True, False]), 1).tolist() == [[True, False]]


@pytest.mark.parametrize("q", [16, -1, 3.5, math.nan, math.inf, -math.inf])
def test_numbers_that_do_not_fit_are_refused(q: float) -> None:
    with pytest.raises(ShapeError) as caught:
        to_bits(torch.tensor([1, q, 2]), 4)
    assert str(caught.value) == (
        "coding.to_bits: q must be whole numbers from 0 to 2^4 - 1 = 15, got others in 1 of 3 "
        "places. Quantise and clamp them first, or use more bits."
    )


@pytest.mark.parametrize("bits", [0, 63, -1, 4.0, True])
def test_a_number_of_bits_out_of_range_is_refused(bits: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        to_bits(torch.tensor([0]), bits)
    assert str(caught.value) == (
        f"coding.to_bits: bits must be a whole number from 1 to 62, got {bits!r}. "
        "Pass for example bits=4, for numbers from 0 to 15."
    )


@pytest.mark.parametrize("shape", [(), (0, 3), (63, 1)])
def test_no_plane_or_too_many_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=r"from_bits: bits must be a whole number from 1"):
        from_bits(torch.zeros(shape))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, math.nan])
def test_planes_of_other_numbers_are_refused(value: float) -> None:
    with pytest.raises(ShapeError) as caught:
        from_bits(torch.tensor([[0.0, 1.0], [1.0, value]]))
    assert str(caught.value) == (
        "coding.from_bits: planes must be 0 or 1, got others in 1 of 4 places. "
        "Split whole numbers with to_bits."
    )
