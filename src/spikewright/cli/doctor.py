"""``spikewright doctor``: examine a recipe's network on one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright import optional
from spikewright.cli import options
from spikewright.cli.listing import list_recipes
from spikewright.cli.screen import console, table

Trained = Annotated[
    Path | None,
    typer.Option(help="Examine the best weights of the run in this folder, not fresh ones."),
]


def doctor(
    name: options.Name = None,
    size: options.Size = None,
    seed: options.Seed = None,
    config: options.Config = None,
    assignments: options.Set = None,
    trained: Trained = None,
) -> None:
    """Show firing rates, surrogate windows and gradients on one batch, and what to change."""
    if name is None and config is None:
        list_recipes("doctor")
        return
    given = options.Given(name, size, config, assignments, {"seed": seed})
    chosen = options.choose(given)
    from spikewright.learning import doctor as examine
    from spikewright.recipes.core.run import trained as saved
    from spikewright.training.checkpoint import load_checkpoint

    parts, batch = patient(chosen, trained)
    state = None if trained is None else load_checkpoint(saved(trained)).rule_state
    screen = console()
    screen.print(_table(chosen, examine(parts.network, batch, parts.rule, state), trained))
    screen.print(parts.network.explain(batch[0]), markup=False)


def patient(chosen: options.Chosen, trained: Path | None) -> tuple[Any, Any]:
    """What a recipe is made of, with fresh or trained weights, and its first training batch."""
    from spikewright.recipes.core.run import build
    from spikewright.recipes.core.run import trained as saved
    from spikewright.training import load_weights

    parts = build(chosen.recipe, chosen.settings)
    if trained is not None:
        load_weights(parts.network, saved(trained))
    index = list(range(min(chosen.settings.batch_size, len(parts.data.train))))
    return parts, parts.data.train.batch(index)


def _table(chosen: options.Chosen, diagnosis: Any, trained: Path | None) -> Any:
    group = optional.require("rich.console").Group
    state = f"weights of {trained}" if trained else "fresh weights"
    columns: dict[str, list[str]] = {
        "layer": [layer.name for layer in diagnosis.layers],
        "spikes a step": [f"{layer.rate:.4f}" for layer in diagnosis.layers],
        "silent neurons": [f"{layer.silent:.1%}" for layer in diagnosis.layers],
    }
    if any(layer.in_window is not None for layer in diagnosis.layers):
        columns["in window"] = [_number(layer.in_window, ".1%") for layer in diagnosis.layers]
    if any(layer.gradient is not None for layer in diagnosis.layers):
        columns["gradient norm"] = [_number(layer.gradient, ".2e") for layer in diagnosis.layers]
    shown = table(f"{chosen.recipe.title}, {state}, one batch", *columns, right=tuple(columns)[1:])
    for row in zip(*columns.values(), strict=True):
        shown.add_row(*row)
    advice = [f"[yellow]•[/] {line}" for line in diagnosis.advice] or [
        "[green]Nothing stands out.[/]"
    ]
    return group(shown, *advice, "")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
