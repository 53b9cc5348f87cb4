"""The frameworks that benchmarks compare with, one a file, and the limits that none can pass.

Each runs in a worker process of its own and nothing else of this package imports them. To add
one, add its file, with a docstring whose first line is its name in the tables, and:

- ``KIND``: ``"peer"``, ``"by hand"`` (plain PyTorch) or ``"limit"`` (a part of the work that none
  can leave out, neurons apart); ``"ours"`` is this package;
- ``prepare(task, variant) -> Work``, which raises `NotOffered` for work it does not do;
- ``variants(task)``, if there are several ways to use it: their names, which the tables add.
"""

from __future__ import annotations

from typing import Any

from spikewright.benches.core.task import Task
from spikewright.lookup import Lookup

PEERS = Lookup(__name__, "peer")


def ways(module: Any, task: Task) -> tuple[str, ...]:
    """The variants in which a framework does a task, one without a name by default."""
    variants = getattr(module, "variants", None)
    return ("",) if variants is None else variants(task)


__all__ = ["PEERS", "ways"]
