"""`import spikewright` loads torch, numpy and numba only, and starts no GPU."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "h5py", "jinja2", "lightning_fabric", "networkx", "nir", "plotly", "pooch", "pydantic", "rich",
    "safetensors", "scipy", "soundfile", "tensorboard", "typer",
}  # fmt: skip

PROGRAM = """
import json, sys
import numba, numpy, torch
torch.manual_seed(7)
before, threads, random = set(sys.modules), torch.get_num_threads(), torch.get_rng_state()
import spikewright
print(json.dumps({
    "loaded": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
    "cuda": torch.cuda.is_initialized(),
    "changed": not torch.equal(random, torch.get_rng_state())
    or threads != torch.get_num_threads()
    or torch.get_default_dtype() != torch.float32,
}))
"""


def import_in_new_process(statement: str = "import spikewright") -> dict[str, object]:
    """What one import statement loads on top of torch, numpy and numba."""
    program = PROGRAM.replace("import spikewright", statement)
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_no_package_that_only_some_uses_need() -> None:
    seen = import_in_new_process()
    assert "spikewright" in seen["loaded"]
    assert set(seen["loaded"]) & HEAVY == set()
    assert seen["cuda"] is False


def test_a_heavy_import_would_be_seen() -> None:
    assert set(import_in_new_process("import rich.console")["loaded"]) & HEAVY == {"rich"}


def test_import_changes_no_setting_of_torch() -> None:
    assert import_in_new_process()["changed"] is False
    assert import_in_new_process("torch.rand(1)")["changed"] is True
