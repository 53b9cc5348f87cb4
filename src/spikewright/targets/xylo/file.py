"""The configuration as a file: JSON, described in ``docs/targets/xylo.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikewright.errors import ProgramError
from spikewright.files import write_json
from spikewright.targets.xylo.configuration import Configuration, Population, Shifts, Whole

FORMAT = "spikewright xylo configuration"
VERSION = 1
MATRICES = ("weights_in", "weights_rec", "weights_out")
CODES = ("dash_mem", "dash_syn", "threshold", "bias")


def write_configuration(c: Configuration, path: str | Path) -> None:
    """Write a configuration as JSON.

    Raises:
        ProgramError: the file cannot be written.
    """
    values: dict[str, Any] = {"format": FORMAT, "version": VERSION, "chip": c.chip, "dt": c.dt}
    values |= {"shifts": c.shifts._asdict(), "alias": c.alias.tolist()}
    values |= {name: getattr(c, name).tolist() for name in MATRICES}
    for name, them in (("hidden", c.hidden), ("out", c.out)):
        values[name] = {code: getattr(them, code).tolist() for code in CODES}
    try:
        write_json(Path(path), values)
    except OSError as cause:
        raise ProgramError(
            f"xylo.file: {path} must be writable, got {cause}. Choose another place."
        ) from cause


def read_configuration(path: str | Path) -> Configuration:
    """Read what `write_configuration` wrote. Nothing but numbers and words is taken from it.

    Raises:
        ProgramError: the file is missing, damaged or of another kind; names the fault.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise _unreadable(path, str(cause)) from cause
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise _unreadable(path, "another kind of file")
    if values.get("version") != VERSION:
        raise _unreadable(path, f"version {values.get('version')!r}")
    try:
        return _made(values)
    except (KeyError, TypeError, ValueError) as cause:
        raise _unreadable(path, f"{type(cause).__name__}: {cause}") from cause


def _made(values: Mapping[str, Any]) -> Configuration:
    hidden, out = (
        Population(*(_numbers(values[name][code], _axes(code)) for code in CODES))
        for name in ("hidden", "out")
    )
    given, recurrent, output = (
        _numbers(values[name], axes) for name, axes in zip(MATRICES, (3, 3, 2), strict=True)
    )
    shifts = Shifts(*(int(_numbers(values["shifts"][name], 0)) for name in Shifts._fields))
    chip, dt = str(values["chip"]), float(values["dt"])
    alias = _numbers(values["alias"], 1)
    return Configuration(chip, dt, hidden, out, given, recurrent, output, shifts, alias)


def _axes(code: str) -> int:
    return 2 if code == "dash_syn" else 1


def _numbers(given: Any, axes: int) -> Whole:
    found = np.array(given)
    if found.ndim != axes or found.dtype.kind != "i":
        raise ValueError(f"whole numbers along {axes} axes must be there, got {found.dtype}")
    return found.astype(np.int64)


def _unreadable(path: str | Path, what: str) -> ProgramError:
    return ProgramError(
        f"xylo.file: {path} must hold a configuration of version {VERSION}, got {what}. "
        "Write it again with write_configuration."
    )
