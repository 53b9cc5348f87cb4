"""A table of figures as Markdown and JSON in a folder of the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikewright.files import write_json, write_text
from spikewright.recipes.core.reproduce import Row, Table

HEAD = "| metric | reference | source | ours, mean ± sd | seeds | met |"
RULE = "|---|---:|---|---:|---:|---|"


def record(table: Table, recipe: Any, settings: str, folder: str | Path) -> Path:
    """Write ``NAME.md`` and ``NAME.json`` (``NAME-small`` for the small size); return the page.

    Args:
        table: what was measured.
        recipe: for its title.
        settings: as TOML.
        folder: where to.
    """
    name = table.system if table.size == "full" else f"{table.system}-{table.size}"
    write_json(Path(folder) / f"{name}.json", table.to_json())
    return write_text(Path(folder) / f"{name}.md", _page(table, recipe.title, settings))


def _page(table: Table, title: str, settings: str) -> str:
    command = f"spikewright reproduce {table.system} --size {table.size}"
    seeds = table.rows[0].seeds if table.rows else 0
    place = "\n".join(f"- {name}: {value}" for name, value in table.environment.items())
    return (
        f"# {title}\n\n"
        f"Written by `{command} --seeds {seeds} --record`; {table.seconds:.0f} s in all.\n\n"
        f"{HEAD}\n{RULE}\n" + "".join(f"{_line(row)}\n" for row in table.rows) + "\n"
        f"{_others(table)}## Settings\n\n```toml\n{settings}```\n\n## Environment\n\n{place}\n"
    )


def _line(row: Row) -> str:
    met = "yes" if row.met else "no"
    return f"| {row.metric} | {row.wanted} | {row.source} | {row.ours} | {row.seeds} | {met} |"


def _others(table: Table) -> str:
    """What was measured besides, if anything was."""
    lines = "".join(f"| {metric} | {ours} |\n" for metric, ours in table.others.items())
    head = "## Also measured\n\n| metric | mean, ± sd over seeds |\n|---|---:|\n"
    return f"{head}{lines}\n" if lines else ""
