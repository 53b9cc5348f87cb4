"""Where a run took place: versions, processor, threads."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from spikewright import optional

CPUINFO = Path("/proc/cpuinfo")


def environment() -> dict[str, str | int]:
    """Versions, platform and processor of this process, ready for JSON.

    Returns:
        ``spikewright``, ``python``, ``torch``, ``numpy``, ``numba`` (versions), ``platform``,
        ``cpu`` (model), ``cores`` (that this process may use), ``threads`` (of torch).

    >>> sorted(environment())  # doctest: +NORMALIZE_WHITESPACE
    ['cores', 'cpu', 'numba', 'numpy', 'platform', 'python', 'spikewright', 'threads', 'torch']
    """
    torch: Any = optional.require("torch")
    return {
        "spikewright": version("spikewright"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "threads": int(torch.get_num_threads()),
    }


def version(distribution: str) -> str:
    """Installed version of a distribution, or ``"not installed"``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def usable_cores() -> int:
    """How many cores this process may run on; containers often allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Name of the processor, as far as the operating system tells."""
    return _from_cpuinfo() or _from_sysctl() or platform.processor() or platform.machine()


def _from_cpuinfo() -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def _from_sysctl() -> str:
    if platform.system() != "Darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
