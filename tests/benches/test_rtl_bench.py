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


def test_every_peer_is_called_by_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "available", lambda: True)
    monkeypatch.setattr(verilator, "ask_tool", lambda command, _: f"{command[0]} 5.006 2023-01-22")
    verilator._versions.cache_clear()
    versions = {way: rtl.prepare(rtl.task(1), way).version for way in (rtl.RTL, rtl.INSTRUCTIONS)}
    verilator._versions.cache_clear()
    assert versions == {rtl.RTL: "5.006", rtl.INSTRUCTIONS: ""}

    def measured(what: object, found: list[rtl.Entry], rounds: int) -> None:
        for entry in found:
            entry.samples, entry.rates, entry.version = [4.0], [1.0], versions.get(entry.way, "x")

    monkeypatch.setattr(rtl, "measure", measured)
    peers = [row.other_name for row in rtl.against_rtl(rtl.task(8), 1)]
    assert peers == ["SystemVerilog in Verilator 5.006", "our interpreter"]


def test_outputs_that_differ_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(what: object, found: list[rtl.Entry], rounds: int) -> None:
        for k, entry in enumerate(found):
            entry.samples, entry.rates = [4.0 * (k + 1)], [1.0, float(k == 2)]

    monkeypatch.setattr(rtl, "measure", measured)
    same, other = rtl.against_rtl(rtl.task(8), 1)
    assert (same.ours, same.other, same.ratio) == (2000, 1000, 2)
    assert same.note == "equal in every sum of 8 images"
    assert other.note == "NOT EQUAL in every sum of 8 images"
