"""A program as files: SystemVerilog, memory images, the layers as JSON; and read back from them.

``layers.json`` is the head: it knows how long each image is, and its checksum and that of itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikewright.errors import ProgramError
from spikewright.targets.fpga.design_files import prefixed, write_design
from spikewright.targets.fpga.dimensions import Dimensions, package_text
from spikewright.targets.fpga.instructions import decode, listing
from spikewright.targets.fpga.memory import image, read_image
from spikewright.targets.fpga.program import Program

FORMAT = "spikewright fpga program"
VERSION = 2
RTL = Path(__file__).parent / "rtl"


def sources() -> list[Path]:
    """The modules, packages first, as tools must read them."""
    found = sorted(RTL.glob("*.sv"))
    return sorted(found, key=lambda path: not path.stem.endswith("_pkg"))


def images(program: Program) -> dict[str, str]:
    """The memory images by the name of their file."""
    d = program.dimensions
    words = [f"{word:08x}\n" for word in program.words]
    return {
        "instructions.mem": "".join(words + ["00000000\n"] * (d.instructions - len(words))),
        "kernels.mem": image(program.kernels, d.weight, d.kernels),
        "weights.mem": image(program.weights, d.weight, d.weights),
        "kernel_biases.mem": image(program.kernel_biases, d.sum, d.kernel_biases),
        "weight_biases.mem": image(program.weight_biases, d.sum, d.weight_biases),
    }


def emit(
    program: Program,
    folder: str | Path,
    summary: Mapping[str, Any] | None = None,
    prefix: str = "",
) -> Path:
    """Write all that a synthesis or a simulation needs.

    ``rtl/*.sv`` with the network's ``network_pkg.sv``, the images ``*.mem``, the instructions as
    text in ``listing.txt`` and the layers in ``layers.json``. Tools that read the images must run
    in the folder. The top module is ``accelerator``.

    Args:
        summary: figures of the program for ``summary.json``, which is only written with some.
        prefix: before the names of all modules, packages and images, so that several accelerators
            fit into one project.

    Raises:
        ParameterError: the prefix cannot begin a name.
        ProgramError: the folder cannot be written.
    """
    texts = {f"rtl/{path.name}": path.read_text() for path in sources()}
    texts["rtl/network_pkg.sv"] = package_text(program.dimensions)
    texts["listing.txt"] = listing(program.instructions) + "\n"
    held = images(program)
    heads = {"layers.json": seal_head(_described(program, prefixed(held, prefix), prefix))}
    if summary is not None:
        heads["summary.json"] = dict(summary)
    return write_design(Path(folder), texts | held, heads, prefix)


def read_program(folder: str | Path) -> Program:
    """What `emit` wrote, from the images alone; the SystemVerilog is not looked at.

    Raises:
        ProgramError: a file is missing, damaged or of another kind; names the fault.
    """
    folder = Path(folder)
    try:
        described = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
        if not isinstance(described, dict) or described.get("format") != FORMAT:
            raise _unreadable(folder, "another kind of file")
        if described.get("version") != VERSION:
            raise _unreadable(folder, f"version {described.get('version')!r}")
        if described != seal_head(described):
            raise _unreadable(folder, "layers.json whose checksum does not fit its content")
        return _read(folder, described)
    except (OSError, KeyError, TypeError, ValueError) as cause:
        raise _unreadable(folder, f"{type(cause).__name__}: {cause}") from cause


def _read(folder: Path, described: Mapping[str, Any]) -> Program:
    d = Dimensions.of(described["dimensions"])
    lengths: Mapping[str, int] = described["words"]
    words = _image(folder, "instructions", described).split()[: lengths["instructions"]]
    numbers = [
        read_image(_image(folder, name, described), bits, each)[: lengths[name]]
        for name, bits, each in (
            ("kernels", d.weight, d.units),
            ("weights", d.weight, d.linear),
            ("kernel_biases", d.sum, d.units),
            ("weight_biases", d.sum, 1),
        )
    ]
    return Program(
        d,
        tuple(decode(int(word, 16)) for word in words),
        *numbers,
        inputs=tuple(int(n) for n in described["inputs"]),
        outputs=tuple(int(n) for n in described["outputs"]),
        layers=tuple(described["layers"]),
    )


def _image(folder: Path, name: str, described: Mapping[str, Any]) -> str:
    """The text of an image, which must be what was written."""
    file = f"{described.get('prefix', '')}{name}.mem"
    content = (folder / file).read_bytes()
    expected = described["files"][file]
    if len(content) != expected["bytes"]:
        what = f"{file} of {len(content)} bytes where {expected['bytes']} were written"
        raise _unreadable(folder, what)
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise _unreadable(folder, f"{file} whose checksum is not that of what was written")
    return content.decode()


def seal_head(described: Mapping[str, Any]) -> dict[str, Any]:
    """With the checksum of all else in it."""
    body = {key: value for key, value in described.items() if key != "sha256"}
    text = json.dumps(body, sort_keys=True).encode()
    return body | {"sha256": hashlib.sha256(text).hexdigest()}


def stamp(text: str) -> dict[str, Any]:
    """Length and checksum of a file."""
    content = text.encode()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _described(program: Program, held: Mapping[str, str], prefix: str) -> dict[str, Any]:
    names = ("instructions", "kernels", "weights", "kernel_biases", "weight_biases")
    return {
        "format": FORMAT,
        "version": VERSION,
        "dimensions": asdict(program.dimensions),
        "files": {name: stamp(text) for name, text in held.items()},
        "words": {name: len(getattr(program, name)) for name in names},
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "layers": list(program.layers),
        **({"prefix": prefix} if prefix else {}),
    }


def _unreadable(folder: Path, what: str) -> ProgramError:
    return ProgramError(
        f"fpga.emit: {folder} must hold a program of version {VERSION}, got {what}. "
        "Write it again with emit."
    )
