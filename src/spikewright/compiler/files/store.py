"""Discrete programs in files: a folder with the text and the tensors."""

from __future__ import annotations

from pathlib import Path

from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.files.stored import Tensors, restore_program, store_program
from spikewright.errors import ProgramError
from spikewright.sealed import SealedFolder

FOLDER = SealedFolder("discrete program", "discrete.json", "spikewright-discrete-1", ProgramError)


def save_discrete(program: DiscreteProgram, folder: str | Path) -> None:
    """Save a program; the one that ``folder`` holds stays whole until the new one is.

    Raises:
        ProgramError: it cannot be written; what was there is intact.

    >>> import tempfile, spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> program = discretise(sw.Sequential(sw.Linear(5, 3), sw.LIF(), dt=1e-3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_discrete(program, folder)
    ...     load_discrete(folder).output
    '1_lif'
    """
    tensors: Tensors = {}
    text = store_program(program, "", tensors)
    try:
        FOLDER.write(Path(folder), {"program": text.splitlines()}, tensors)
    except OSError as cause:
        raise ProgramError(
            f"compiler.save_discrete: {folder} must be writable, got {cause}. What it held is "
            "intact. Free space or rights there, or choose another folder."
        ) from cause


def load_discrete(folder: str | Path) -> DiscreteProgram:
    """Load what `save_discrete` wrote. No code from the files runs.

    Raises:
        ProgramError: a file is missing or damaged, or holds no program that makes sense.
    """
    try:
        body, tensors = FOLDER.read(Path(folder))
        return restore_program("\n".join(map(str, body["program"])), "", tensors)
    except (ProgramError, KeyError, TypeError) as fault:
        raise ProgramError(
            f"compiler.load_discrete: {folder} must hold a whole program, got a fault: {fault}. "
            "Restore the folder from a copy, or compile the network again."
        ) from fault
