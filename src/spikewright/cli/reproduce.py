"""``spikewright reproduce``: a system of the literature, against its figures."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.cli import options
from spikewright.cli.listing import list_recipes
from spikewright.cli.screen import console, table, yes_no

RESULTS = Path("docs") / "results"

Seeds = Annotated[int | None, typer.Option(help="How many seeds; by default the recipe's own.")]
Workers = Annotated[
    int, typer.Option(help="Processes that run seeds side by side; results stay the same.")
]
Json = Annotated[Path | None, typer.Option(help="Also write the table to this file.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        help="Keep the runs and a report.html here; a second call goes on from them. By default "
        "nothing is kept."
    ),
]
Record = Annotated[bool, typer.Option("--record", help=f"Write the table into {RESULTS}.")]


def reproduce(
    name: options.Name = None,
    size: options.Size = None,
    seeds: Seeds = None,
    workers: Workers = 1,
    json: Json = None,
    folder: Folder = None,
    config: options.Config = None,
    assignments: options.Set = None,
    progress: options.Progress = True,
    record: Record = False,
) -> None:
    """Run a recipe with several seeds and compare mean and spread with the figures to meet."""
    if name is None and config is None:
        list_recipes("reproduce")
        return
    from spikewright.files import write_json
    from spikewright.recipes.core.record import record as write_page
    from spikewright.recipes.core.reproduce import Plan
    from spikewright.recipes.core.reproduce import reproduce as measure
    from spikewright.recipes.core.reproduced import make_reproduction_report
    from spikewright.settings import to_toml

    chosen = options.choose(options.Given(name, size, config, assignments, {}))
    count = seeds if seeds is not None else chosen.recipe.seeds[chosen.size]
    with tempfile.TemporaryDirectory(prefix="spikewright-") as temporary:
        place = folder or Path(temporary)
        plan = Plan(chosen.recipe, chosen.settings, chosen.size, count, place, workers)
        found = measure(plan, progress=progress, on_seed=partial(_say, chosen))
    console().print(_table(chosen.recipe.title, found))
    if folder is not None:
        report = make_reproduction_report(chosen.recipe, chosen.settings, found)
        path = report.save(folder / "report.html")
        console().print(f"report in {path}", markup=False)
    if json is not None:
        write_json(json, found.to_json())
    if record:
        page = write_page(found, chosen.recipe, to_toml(chosen.settings), RESULTS)
        console().print(f"recorded in {page}", markup=False)


def _say(chosen: options.Chosen, seed: int, values: Mapping[str, float]) -> None:
    """The figures of one seed, while the others are still to come."""
    names = [f.metric for f in chosen.recipe.figures if f.metric in values]
    text = ", ".join(f"{name} {values[name]:.4g}" for name in names)
    line = f"seed {seed}: {text}"
    console(stderr=True).print(line, style="dim", markup=False, soft_wrap=True)


def _table(title: str, found: Any) -> Any:
    columns = ("metric", "reference", "source", "ours, mean ± sd", "seeds", "met")
    numbers = ("reference", "ours, mean ± sd", "seeds")
    shown = table(f"{title}, size {found.size}, {found.seconds:.0f} s", *columns, right=numbers)
    for row in found.rows:
        spread = f"{row.sd:.2f}" if row.seeds > 1 else "–"
        shown.add_row(
            row.metric,
            row.wanted,
            row.source,
            f"[bold]{row.value:.2f}[/] ± {spread}",
            str(row.seeds),
            yes_no(row.met),
        )
    return shown
