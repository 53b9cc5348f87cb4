"""A compiled program as a folder of files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikewright.compiler.files.stored import (
    Tensors,
    restore_design,
    restore_program,
    store_design,
    store_program,
)
from spikewright.compiler.modules.program import ModuleProgram
from spikewright.compiler.modules.target import of_modules, of_networks
from spikewright.compiler.network_program import NetworkProgram
from spikewright.compiler.program import Program
from spikewright.compiler.registry import get_target
from spikewright.compiler.reporting.agreement import Agreement
from spikewright.compiler.reporting.cost import Cost
from spikewright.compiler.target import TargetFacts
from spikewright.errors import CompileError, ParameterError, ProgramError
from spikewright.sealed import SealedFolder

FOLDER = SealedFolder("program", "program.json", "spikewright-program-1", ProgramError)
ARTEFACT = "artefact/"
Stored = NetworkProgram | ModuleProgram


def save(program: Program, folder: Path) -> None:
    """Write; see `Program.save`."""
    tensors: Tensors = {}
    if not isinstance(program, Stored):
        raise ProgramError(
            f"program.save: the program must be one that compile gave, got "
            f"{type(program).__name__}. Compile the network."
        )
    mine, values = program.artefact.saved()
    body: dict[str, Any] = {
        "target": {"name": program.target.name, "options": dict(program.target.options)},
        "artefact": values,
        "agreement": program.agreement.plain(),
        "cost": program.cost.plain(),
        "used": dict(program.used),
        "kind": program.kind,
        "seed": program.seed,
    }
    if isinstance(program, NetworkProgram):
        body["source"] = store_program(program.source, "source/", tensors)
        body["design"] = store_design(program.design, tensors)
    tensors |= {ARTEFACT + name: tensor for name, tensor in mine.items()}
    try:
        FOLDER.write(folder, body, tensors)
    except OSError as cause:
        before = "The program from before is intact. " if FOLDER.exists(folder) else ""
        raise ProgramError(
            f"program.save: {folder} must be writable, got {cause}. {before}Free space or rights "
            "there, or choose another folder."
        ) from cause


def load(folder: Path, target: TargetFacts | None) -> Stored:
    """Read; see `Program.load`."""
    try:
        body, tensors = FOLDER.read(folder)
        return _restored(body, tensors, target)
    except ProgramError as fault:
        raise _refused(folder, str(fault)) from fault.__cause__
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as fault:
        raise _refused(folder, f"{FOLDER.head} holds what no save would write: {fault}") from fault


def _restored(body: dict[str, Any], tensors: Tensors, target: TargetFacts | None) -> Stored:
    target = _target(body["target"]) if target is None else target
    if target.name != body["target"]["name"]:
        raise ProgramError(
            f"it is for the target {body['target']['name']!r}, not for {target.name!r}"
        )
    mine = {n.removeprefix(ARTEFACT): t for n, t in tensors.items() if n.startswith(ARTEFACT)}
    agreement, cost = Agreement.from_plain(body["agreement"]), Cost.from_plain(body["cost"])
    for one in (agreement, cost):
        str(one)  # fails where a value is of another kind
    common: dict[str, Any] = {
        "target": target,
        "agreement": agreement,
        "cost": cost,
        "used": {str(name): float(used) for name, used in body["used"].items()},
        "kind": str(body["kind"]),
        "seed": int(body["seed"]),
    }
    networks, modules = of_networks(target), of_modules(target)
    if "source" in body and networks is not None:
        design = restore_design(body["design"], tensors)
        source = restore_program(body["source"], "source/", tensors)
        artefact = networks.restore(design, mine, body["artefact"])
        return NetworkProgram(source=source, design=design, artefact=artefact, **common)
    if "source" not in body and modules is not None:
        return ModuleProgram(artefact=modules.restore_module(mine, body["artefact"]), **common)
    raise ProgramError(f"{target.name!r} takes no such programs")


def _target(saved: dict[str, Any]) -> TargetFacts:
    try:
        return get_target(saved["name"], **saved["options"])
    except (CompileError, ParameterError) as cause:
        raise ProgramError(f"its target cannot be made: {cause}") from cause


def _refused(folder: Path, fault: str) -> ProgramError:
    return ProgramError(
        f"program.load: {folder} must hold a whole program, got a fault: {fault}. "
        "Restore the folder from a copy, or compile the network again."
    )
