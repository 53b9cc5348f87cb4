"""A table of comparisons as Markdown and JSON in a folder of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikewright.benches.core.row import Row, to_json
from spikewright.files import write_json, write_text
from spikewright.report import environment

HEAD = "| case | ours | other | other is | unit | ratio |\n|---|---:|---:|---|---|---:|"


def record(name: str, summary: str, rows: Sequence[Row], folder: str | Path) -> Path:
    """Write ``NAME.md`` and ``NAME.json``; return the page.

    Args:
        summary: what the benchmark compares, one line.
        folder: where to.
    """
    lines = "".join(
        f"| {r.case} | {r.ours:.4g} | {r.other:.4g} | {r.other_name} | {r.unit} | {r.ratio:.2f} |\n"
        for r in rows
    )
    place = "\n".join(f"- {key}: {value}" for key, value in environment().items())
    write_json(Path(folder) / f"{name}.json", to_json(name, rows))
    return write_text(
        Path(folder) / f"{name}.md",
        f"# Benchmark: {name}\n\n{summary}\n\nWritten by `spikewright bench {name} --record`. "
        f"A ratio above 1 means that this package is ahead.\n\n{HEAD}\n{lines}\n"
        f"## Environment\n\n{place}\n",
    )
