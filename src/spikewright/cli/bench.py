"""``spikewright bench``: measure speed and memory against others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright import optional
from spikewright.cli.listing import list_benches
from spikewright.cli.screen import console, table

BENCHMARKS = Path("docs") / "benchmarks"


def bench(
    name: Annotated[
        str | None, typer.Argument(help="Which benchmark; left out, all are listed.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help=f"Write the table into {BENCHMARKS}.")
    ] = False,
) -> None:
    """Run a benchmark; a ratio above 1 means that this package is ahead."""
    if name is None:
        list_benches()
        return
    from spikewright.benches import BENCHES, rows, to_json

    screen = console(stderr=True)
    found: list[Any] = []
    for row in rows(name):
        found.append(row)
        screen.print(row.told(), style="dim", markup=False)
    console().print(_table(name, found))
    if json is not None:
        from spikewright.files import write_json

        write_json(json, to_json(name, found))
    if record:
        from spikewright.benches.core.record import record as write_page

        page = write_page(name, BENCHES.summary(name), found, BENCHMARKS)
        console().print(f"recorded in {page}", markup=False)


def _table(name: str, rows: list[Any]) -> Any:
    from spikewright.benches.core.row import COLUMNS, Row

    escape: Any = optional.require("rich.markup").escape
    columns, right = (rows[0].columns, rows[0].right) if rows else (COLUMNS, ())
    shown = table(f"bench {name}", *columns, right=right)
    for row in rows:
        *cells, last = map(escape, row.cells())
        if isinstance(row, Row):
            style = "dim" if row.ratio is None else "green" if row.ratio >= 1 else "yellow"
            last = f"[{style}]{last}[/]"
        shown.add_row(*cells, last)
    return shown
