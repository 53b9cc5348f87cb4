"""All tests start from one seed. Examples in the README and the docs are tests as well.

Each page runs top to bottom in a new folder.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest
import torch
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Weights that a test does not seed are the same whichever tests the worker ran before."""
    torch.manual_seed(0)


def enter_folder(namespace: dict[str, Any]) -> None:
    from spikewright.compiler import registry

    namespace["_known"] = dict(registry._targets)  # pages may make targets known
    namespace["_home"] = os.getcwd()
    namespace["_folder"] = tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def leave_folder(namespace: dict[str, Any]) -> None:
    from spikewright.compiler import registry

    registry._targets.clear()
    registry._targets.update(namespace["_known"])
    os.chdir(namespace["_home"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
