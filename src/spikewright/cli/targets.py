"""``spikewright targets``: which targets there are, and the limits of each with their source."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spikewright.cli.screen import console, pairs, table

app = typer.Typer(help="List targets and describe one.", invoke_without_command=True)


@app.callback()
def list_targets(context: typer.Context) -> None:
    """List the targets; with describe, the limits of one."""
    if context.invoked_subcommand is not None:
        return
    from spikewright.compiler.registry import target_summary
    from spikewright.targets import target_names

    shown = table(None, "target", "what it is")
    names = target_names()
    for name in names:
        shown.add_row(f"[bold]{name}[/]", target_summary(name))
    screen = console()
    screen.print(shown)
    screen.print(f"For example: spikewright targets describe {names[0]}")


@app.command("describe")
def describe(name: Annotated[str, typer.Argument(help="Name of the target.")]) -> None:
    """Show the limits of a target, who says so, and its options."""
    from spikewright.targets import get_target

    target = get_target(name)
    shown = table(f"{target.title}: limits", "limit", "value", "unit", "source", right=("value",))
    for limit in target.limits:
        shown.add_row(limit.name, f"{limit.value:,.10g}", limit.unit, limit.source)
    facts = pairs()
    for key, value in _flat({"options": dict(target.options), **target.describe()}):
        facts.add_row(key, value)
    screen = console()
    if target.limits:
        screen.print(shown)
    else:
        screen.print(f"[bold]{target.title}[/]: no limits")
    screen.print(facts, markup=False)


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested facts as a list, ``converter.period`` for what is inside."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{above}{key}.")
        else:
            rows.append((f"{above}{key}", str(value)))
    return rows
