"""The command line: one verb a file."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import typer

from spikewright.cli import (
    bench,
    compile,
    data,
    device,
    doctor,
    explore,
    listen,
    profile,
    reproduce,
    run,
    settings,
    targets,
)
from spikewright.cli.group import ErrorsInOneLine
from spikewright.cli.screen import complain

app = typer.Typer(
    cls=ErrorsInOneLine,
    help="Define, train and inspect spiking neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("compile")(compile.compile)
app.command("explore")(explore.explore)
app.command("doctor")(doctor.doctor)
app.command("profile")(profile.profile)
app.command("listen")(listen.listen)
app.command("reproduce")(reproduce.reproduce)
app.command("bench")(bench.bench)
app.command("settings")(settings.settings)
app.add_typer(data.app, name="data")
app.add_typer(targets.app, name="targets")
app.add_typer(device.app, name="device")


def _print_version(asked: bool) -> None:
    if asked:
        from spikewright import __version__

        typer.echo(f"spikewright {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print it and stop."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error arose.")
    ] = False,
) -> None:
    """Options of all verbs."""
    context.obj = {"debug": debug}


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    complain("warning", str(message))


def main() -> None:
    """Run the command line."""
    warnings.showwarning = _warn
    app(prog_name="spikewright")


__all__ = ["app", "main"]
