"""Marks for tests that need outside tools: they skip without them, unless all must be there."""

from __future__ import annotations

import os
import shutil

import pytest

from spikewright.targets.fpga import verilator
from spikewright.targets.fpga.synthesis.tools import Tool

REQUIRED = "SPIKEWRIGHT_RTL" in os.environ
"""Tests then run, and fail, without their tools."""


def needs(tool: str | Tool) -> pytest.MarkDecorator:
    """Skip without a command, or without a tool that may have been installed in another way."""
    if isinstance(tool, Tool):
        name, found, install = tool.name, tool.find() is not None, tool.install
    else:
        name, found, install = tool, shutil.which(tool) is not None, f"apt install {tool}"
    return pytest.mark.skipif(not (found or REQUIRED), reason=f"{name} is not installed: {install}")


needs_verilator = pytest.mark.skipif(
    not (verilator.available() or REQUIRED),
    reason="Verilator, make or g++ is not installed: apt install verilator make g++",
)
OTHER_TOOLS = [pytest.param(name, marks=needs(name)) for name in ("iverilog", "yosys")]
"""That read the sources as well."""
