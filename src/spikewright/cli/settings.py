"""``spikewright settings``: a recipe's settings as a TOML file."""

from __future__ import annotations

import typer

from spikewright.cli import options
from spikewright.cli.listing import list_recipes


def settings(
    name: options.Name = None,
    size: options.Size = None,
    config: options.Config = None,
    assignments: options.Set = None,
) -> None:
    """Print the settings of a recipe, to be edited and passed with --config."""
    if name is None and config is None:
        list_recipes("settings")
        return
    from spikewright.settings import to_toml

    chosen = options.choose(options.Given(name, size, config, assignments, {}))
    typer.echo(f'recipe = "{chosen.recipe.name}"\n{to_toml(chosen.settings)}', nl=False)
