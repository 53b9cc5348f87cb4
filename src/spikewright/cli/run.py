"""``spikewright run``: train a recipe's network, test it, and write a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.cli import options
from spikewright.cli.listing import list_recipes
from spikewright.cli.screen import aside, console, pairs

Folder = Annotated[Path | None, typer.Option(help="Where the run is kept; by default runs/NAME.")]


def run(
    name: options.Name = None,
    recordings: options.Recordings = None,
    target: options.Target = None,
    size: options.Size = None,
    epochs: options.Epochs = None,
    seconds: options.Seconds = None,
    seed: options.Seed = None,
    memory: options.Memory = None,
    truncate: options.Truncate = None,
    folder: Folder = None,
    config: options.Config = None,
    assignments: options.Set = None,
    resume: options.Resume = None,
    progress: options.Progress = True,
) -> None:
    """Make the data, train, test, deploy where the recipe has a target, write report.html."""
    if name is None and config is None:
        list_recipes("run")
        return
    from spikewright.recipes.core.report import make_report
    from spikewright.recipes.core.run import Stopped
    from spikewright.recipes.core.run import run as run_recipe
    from spikewright.recipes.core.say import silent
    from spikewright.recipes.core.sweep import single
    from spikewright.training import has_checkpoint

    flags = {"epochs": epochs, "seconds": seconds, "seed": seed}
    flags |= {"memory": memory, "truncate": truncate, "path": recordings, "target": target}
    chosen = options.choose(options.Given(name, size, config, assignments, flags))
    place = folder or Path("runs") / chosen.recipe.name
    screen, say = console(), aside if progress else silent
    screen.print(f"[bold]{chosen.recipe.title}[/], seed {chosen.settings.seed}, in {place}")
    if resume is None and has_checkpoint(place / "last"):
        screen.print("Going on from the run that is there; --fresh starts anew.", style="dim")
    try:
        outcome = run_recipe(
            chosen.recipe,
            chosen.settings,
            place,
            resume=options.resume_word(resume),
            progress=progress,
            say=say,
        )
    except Stopped:
        raise KeyboardInterrupt(
            f"by Ctrl-C, all is saved in {place}. The same command goes on from there."
        ) from None
    explored = chosen.recipe.explore(outcome, say)
    path = make_report(outcome, explored).save(place / "report.html")
    screen.print(_figures(outcome, single(chosen.recipe.sweeps, explored), path))


def _figures(outcome: Any, besides: Mapping[str, float], path: Path) -> Any:
    """The key figures of a run as a grid of names and values."""
    from spikewright.data.clips import ClipSet
    from spikewright.report.text import counted, duration, number

    metrics, fit = outcome.metrics(), outcome.fit
    grid = pairs()
    if isinstance(outcome.parts.data, ClipSet):
        grid.add_row("recordings", str(outcome.parts.data.report))
    for kind in ("test", "validation"):
        if f"{kind} accuracy, %" in metrics:
            style = "[bold green]{:.2f} %[/]" if kind == "test" else "{:.2f} %"
            grid.add_row(f"{kind} accuracy", style.format(metrics[f"{kind} accuracy, %"]))
    for stage in outcome.stages[1:]:
        grid.add_row(stage.name, f"[bold]{stage.accuracy:.2f} %[/] of the test samples")
    if "test loss" in metrics:
        grid.add_row("test loss", f"{metrics['test loss']:.4f}")
    for layer, rate in outcome.test.metrics.get("rates", {}).items():
        hertz = rate / outcome.parts.network.dt
        grid.add_row(f"rate of {layer}", f"{rate:.3g} spikes a step and neuron, {hertz:.3g} Hz")
    for name, value in besides.items():
        grid.add_row(name, number(value, 4))
    each, epochs = duration(outcome.epoch_seconds), counted(fit.epochs, "epoch")
    ended = "" if fit.stopped == "epochs" else f", ended by {fit.stopped}"
    grid.add_row("training", f"{epochs} in {duration(fit.seconds)}, {each} each{ended}")
    for listener in sorted(path.parent.glob("*/program/listener.json")):
        grid.add_row("listen with", f"spikewright listen {listener.parent} FILE")
    grid.add_row("report", f"[bold]{path}[/]")
    return grid
