from __future__ import annotations

from spikewright.benches import streaming


def test_a_short_run_gives_both_figures_for_each_block() -> None:
    found = list(streaming.rows(seconds=2.0))
    assert [row.unit for row in found] == ["s/s", "MB"] * len(streaming.BLOCKS)
    assert found[0].case == "2 s of sound at 16 kHz, blocks of 0.1 s: work"
