"""A design as plain values and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.compiler.design import Design, Piece, Place, Route, Slot
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.files.parse import parse
from spikewright.compiler.files.text import program_tensors, to_text
from spikewright.compiler.verify import faults
from spikewright.errors import ProgramError

Tensors = dict[str, Tensor]


def store_program(program: DiscreteProgram, prefix: str, tensors: Tensors) -> str:
    """Put a program's tensors into a table, under names with a prefix; return its text."""
    tensors |= {prefix + name: value for name, value in program_tensors(program).items()}
    return to_text(program)


def restore_program(text: Any, prefix: str, tensors: Mapping[str, Tensor]) -> DiscreteProgram:
    """The inverse of `store_program`.

    Raises:
        ProgramError: the text is no program, or one that makes no sense.
    """
    if not isinstance(text, str):
        raise ProgramError(f"its program must be text, got {type(text).__name__}")
    mine = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    program = parse(text, mine)
    found = faults(program)
    if found:
        raise ProgramError(f"its program makes no sense: {'; '.join(found)}")
    return program


def store_design(design: Design, tensors: Tensors) -> dict[str, Any]:
    """What the passes have decided, without ``extra``; arrays go into the table."""

    def keep(name: str, array: NDArray[Any]) -> str:
        tensors[name] = torch.from_numpy(np.ascontiguousarray(array))
        return name

    return {
        "program": store_program(design.program, "program/", tensors),
        "notes": list(design.notes),
        "pieces": [vars(piece) for piece in design.pieces],
        "places": [
            {**vars(p), "piece": vars(p.piece), "units": keep(f"places/{k}/units", p.units)}
            for k, p in enumerate(design.places)
        ],
        "routes": [
            {
                **vars(r),
                "addresses": keep(f"routes/{k}/addresses", r.addresses),
                "rows": keep(f"routes/{k}/rows", r.rows),
            }
            for k, r in enumerate(design.routes)
        ],
        "slots": [
            {**vars(slot), "nodes": list(slot.nodes), "inputs": list(slot.inputs)}
            for slot in design.slots
        ],
    }


def restore_design(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Design:
    """The inverse of `store_design`.

    Raises:
        ProgramError: the program in it is none. KeyError, TypeError: an entry is missing or of
            another kind.
    """
    array = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Design(
        program=restore_program(values["program"], "program/", tensors),
        notes=tuple(str(note) for note in values["notes"]),
        pieces=tuple(_piece(piece) for piece in values["pieces"]),
        places=tuple(
            Place(_piece(p["piece"]), int(p["core"]), array[p["units"]]) for p in values["places"]
        ),
        routes=tuple(
            Route(
                int(r["run"]), r["source"], int(r["core"]), array[r["addresses"]], array[r["rows"]]
            )
            for r in values["routes"]
        ),
        slots=tuple(
            Slot(int(s["run"]), tuple(s["nodes"]), tuple(s["inputs"]), float(s["seconds"]))
            for s in values["slots"]
        ),
    )


def _piece(values: Mapping[str, Any]) -> Piece:
    return Piece(str(values["node"]), int(values["first"]), int(values["last"]), int(values["run"]))
