"""``spikewright bench``: measure speed and memory against others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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
        screen.print(f"{row.case}: {row.ratio:.2f} × {row.other_name}", style="dim", markup=False)
    console().print(_table(name, found))
    if json is not None:
        from spikewright.files import write_json

        write_json(json, to_json(name, found))
    if record:
        from spikewright.benches.core.record import record as write_page

        page = write_page(name, BENCHES.summary(name), found, BENCHMARKS)
        console().print(f"recorded in {page}", markup=False)


def _table(name: str, rows: list[Any]) -> Any:
    numbers = ("ours", "other", "ratio")
    columns = ("case", "ours", "other", "other is", "unit", "ratio")
    shown = table(f"bench {name}", *columns, right=numbers)
    for row in rows:
        style = "green" if row.ratio >= 1 else "yellow"
        shown.add_row(
            row.case,
            f"{row.ours:.4g}",
            f"{row.other:.4g}",
            row.other_name,
            row.unit,
            f"[{style}]{row.ratio:.2f}[/]",
        )
    return shown
