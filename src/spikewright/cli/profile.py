"""``spikewright profile``: what each layer of a recipe's network costs on one batch."""

from __future__ import annotations

from spikewright.cli import options
from spikewright.cli.doctor import Trained, patient
from spikewright.cli.listing import list_recipes
from spikewright.cli.screen import console, table


def profile(
    name: options.Name = None,
    size: options.Size = None,
    seed: options.Seed = None,
    config: options.Config = None,
    assignments: options.Set = None,
    trained: Trained = None,
) -> None:
    """Show the path, the active share, the times and the memory of each layer on one batch."""
    if name is None and config is None:
        list_recipes("profile")
        return
    given = options.Given(name, size, config, assignments, {"seed": seed})
    chosen = options.choose(given)
    from spikewright.learning import profile as measure
    from spikewright.learning.profile import HEAD

    parts, batch = patient(chosen, trained)
    found = measure(parts.network, batch[0], surrogate=getattr(parts.rule, "surrogate", None))
    title = f"{chosen.recipe.title}, a batch of {len(batch[1])}"
    shown = table(title, *HEAD, right=HEAD[1:-1])
    for layer in found.layers:
        shown.add_row(*layer.cells())
    console().print(shown)
