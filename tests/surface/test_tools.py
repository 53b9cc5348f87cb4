"""Every limit that is configured for a tool is switched on: code that breaks it is reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUFF = shutil.which("ruff", path=sysconfig.get_path("scripts")) or "ruff"
MODULE = '"""A module."""\n\n'
DOCUMENTED = '    """Say something."""\n'

BROKEN = {
    "C901": "def f(x: int) -> int:\n" + DOCUMENTED + "    if x:\n        x += 1\n" * 11,
    "PLR0912": "def f(x: int) -> int:\n" + DOCUMENTED + "    if x:\n        x += 1\n" * 13,
    "PLR0913": f"def f(a, b, c, d, e, f, g, h) -> None:\n{DOCUMENTED}",
    "PLR0915": "def f() -> None:\n" + DOCUMENTED + "    f()\n" * 41,
    "TID252": "from . import errors\n",
    "E501": f"x = {'1' * 100}\n",
    "D101": "class A:\n    pass\n",
    "D103": "def f() -> None:\n    pass\n",
    "NPY002": "import numpy as np\n\nnp.random.seed(0)\n",
    "T201": "print(1)\n",
    "ERA001": "# x = f(1)\n",
    "TRY002": f"def f() -> None:\n{DOCUMENTED}    raise Exception\n",
    "UP006": "from typing import List\n\nx: List[int] = []\n",
}


def codes_for(source: str, name: str = "src/spikewright/broken.py") -> set[str]:
    """The codes of the rules that ruff reports for a file of the package with this text."""
    command = [RUFF, "check", "--output-format", "concise", "--no-cache", "--stdin-filename", name]
    done = subprocess.run([*command, "-"], input=source, cwd=ROOT, capture_output=True, text=True)
    reports = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if f"{name}:" in line]
    return {report.split()[0] for report in reports}


@pytest.mark.parametrize("code", BROKEN)
def test_ruff_reports_code_that_breaks_a_configured_rule(code: str) -> None:
    assert code in codes_for(MODULE + BROKEN[code])


def test_ruff_passes_code_that_keeps_every_limit() -> None:
    seven = "def f(a: int, b: int, c: int, d: int, e: int, g: int, h: int) -> None:\n"
    assert codes_for(MODULE + seven + DOCUMENTED) == set()


def test_a_command_may_have_one_parameter_per_flag() -> None:
    assert "PLR0913" not in codes_for(MODULE + BROKEN["PLR0913"], "src/spikewright/cli/run.py")


def test_pyright_reports_a_wrong_type_and_a_missing_one(tmp_path: Path) -> None:
    source = "def f(x) -> int:\n    return 'a'\n"
    (tmp_path / "broken.py").write_text(source)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    settings = (tmp_path / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(settings.replace('"src/spikewright"', '"."'))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "reportReturnType" in done.stdout
    assert "reportMissingParameterType" in done.stdout
