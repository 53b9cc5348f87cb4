"""Writes golden vectors of the core of spiking layers: what Verilator's simulation answered.

``python tests/targets/fpga/write_lif_goldens.py`` (with ``tests`` and ``src`` on the path), only on
purpose; look at the difference.
"""

from __future__ import annotations

import json
from pathlib import Path

from spikewright.targets.fpga.lif.emit import images, made
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.simulate import simulate
from targets.fpga.lif_networks import CASES, spikes

GOLDENS = Path(__file__).parent / "lif_goldens"


def main() -> None:
    for name, (make, lanes) in CASES.items():
        network, chosen = make(), Lanes(lanes)
        folder = GOLDENS / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in (made(network, chosen) | images(network, chosen)).items():
            (folder / file).write_text(text)
        x = spikes(20, 2, network.inputs, 0.25) * network.spikes
        found = simulate(network, x, chosen)
        vectors = {
            "inputs": x.tolist(),
            "outputs": found.outputs.tolist(),
            "busy": found.busy.tolist(),
            "saturated": found.saturated.tolist(),
        }
        (folder / "vectors.json").write_text(json.dumps(vectors) + "\n")


if __name__ == "__main__":
    main()
