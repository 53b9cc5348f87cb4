"""Lists of what can be named."""

from __future__ import annotations

from typing import Any

from spikewright.cli.screen import console, table


def list_recipes(verb: str) -> None:
    """Print the recipes and how to name one."""
    from spikewright.recipes import RECIPES

    _print(RECIPES, "recipe", verb)


def list_benches() -> None:
    """Print the benchmarks and how to name one."""
    from spikewright.benches import BENCHES

    _print(BENCHES, "bench", "bench")


def _print(lookup: Any, what: str, verb: str) -> None:
    names = lookup.names()
    shown = table(None, what, "what it is")
    for name in names:
        shown.add_row(f"[bold]{name}[/]", lookup.summary(name))
    screen = console()
    screen.print(shown)
    if names:
        screen.print(f"For example: spikewright {verb} {names[-1]}")
