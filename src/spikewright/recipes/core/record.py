"""A table of figures as Markdown and JSON in a folder of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikewright.files import write_json, write_text
from spikewright.recipes.core.metric_table import MetricTable
from spikewright.recipes.core.reproduce import Row, Table
from spikewright.report.data import Listing

HEAD = "| metric | reference | source | ours, mean ± sd | seeds | met |"
RULE = "|---|---:|---|---:|---:|---|"


def record(table: Table, recipe: Any, settings: str, folder: str | Path) -> Path:
    """Write ``NAME.md`` and ``NAME.json`` (``NAME-small`` for the small size); return the page.

    Args:
        table: what was measured.
        recipe: for its title and its tables.
        settings: as TOML.
        folder: where to.
    """
    name = table.system if table.size == "full" else f"{table.system}-{table.size}"
    write_json(Path(folder) / f"{name}.json", table.to_json())
    return write_text(Path(folder) / f"{name}.md", _page(table, recipe, settings))


def _page(table: Table, recipe: Any, settings: str) -> str:
    command = f"spikewright reproduce {table.system} --size {table.size}"
    seeds = table.rows[0].seeds if table.rows else 0
    place = "\n".join(f"- {name}: {value}" for name, value in table.environment.items())
    return (
        f"# {recipe.title}\n\n"
        f"Written by `{command} --seeds {seeds} --record`; {table.seconds:.0f} s in all.\n\n"
        f"{HEAD}\n{RULE}\n" + "".join(f"{_line(row)}\n" for row in table.rows) + "\n"
        f"{_listings(table, recipe.tables)}{_others(table, recipe.tables)}"
        f"## Settings\n\n```toml\n{settings}```\n\n## Environment\n\n{place}\n"
    )


def _line(row: Row) -> str:
    met = "yes" if row.met else "no"
    return f"| {row.metric} | {row.wanted} | {row.source} | {row.ours} | {row.seeds} | {met} |"


def _listings(table: Table, tables: Sequence[MetricTable]) -> str:
    """The recipe's own tables, those that something was measured for."""
    found = (each.listing(table.measured) for each in tables)
    return "".join(_section(each) for each in found if each is not None)


def _section(shown: Listing) -> str:
    numeric = set(shown.numeric)
    rule = "|".join("---:" if place in numeric else "---" for place in range(len(shown.head)))
    lines = "".join(f"| {' | '.join(row)} |\n" for row in shown.rows)
    lead = f"{shown.lead}\n\n" if shown.lead else ""
    return f"## {shown.title}\n\n{lead}| {' | '.join(shown.head)} |\n|{rule}|\n{lines}\n"


def _others(table: Table, tables: Sequence[MetricTable]) -> str:
    """What was measured besides, if anything was."""
    shown = frozenset[str]().union(*(each.names(table.measured) for each in tables))
    others = {metric: ours for metric, ours in table.others.items() if metric not in shown}
    lines = "".join(f"| {metric} | {ours} |\n" for metric, ours in others.items())
    head = "## Also measured\n\n| metric | mean, ± sd over seeds |\n|---|---:|\n"
    return f"{head}{lines}\n" if lines else ""
