"""What the ways through the tools share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spikewright.errors import ProgramError
from spikewright.targets.fpga.headlines import Report
from spikewright.targets.fpga.run_tool import run_tool
from spikewright.targets.fpga.synthesis.tools import YOSYS

HEADLINE = re.compile(r"\d+(?:\.\d+)?\. Executing (.*?)(?: \(.*|\.)?$")
TOPS = {"accelerator": "network_pkg", "lif_core": "event_pkg"}
"""Modules that can be synthesised, each with a package that is only there with it."""
RESULTS = "synthesis"
"""Folder in the design's own one that netlists, logs and results go to."""


@dataclass(frozen=True)
class Job:
    """Where and how tools run.

    Args:
        design: folder of an emitted accelerator or core, in which tools run: memory images are
            named by it.
        name: of the way, which files are called after.
        patience: seconds after which a tool counts as hung.
        progress: called with lines about where it is.
        logs: of the tools that it ran, in their order.
    """

    design: Path
    name: str
    patience: float
    progress: Report | None = None
    logs: list[Path] = field(default_factory=list[Path])

    @property
    def top(self) -> str:
        """The module that is synthesised."""
        return top_of(self.design)

    def file(self, ending: str) -> Path:
        """A file of this way, as tools in the design's folder name it."""
        return Path(RESULTS) / f"{self.name}{ending}"

    def log(self, tool: str) -> Path:
        """What a tool says."""
        return self.design / self.file(f"_{tool}.log")

    def run(self, tool: str, command: Sequence[str], headline: re.Pattern[str]) -> None:
        """See `run_tool`."""
        self.logs.append(self.log(tool))
        run_tool(
            command,
            self.design,
            self.logs[-1],
            patience=self.patience,
            headline=headline,
            progress=self.progress,
        )

    def yosys(self, rest: Sequence[str]) -> Path:
        """Read the sources, do the rest; the statistics that come of it."""
        statistics = self.file("_cells.json")
        script = [*read_sources(self.design), *rest, f"tee -q -o {statistics} stat -json"]
        self.run(YOSYS.name, [YOSYS.path(), "-p", "; ".join(script)], HEADLINE)
        return self.design / statistics


def read_sources(design: Path) -> list[str]:
    """Commands of Yosys that read the design. Modules wait for their parameters (``-defer``)."""
    names = [f"rtl/{path.name}" for path in sources_of(design)]
    packages = [name for name in names if name.endswith("_pkg.sv")]
    modules = [name for name in names if not name.endswith("_pkg.sv")]
    return [
        f"read_verilog -sv {' '.join(packages)}",
        f"read_verilog -sv -defer {' '.join(modules)}",
    ]


def sources_of(design: Path) -> list[Path]:
    """The SystemVerilog of an emitted accelerator or core.

    Raises:
        ProgramError: the folder holds none.
    """
    top_of(design)
    return sorted((design / "rtl").glob("*.sv"))


def top_of(design: Path) -> str:
    """The module that is synthesised, one of ``TOPS`` behind the design's prefix.

    Raises:
        ProgramError: the folder holds none with what it needs, or several.
    """
    found = [
        path.stem
        for top, needed in TOPS.items()
        for path in sorted((design / "rtl").glob(f"*{top}.sv"))
        if path.with_stem(path.stem.removesuffix(top) + needed).exists()
    ]
    if len(found) > 1:
        raise ProgramError(
            f"fpga.synthesis: {design} must hold one design, got {', '.join(found)}. Write each "
            "into a folder of its own."
        )
    if found:
        return found[0]
    pairs = " nor ".join(f"{top}.sv with {needed}.sv" for top, needed in TOPS.items())
    raise ProgramError(
        f"fpga.synthesis: {design} must hold an emitted accelerator or core, got neither {pairs} "
        "in its folder rtl. Write it with emit."
    )
