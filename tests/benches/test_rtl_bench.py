"""The integer network beside float PyTorch and its accelerator: the same work, and its outputs."""

from __future__ import annotations

import pytest
import torch

from spikewright.benches import rtl
from spikewright.benches.core.task import NotOffered
from spikewright.targets.fpga import verilator


def test_numbers_pixels_and_instructions_answer_alike_and_floats_nearly() -> None:
    what = rtl.task(3)
    works = {
        way: rtl.prepare(what, way)
        for way in (rtl.INTEGERS, rtl.PIXELS, rtl.INSTRUCTIONS, rtl.FLOATS)
    }
    found = {way: work.rates() for way, work in works.items()}
    assert len(found[rtl.INTEGERS]) == 30
    assert found[rtl.PIXELS] == found[rtl.INTEGERS] == found[rtl.INSTRUCTIONS]
    together = torch.tensor([found[rtl.INTEGERS], found[rtl.FLOATS]])
    assert float(torch.corrcoef(together)[0, 1]) > 0.8  # the same network, rounded to 3 bits
    for work in works.values():
        work.run()


def test_without_verilator_the_row_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "available", lambda: False)
    with pytest.raises(NotOffered, match="apt install verilator"):
        rtl.prepare(rtl.task(1), rtl.RTL)


def test_outputs_that_differ_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(what: object, found: list[rtl.Entry], rounds: int) -> None:
        for k, entry in enumerate(found):
            entry.samples, entry.rates = [4.0 * (k + 1)], [1.0, float(k == 2)]

    monkeypatch.setattr(rtl, "measure", measured)
    same, other = rtl.against_rtl(rtl.task(8), 1)
    assert (same.ours, same.other, same.ratio) == (2000, 1000, 2)
    assert same.note == "equal in every sum of 8 images"
    assert other.note == "NOT EQUAL in every sum of 8 images"
