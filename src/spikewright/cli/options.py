"""Options that several verbs share, and the settings they amount to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.errors import SettingsError

Name = Annotated[str | None, typer.Argument(help="Which recipe; left out, all are listed.")]
Size = Annotated[
    str | None, typer.Option(help="Settings to start from: small (the default) or full.")
]
Config = Annotated[
    Path | None,
    typer.Option(help="TOML file with settings; may also name recipe and size."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be given several times."),
]
Recordings = Annotated[
    str | None, typer.Argument(metavar="[PATH]", help="The recordings, of the recipe folder.")
]
Target = Annotated[str | None, typer.Option(help="Chip to compile for, of recipes that can.")]
Seed = Annotated[int | None, typer.Option(help="Seed of weights, order and encoder.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training data.")]
Seconds = Annotated[float | None, typer.Option(help="Time budget of training, s.")]
Memory = Annotated[
    str | None,
    typer.Option(
        help="full, or checkpoint: parts run again in the backward pass, for less memory."
    ),
]
Truncate = Annotated[
    int | None, typer.Option(help="Steps after which no gradient passes on; 0 for none.")
]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show progress.")]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--fresh",
        help="Go on from what the folder holds, or start anew. By default a run that is there "
        "is gone on with.",
    ),
]


@dataclass(frozen=True)
class Given:
    """What was given on the command line to say what to run."""

    name: str | None
    size: str | None
    config: Path | None
    assignments: list[str] | None
    flags: dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """A recipe with its settings."""

    recipe: Any
    size: str
    settings: Any


def choose(given: Given) -> Chosen:
    """The recipe and settings: those of the size, then the file's, ``--set`` and flags on top.

    Raises:
        SettingsError: no or an unknown recipe, an unknown key, or a wrong value.
    """
    from spikewright.recipes import RECIPES, recipe
    from spikewright.settings import Source, read_assignment, read_toml

    file = read_toml(given.config) if given.config else Source("--config")
    values = dict(file.values)
    name, size = values.pop("recipe", None), values.pop("size", None)
    chosen = given.name or name
    if chosen is None:
        raise SettingsError(
            f"spikewright: a recipe must be named, got none. Known: {', '.join(RECIPES.names())}."
        )
    if given.name and name and given.name != name:
        raise SettingsError(
            f"spikewright: recipe must be that of {file.name}, {name!r}, got {given.name!r}. "
            "Leave the name out, or choose another file."
        )
    found = recipe(chosen)
    flags = {key: value for key, value in given.flags.items() if value is not None}
    sources = [Source(file.name, values)]
    sources += [read_assignment(text) for text in given.assignments or []]
    sources += [Source(f"--{key}", {key: value}) for key, value in flags.items()]
    wanted = given.size or size or "small"
    return Chosen(found, wanted, found.settings(wanted, sources))


def resume_word(resume: bool | None) -> bool | str:
    """What `fit` calls it."""
    return "auto" if resume is None else resume
