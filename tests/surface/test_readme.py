"""The README names only what is there. Its Python blocks run by Sybil (see conftest.py)."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_scripts_that_the_readme_names_can_be_run() -> None:
    scripts = set(re.findall(r"(?<=\./)scripts/[a-z]+", README))
    assert {"scripts/demo", "scripts/test"} <= scripts
    for script in scripts:
        assert os.access(ROOT / script, os.X_OK), script


def test_the_verbs_that_the_readme_names_are_commands() -> None:
    from typer.main import get_command

    from spikewright.cli import app

    blocks = "\n".join(re.findall(r"```(?:bash|console|sh)\n(.*?)```", README, re.DOTALL))
    verbs = set(re.findall(r"(?:^|\$ |`)spikewright ([a-z]+)", blocks + README, re.MULTILINE))
    assert "run" in verbs
    assert verbs <= set(get_command(app).commands)


def test_the_links_of_the_readme_lead_to_files() -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_readme_has_python_that_runs() -> None:
    assert len(re.findall(r"^```python$", README, re.MULTILINE)) >= 2
