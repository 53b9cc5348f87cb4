"""A table of comparisons as Markdown and JSON in a folder of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikewright.benches.core.chart import chart
from spikewright.benches.core.figures import Figures
from spikewright.benches.core.row import Row, to_json
from spikewright.files import write_json, write_text
from spikewright.report import environment

AHEAD = " A ratio above 1 means that this package is ahead."


def record(
    name: str, summary: str, rows: Sequence[Row] | Sequence[Figures], folder: str | Path
) -> Path:
    """Write ``NAME.md``, ``NAME.json`` and, of rows with peers, ``NAME.svg``; return the page.

    Args:
        summary: what the benchmark compares, one line.
        rows: at least one.
        folder: where to.
    """
    lines = "".join(_line(row.cells()) for row in rows)
    place = "\n".join(f"- {key}: {value}" for key, value in environment().items())
    compared = [row for row in rows if isinstance(row, Row)]
    picture = chart(compared)
    shown = f"![The same as a chart]({name}.svg)\n\n" if picture else ""
    if picture:
        write_text(Path(folder) / f"{name}.svg", picture)
    write_json(Path(folder) / f"{name}.json", to_json(name, rows))
    return write_text(
        Path(folder) / f"{name}.md",
        f"# Benchmark: {name}\n\n{summary}\n\nWritten by `spikewright bench {name} --record`."
        f"{AHEAD if compared else ''}\n\n{shown}{_head(rows[0])}{lines}\n"
        f"## Environment\n\n{place}\n",
    )


def _head(row: Row | Figures) -> str:
    sides = ("---:" if name in row.right else "---" for name in row.columns)
    return f"{_line(row.columns)}|{'|'.join(sides)}|\n"


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"
