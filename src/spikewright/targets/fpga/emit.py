"""A program as files: SystemVerilog, memory images, the layers as JSON; and read back from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikewright.errors import ProgramError
from spikewright.files import write_json
from spikewright.targets.fpga.dimensions import Dimensions, package_text
from spikewright.targets.fpga.instructions import decode, listing
from spikewright.targets.fpga.memory import image, read_image
from spikewright.targets.fpga.program import Program

FORMAT = "spikewright fpga program"
VERSION = 1
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


def emit(program: Program, folder: str | Path) -> Path:
    """Write all that a synthesis or a simulation needs.

    ``rtl/*.sv`` with the network's ``network_pkg.sv``, the images ``*.mem``, the instructions as
    text in ``listing.txt`` and the layers in ``layers.json``. Tools that read the images must run
    in the folder.

    Raises:
        ProgramError: the folder cannot be written.
    """
    folder = Path(folder)
    texts = {f"rtl/{path.name}": path.read_text() for path in sources()}
    texts["rtl/network_pkg.sv"] = package_text(program.dimensions)
    texts["listing.txt"] = listing(program.instructions) + "\n"
    texts |= images(program)
    try:
        (folder / "rtl").mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
        write_json(folder / "layers.json", _described(program))
    except OSError as cause:
        raise ProgramError(
            f"fpga.emit: {folder} must be writable, got {cause}. Choose another place."
        ) from cause
    return folder


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
        return _read(folder, described)
    except (OSError, KeyError, TypeError, ValueError) as cause:
        raise _unreadable(folder, f"{type(cause).__name__}: {cause}") from cause


def _read(folder: Path, described: Mapping[str, Any]) -> Program:
    d = Dimensions.of(described["dimensions"])
    lengths: Mapping[str, int] = described["words"]
    words = (folder / "instructions.mem").read_text().split()[: lengths["instructions"]]
    numbers = [
        read_image((folder / f"{name}.mem").read_text(), bits, each)[: lengths[name]]
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


def _described(program: Program) -> dict[str, Any]:
    names = ("instructions", "kernels", "weights", "kernel_biases", "weight_biases")
    return {
        "format": FORMAT,
        "version": VERSION,
        "dimensions": asdict(program.dimensions),
        "words": {name: len(getattr(program, name)) for name in names},
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "layers": list(program.layers),
    }


def _unreadable(folder: Path, what: str) -> ProgramError:
    return ProgramError(
        f"fpga.emit: {folder} must hold a program of version {VERSION}, got {what}. "
        "Write it again with emit."
    )
