"""NIR files, which are HDF5: read with suspicion, written whole or not at all."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from spikewright.compiler.exchange.inline import NAMES
from spikewright.errors import ExchangeError
from spikewright.files import write_atomically

DEPTH = 128
MOST_COMPRESSION = 1100
"""Bytes that one byte of a file can stand for: deflate reaches 1032, and some are of no data."""


def write_graph(graph: Any, path: Path) -> None:
    """Write a graph; whenever the process dies, ``path`` is the old file or the new one.

    Raises:
        ExchangeError: the file cannot be written; what was there is unharmed.
    """
    buffer = io.BytesIO()
    nir.write(buffer, graph)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as cause:
        raise ExchangeError(
            f"write_nir: {str(path)!r} must be a writable file, got {cause.strerror or cause}. "
            "Choose another path or make room."
        ) from cause


def read_graph(path: str | os.PathLike[str]) -> Any:
    """Read a graph from a file; runs no code of it and follows no link out of it.

    Raises:
        ExchangeError: the file is missing, damaged, no NIR file, or holds unknown nodes.
    """
    where = f"read_nir: {str(path)!r}"
    try:
        size = os.path.getsize(path)
        with h5py.File(path, "r") as file:
            tree = _Reader(where, size * MOST_COMPRESSION).group(file)
    except ExchangeError:
        raise
    except Exception as cause:  # what h5py raises depends on where the damage is
        reason = getattr(cause, "strerror", None) or cause
        raise ExchangeError(
            f"{where}: it must be a whole NIR file, got {reason}. Write it again with "
            "sw.write_nir or nir.write."
        ) from cause
    if not isinstance(tree.get("node"), dict):
        raise ExchangeError(
            f"{where}: it must be a NIR file with a group 'node', got {sorted(tree)}. Write it "
            "again with sw.write_nir or nir.write."
        )
    return _node(where, "graph", tree["node"])


@dataclass
class _Reader:
    """Reads groups and arrays; ``room`` is how many bytes may still come."""

    where: str
    room: int

    def group(self, group: Any, depth: int = 0) -> dict[str, Any]:
        if depth > DEPTH:
            raise self._refused(group.name[:60], f"groups at most {DEPTH} deep", "deeper ones")
        found: dict[str, Any] = {}
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise self._refused(f"{group.name}/{key}", "held by the file itself", "a link")
            item = group[key]
            inner = isinstance(item, h5py.Group)
            found[key] = self.group(item, depth + 1) if inner else self.value(item)
        return found

    def value(self, item: Any) -> Any:
        if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
            raise self._refused(str(item.name), "numbers or text", type(item).__name__)
        text = h5py.check_string_dtype(item.dtype)
        if text is None and item.dtype.kind not in "fiub":
            raise self._refused(str(item.name), "numbers or text", f"dtype {item.dtype}")
        self.room -= item.nbytes
        if self.room < 0:
            raise self._refused(str(item.name), "of a size that the file can hold", str(item.shape))
        value = item[()]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def _refused(self, name: str, rule: str, got: str) -> ExchangeError:
        return ExchangeError(
            f"{self.where}: {name!r} must be {rule}, got {got}. Write the file again with "
            "sw.write_nir or nir.write."
        )


def _node(where: str, name: str, tree: dict[str, Any]) -> Any:
    """A node from its fields."""
    kind = tree.get("type")
    if kind not in NAMES:
        raise ExchangeError(
            f"{where}: node {name!r}: its kind must be one of {', '.join(NAMES)}, got {kind!r}. "
            "Express it by those."
        )
    fields = dict(tree)
    try:
        if kind == "NIRGraph":
            nodes = {key: _node(where, key, node) for key, node in fields["nodes"].items()}
            return nir.NIRGraph(
                nodes, _edges(fields["edges"]), fields.get("metadata", {}), type_check=False
            )
        with np.errstate(all="ignore"):  # nir works out shapes before it looks at a stride
            return nir.dict2NIRNode(fields)
    except ExchangeError:
        raise
    except Exception as cause:  # what nir raises depends on what is wrong, and is not documented
        raise ExchangeError(
            f"{where}: node {name!r} ({kind}): its fields must be those of NIR's {kind}, got "
            f"{sorted(fields)} ({type(cause).__name__}: {cause}). Correct the file."
        ) from cause


def _edges(value: Any) -> list[tuple[str, str]]:
    pairs = np.asarray(value)
    return [(_word(a), _word(b)) for a, b in pairs.reshape(-1, 2)] if pairs.size else []


def _word(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
