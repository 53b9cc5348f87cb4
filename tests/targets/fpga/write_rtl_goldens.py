"""Writes golden vectors: what Verilator's simulation of the SystemVerilog answered.

``python tests/targets/fpga/write_rtl_goldens.py`` (with ``tests`` and ``src`` on the path), only on
purpose; look at the difference.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from spikewright.targets.fpga.assemble import assemble_together
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit
from spikewright.targets.fpga.verilator import simulate
from targets.fpga.rtl_networks import drawn

GOLDENS = Path(__file__).parent / "goldens"
SEEDS = (1, 2, 3, 4, 5, 9)


def main() -> None:
    cases = [drawn(seed) for seed in SEEDS]
    hardware = Hardware(lanes=3, units=3, linear=5, word=14)
    programs = assemble_together([network for network, _ in cases], hardware)
    for seed, program, (_, q) in zip(SEEDS, programs, cases, strict=True):
        folder = emit(program, GOLDENS / f"seed{seed}")
        shutil.rmtree(folder / "rtl")  # the vectors outlive changes of the source
        found = simulate(program, q.numpy())
        vectors = {
            "inputs": q.tolist(),
            "results": found.results.tolist(),
            "cycles": found.cycles,
            "saturated": found.saturated.tolist(),
        }
        (folder / "vectors.json").write_text(json.dumps(vectors) + "\n")


if __name__ == "__main__":
    main()
