"""Runs an accelerator or a core through the tools, or says again what they said the last time."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from filelock import FileLock

from spikewright.errors import ParameterError, ProgramError
from spikewright.targets.fpga.headlines import Report
from spikewright.targets.fpga.synthesis.ecp5 import Ecp5
from spikewright.targets.fpga.synthesis.flow import Job, sources_of
from spikewright.targets.fpga.synthesis.result import Synthesis, load
from spikewright.targets.fpga.synthesis.tools import version
from spikewright.targets.fpga.synthesis.xilinx import Xilinx

PATIENCE = 3600.0
"""Seconds after which a tool counts as hung."""
ASKING = ("cells", "ecp5", "flow", "xilinx")
"""Modules here that say what the tools are asked and how they are read: part of the key."""


def synthesise(
    design: str | Path,
    flow: Xilinx | Ecp5,
    *,
    patience: float = PATIENCE,
    progress: Report | None = None,
) -> Synthesis:
    """What an emitted accelerator or core takes.

    The answer is kept in ``synthesis/`` in the design's folder, with the tools' logs, one for each
    choice of options; as long as sources, memory images, tools and options are the same, it is
    given again at once.

    Args:
        design: folder that `emit` wrote.
        flow: for which chips.
        patience: seconds after which a tool counts as hung.
        progress: called with a line about where the tools are, at least every 10 s.

    Raises:
        MissingDependency: a tool is not installed.
        ProgramError: no such design there; a tool failed or hung, whose log is named.
    """
    if not patience > 0:
        raise ParameterError(
            f"fpga.synthesise: patience must be above 0 s, got {patience}. Use {PATIENCE:.0f}."
        )
    design = Path(design).resolve()
    sources_of(design)
    versions = {tool.name: version(tool.path()) for tool in flow.tools}
    key = _key(design, flow, versions)
    job = Job(design, flow.name, patience, progress)
    kept = design / job.file(".json")
    try:
        kept.parent.mkdir(exist_ok=True)
        with FileLock(f"{kept}.lock"):
            return load(kept, key) or _run(job, flow, versions, key)
    except OSError as cause:
        raise ProgramError(
            f"fpga.synthesise: {design} must be writable, got {cause}. Choose another place."
        ) from cause


def _run(job: Job, flow: Xilinx | Ecp5, versions: dict[str, str], key: str) -> Synthesis:
    begun = time.monotonic()
    found = flow.run(job)
    made = Synthesis(
        tool=" + ".join(versions),
        version=" + ".join(versions.values()),
        device=flow.device,
        seconds=round(time.monotonic() - begun, 1),
        logs=tuple(map(str, job.logs)),
        key=key,
        **found,
    )
    made.save(job.design / job.file(".json"))
    return made


def _key(design: Path, flow: Xilinx | Ecp5, versions: dict[str, str]) -> str:
    digest = hashlib.sha256(f"{flow!r} {sorted(versions.items())}".encode())
    asking = [Path(__file__).with_name(f"{name}.py") for name in ASKING]
    for path in (*asking, *sources_of(design), *sorted(design.glob("*.mem"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]
