"""How errors and Ctrl-C end a command."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from spikewright.cli.screen import complain
from spikewright.errors import ParameterError, SettingsError, SpikewrightError

MISUSE = (SettingsError, ParameterError)
INTERRUPTED = 130


class ErrorsInOneLine(TyperGroup):
    """Verbs whose errors of this package are one line on standard error, without a traceback.

    Exit status: 2 where a setting or parameter is wrong, 1 for other errors, 130 after Ctrl-C.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            complain("stopped", str(stop) or "by Ctrl-C.")
            raise typer.Exit(INTERRUPTED) from None
        except SpikewrightError as error:
            if (ctx.obj or {}).get("debug"):
                raise
            complain("error", str(error))
            raise typer.Exit(2 if isinstance(error, MISUSE) else 1) from None
