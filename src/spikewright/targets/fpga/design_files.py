"""Writes the files of a design, where wished with a prefix before the names that tools share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikewright.errors import ParameterError, ProgramError
from spikewright.files import write_json

RTL = "rtl/"
IMAGE = ".mem"
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def write_design(
    folder: Path,
    texts: Mapping[str, str],
    heads: Mapping[str, Mapping[str, Any]],
    prefix: str = "",
) -> Path:
    """Write SystemVerilog, memory images and heads.

    Args:
        texts: by the name of their file, without the prefix.
        heads: what goes into JSON files, after all else.
        prefix: see `prefixed`.

    Raises:
        ParameterError: the prefix cannot begin a name.
        ProgramError: the folder cannot be written.
    """
    named = prefixed(texts, prefix)
    try:
        (folder / RTL).mkdir(parents=True, exist_ok=True)
        for name, text in named.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        for name, head in heads.items():
            write_json(folder / name, dict(head))
    except OSError as cause:
        raise ProgramError(
            f"fpga.emit: {folder} must be writable, got {cause}. Choose another place."
        ) from cause
    return folder


def prefixed(texts: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The same design with a prefix before all modules, packages and memory images.

    So several of them, of other sizes, can be in one project: SystemVerilog knows one module of a
    name, and tools look for images in one folder. Each module is in the file of its name.

    Raises:
        ParameterError: the prefix cannot begin a name.

    >>> design = {"rtl/row.sv": 'module row; ROM #("w.mem") rom(); endmodule', "w.mem": "0"}
    >>> prefixed(design, "a_")
    {'rtl/a_row.sv': 'module a_row; ROM #("a_w.mem") rom(); endmodule', 'a_w.mem': '0'}
    """
    check_prefix(prefix)
    if not prefix:
        return dict(texts)
    modules = [Path(name).stem for name in texts if name.startswith(RTL)]
    images = [re.escape(name) for name in texts if name.endswith(IMAGE)]
    shared = re.compile(rf"\b({'|'.join([*images, *modules])})\b")

    def renamed(text: str) -> str:
        return shared.sub(lambda found: prefix + found[0], text)

    return {
        renamed(name): renamed(text) if name.startswith(RTL) else text
        for name, text in texts.items()
    }


def check_prefix(prefix: str) -> None:
    """See `prefixed`.

    Raises:
        ParameterError: neither empty nor the beginning of a name.
    """
    if prefix and not WORD.fullmatch(prefix):
        raise ParameterError(
            f"fpga.emit: prefix must begin the name of a module, got {prefix!r}. Use letters, "
            "digits and underscores, such as lenet_."
        )
