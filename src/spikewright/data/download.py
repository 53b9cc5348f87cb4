"""Fetch a file from its official source: resumed, checked, and in place only when whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from spikewright import optional
from spikewright.data.store import DataFile, DataSource, by_hand, fault_of, find
from spikewright.errors import DataError

Progress = Callable[[int, int | None], None]
"""Called with bytes so far and bytes in all (``None`` if the server does not say)."""

TIMEOUT = 30.0
CHUNK = 1 << 16
"""Bytes; a broken connection loses at most one chunk of what was received."""


def fetch_file(
    source: DataSource, file: DataFile, folder: Path, progress: Progress | None = None
) -> Path:
    """Make sure that a good copy of ``file`` lies in ``folder``; return its path.

    What was received before a broken connection is kept beside the target (``.part``) and
    resumed. A file reaches its name by renaming, after its checksum, or its contents where the
    publisher keeps no checksum, were found right; an older file there stays until then.

    Raises:
        DataError: no connection, a refused request, a wrong checksum or contents, no space, or a
            file that is only ever put there by hand.
    """
    found = find(file, folder)
    if found and fault_of(*found) is None:
        return found[1]
    if file.url is None:
        raise by_hand(source, file, folder)
    target = folder / file.path
    with _explained(source, file, target), _alone(target):
        # Another process may have fetched it while this one waited.
        if fault_of(file, target) is not None:
            _fetch(file, target, progress)
    return target


def _fetch(file: DataFile, target: Path, progress: Progress | None) -> None:
    pooch = optional.require("pooch")
    fresh = target.with_name(target.name + ".new")
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}" if file.sha256 else None,
            fname=fresh.name,
            path=fresh.parent,
            downloader=partial(
                _download, part=target.with_name(target.name + ".part"), progress=progress
            ),
        )
        fault = fault_of(file, fresh)
        if fault is not None:
            raise ValueError(fault)
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def _download(
    url: str, output: str, _pooch: object, *, part: Path, progress: Progress | None
) -> None:
    """Pooch's downloader protocol, with the bytes collected in ``part`` across attempts."""
    with _open(url, part) as (answer, start):
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        received = start
        with part.open("ab" if start else "wb") as stream:
            for chunk in answer.iter_content(CHUNK):
                stream.write(chunk)
                received += len(chunk)
                if progress is not None:
                    progress(received, total)
    if total is not None and received != total:
        raise ConnectionError(f"only {received} of {total} bytes")
    os.replace(part, output)


@contextmanager
def _open(url: str, part: Path) -> Iterator[tuple[Any, int]]:
    """A running request and the byte it starts at: the end of ``part`` if the server can."""
    start = part.stat().st_size if part.is_file() else 0
    answer = _get(url, start)
    if answer.status_code == 416:
        answer.close()
        start, answer = 0, _get(url, 0)
    with answer:
        answer.raise_for_status()
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        yield answer, start if answer.status_code == 206 and resumed else 0


def _get(url: str, start: int) -> Any:
    # A transfer encoding would be undone on the way in, and offsets and checksums with it.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    requests = optional.require("requests")
    return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process at a time: several started together would write one partial file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with optional.require("filelock").FileLock(target.with_name(f".{target.name}.lock")):
        yield


@contextmanager
def _explained(source: DataSource, file: DataFile, target: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as cause:
        raise DataError(
            f"data.fetch: {file.url} must give {file.path!r} as published, got other bytes "
            f"({cause}). Nothing was kept; try again, or put the right file at {target}."
        ) from cause
    except OSError as cause:
        raise DataError(
            f"data.fetch: {file.url} must be within reach and {target.parent} writable, got "
            f"{type(cause).__name__}: {cause}. Run again to go on where it broke off: spikewright "
            f"data fetch {source.name}; or put the file at {target} by hand."
        ) from cause
