"""What the verbs print with: results to standard output, the rest to standard error."""

from __future__ import annotations

from typing import Any

from spikewright import optional

COLOURS = {"error": "bold red", "warning": "bold yellow", "stopped": "bold yellow"}
FILE_WIDTH = 140


def console(*, stderr: bool = False) -> Any:
    """A Rich console; into a file or pipe its lines are wide, so that no table is cut."""
    made = optional.require("rich.console").Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = max(made.width, FILE_WIDTH)
    return made


def complain(kind: str, text: str) -> None:
    """One line on standard error that begins with what it is."""
    words = optional.require("rich.text").Text
    line = words.assemble((f"{kind}: ", COLOURS[kind]), text)
    console(stderr=True).print(line, soft_wrap=True)


def aside(text: str) -> None:
    """One dim line on standard error: what long work does next."""
    console(stderr=True).print(text, style="dim", markup=False)


def table(title: str | None, *columns: str, right: tuple[str, ...] = ()) -> Any:
    """An empty Rich table; the columns named in ``right`` hold numbers."""
    rich = optional.require("rich.table")
    box = optional.require("rich.box").SIMPLE_HEAD
    made = rich.Table(title=title, box=box, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def pairs() -> Any:
    """An empty grid of names and values."""
    made = optional.require("rich.table").Table.grid(padding=(0, 2))
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    return made


def yes_no(good: bool, words: tuple[str, str] = ("yes", "no")) -> str:
    """A word in green or red."""
    return f"[green]{words[0]}[/]" if good else f"[bold red]{words[1]}[/]"
