"""A table of comparisons as Markdown and JSON in a folder of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikewright.benches.core.chart import chart
from spikewright.benches.core.row import COLUMNS, Row, to_json
from spikewright.files import write_json, write_text
from spikewright.report import environment

HEAD = f"| {' | '.join(COLUMNS)} |\n|---|---:|---:|---|---|---:|"


def record(name: str, summary: str, rows: Sequence[Row], folder: str | Path) -> Path:
    """Write ``NAME.md``, ``NAME.json`` and, of rows with peers, ``NAME.svg``; return the page.

    Args:
        summary: what the benchmark compares, one line.
        folder: where to.
    """
    lines = "".join(map(_line, rows))
    place = "\n".join(f"- {key}: {value}" for key, value in environment().items())
    picture = chart(rows)
    shown = f"![The same as a chart]({name}.svg)\n\n" if picture else ""
    if picture:
        write_text(Path(folder) / f"{name}.svg", picture)
    write_json(Path(folder) / f"{name}.json", to_json(name, rows))
    return write_text(
        Path(folder) / f"{name}.md",
        f"# Benchmark: {name}\n\n{summary}\n\nWritten by `spikewright bench {name} --record`. "
        f"A ratio above 1 means that this package is ahead.\n\n{shown}{HEAD}\n{lines}\n"
        f"## Environment\n\n{place}\n",
    )


def _line(row: Row) -> str:
    cells = (cell.replace("|", "\\|") for cell in row.cells())
    return f"| {' | '.join(cells)} |\n"
