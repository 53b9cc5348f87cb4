"""Starts a tool whose whole process group ends with this process, whatever ends it.

A handler of signals could not promise that: SIGKILL has none, and a library has no business with
those of the program that imports it. So the group's first process is a watcher, which reads from a
pipe that only this process writes to. When this process is gone the system closes the pipe, the
watcher reads its end and kills the group; a tool that had children leaves none of them behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

WATCHER = ("/bin/sh", "-c", "read -r _; kill -s KILL 0")


@contextlib.contextmanager
def started(
    command: Sequence[str],
    folder: Path,
    said: IO[bytes],
    complaints: IO[bytes],
) -> Iterator[subprocess.Popen[bytes]]:
    """A tool that runs; nothing of it does any more when the block is left.

    Args:
        said, complaints: files for standard output and error.

    Raises:
        OSError: it could not be started.
    """
    with (
        subprocess.Popen(WATCHER, stdin=subprocess.PIPE, process_group=0) as watcher,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complaints,
            process_group=watcher.pid,
        ) as tool,
    ):
        try:
            yield tool
        finally:
            # Nobody has waited for the watcher, so this is the group's number and no other's.
            os.killpg(watcher.pid, signal.SIGKILL)
