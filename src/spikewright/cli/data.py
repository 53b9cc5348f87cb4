"""``spikewright data``: which data sets there are, fetch them, verify them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright import optional
from spikewright.cli.screen import console, table, yes_no

app = typer.Typer(help="List, fetch and verify data sets.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Data sets; left out, all of them.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="Where the files are; by default $SPIKEWRIGHT_DATA, else the user's cache."),
]


@app.command("list")
def list_sets(folder: Folder = None) -> None:
    """Show the data sets, their sizes and licences, and whether the files are there."""
    from spikewright.data import DATASETS, info

    shown = table(None, "name", "what it is", "size", "licence", "there", right=("size",))
    found = [info(name, folder) for name in DATASETS]
    for one in found:
        size = f"{one.size / 1e6:.1f} MB" if one.size else "–"
        there = yes_no(one.present) if one.size else "generated"
        shown.add_row(f"[bold]{one.name}[/]", one.title, size, one.licence, there)
    screen = console()
    screen.print(shown)
    screen.print(f"Folder: {found[0].folder}", markup=False)


@app.command("fetch")
def fetch_sets(names: Names = None, folder: Folder = None) -> None:
    """Download what is missing or damaged, with checksums."""
    from spikewright.data import fetch

    screen = console(stderr=True)
    progress = optional.require("rich.progress")
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    chosen = _chosen(names)
    for name in chosen:
        with progress.Progress(*columns, console=screen) as bars:
            files = fetch(name, folder, _Bar(bars, name))
        where = f"{len(files)} files in {files[0].parent}" if files else "nothing to fetch"
        console().print(f"{name}: {where}", markup=False)


@app.command("verify")
def verify_sets(names: Names = None, folder: Folder = None) -> None:
    """Compare the files with their published checksums; fails where one differs."""
    from spikewright.data import verify

    shown = table(None, "data set", "file", "state")
    bad = False
    for name in _chosen(names):
        states = verify(name, folder)
        for state in states:
            absent = state.fault == "absent"
            bad = bad or (state.fault is not None and (bool(names) or not absent))
            word = "[dim]absent[/]" if absent and not names else f"[bold red]{state.fault}[/]"
            shown.add_row(name, str(state.path), word if state.fault else "[green]whole[/]")
        if not states:
            shown.add_row(name, "generated", "[green]equal to the published set[/]")
    console().print(shown)
    if bad:
        raise typer.Exit(1)


def _chosen(names: list[str] | None) -> list[str]:
    from spikewright.data import DATASETS, dataset_class

    for name in names or []:
        dataset_class(name)
    return names or list(DATASETS)


class _Bar:
    """A bar for each file of a download."""

    def __init__(self, bars: Any, name: str) -> None:
        self._bars, self._name = bars, name
        self._task: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._task is None or done == 0:
            self._task = self._bars.add_task(self._name, total=total)
        self._bars.update(self._task, completed=done, total=total)
