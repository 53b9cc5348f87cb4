"""PyTorch's idle threads are told to sleep soon, unless the user chose otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
READ = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("first", "chosen", "found"),
    [
        ("import spikewright.openmp", {}, "20000"),
        ("import spikewright.openmp", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("import spikewright.openmp", {"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
        ("import torch; import spikewright", {}, "None"),
    ],
)
def test_the_limit_is_set_only_where_it_acts(
    first: str, chosen: dict[str, str], found: str
) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-c", f"{first}; {READ}"]
    done = subprocess.run(
        command, env=kept | chosen, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == found
