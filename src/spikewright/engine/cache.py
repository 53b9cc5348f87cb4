"""Compiled kernels on disk, keyed by content.

A folder for each machine kind and version holds, for each kernel, its source (a real file: Numba
caches nothing else), Numba's object files and a manifest with their checksums. Nothing in it is
trusted: an entry that does not match its manifest is made again. A lock a kernel lets processes
that start together compile it once.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np
import torch

from spikewright.files import cache_root, write_atomically

Kernel = Callable[..., None]


@functools.cache
def cache_folder() -> Path:
    """The folder for kernels: ``$SPIKEWRIGHT_CACHE``, else the user's cache, else temporary.

    Its name covers everything that compiled code depends on beside its own source.
    """
    facts = (
        platform.python_version(),
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        torch.__version__,
        llvmlite.binding.get_host_cpu_name(),
        str(llvmlite.binding.get_host_cpu_features().flatten()),
        engine_version(),
    )
    tag = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    folder = cache_root() / "kernels" / tag
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="spikewright-kernels-"))


@functools.cache
def engine_version() -> str:
    """A checksum of the engine's own source: a change to it makes every kernel anew."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_plan(key: str) -> dict[str, Any] | None:
    """A stored plan, or ``None`` if there is none that is whole."""
    try:
        entry = json.loads((cache_folder() / f"{key}.json").read_text())
        if entry["sha256"] == _sha256(json.dumps(entry["plan"]).encode()):
            return entry["plan"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def write_plan(key: str, plan: dict[str, Any]) -> None:
    """Store a plan under ``key``; a full disk only means that it is made again next time."""
    entry = {"plan": plan, "sha256": _sha256(json.dumps(plan).encode())}
    with contextlib.suppress(OSError):
        write_atomically(cache_folder() / f"{key}.json", json.dumps(entry).encode())


def load_kernel(source: str, name: str) -> Kernel:
    """Compile ``source`` and return its function ``name``, from the cache where it is whole."""
    return getattr(load_kernels(source, name), name)


def load_kernels(source: str, name: str) -> ModuleType:
    """Compile ``source`` and return it as a module, from the cache where it is whole.

    Args:
        name: start of the name of its folder.
    """
    key = f"{name}_{_sha256(source.encode())[:24]}"
    folder = cache_folder() / key
    try:
        folder.mkdir(exist_ok=True)
        with _locked(folder):
            if not _intact(folder, source):
                _clear(folder)
                write_atomically(folder / f"{key}.py", source.encode())
            module = _import(folder / f"{key}.py")
            _write_manifest(folder)
            return module
    except OSError:
        with tempfile.TemporaryDirectory(prefix="spikewright-kernels-") as spare:
            (Path(spare) / f"{key}.py").write_text(source)
            return _import(Path(spare) / f"{key}.py")


def is_cached(source: str, name: str) -> bool:
    """Whether a compiled kernel for ``source`` lies on disk."""
    return (cache_folder() / f"{name}_{_sha256(source.encode())[:24]}" / "manifest.json").exists()


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".nbi", ".nbc"))


def _intact(folder: Path, source: str) -> bool:
    """Whether the folder holds this source and the object files its manifest names."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        found = {p.name: _sha256(p.read_bytes()) for p in _files(folder)}
        return manifest == found and manifest[f"{folder.name}.py"] == _sha256(source.encode())
    except (OSError, ValueError, KeyError):
        return False


def _write_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    if not path.exists():
        found = {p.name: _sha256(p.read_bytes()) for p in _files(folder)}
        write_atomically(path, json.dumps(found).encode())


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "lock":
            path.unlink(missing_ok=True)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_spikewright_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba looks the module up by name when it unpickles
    spec.loader.exec_module(module)
    return module


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time, where the system has file locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
