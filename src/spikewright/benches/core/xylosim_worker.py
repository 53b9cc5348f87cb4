"""The vendor's simulator in a process of its own; needs NumPy and xylosim, and nothing of ours.

The first argument names a file of arrays: a configuration and clips (time, batch, inputs). It
answers each line of JSON on standard input with one on standard output:

- ``{"run": true}``: the seconds that all clips took, one after the other;
- ``{"save": path}``: writes spikes and states of all clips, (time, batch, n), to that file.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

import numpy as np

CORES = {1: "xylosim.v1", 2: "xylosim.v2"}


class Simulated:
    """A layer of the simulator, and the clips that it runs."""

    def __init__(self, path: str) -> None:
        with np.load(path) as found:
            self.values = {name: found[name] for name in found.files}
        self.module: Any = importlib.import_module(CORES[int(self.values["core"])])
        weights = (self.values["weights_in"], self.values["weights_rec"])
        # The simulator keeps pointers to these lists: without a reference of ours it crashes.
        self.lists = [self._synapses(w) for w in (*weights, self.values["weights_out"][None])]
        self.layer = self._layer()
        self.clips = [clip.tolist() for clip in self.values["x"].swapaxes(0, 1)]

    def _synapses(self, weights: Any) -> list[list[Any]]:
        """By source its synapses; weights are (synapses, sources, targets)."""
        make = self.module.XyloSynapse
        return [
            [make(int(n), int(k), int(row[k, n])) for n, k in np.argwhere(row.T)]
            for row in weights.swapaxes(0, 1)
        ]

    def _layer(self) -> Any:
        v, bias = self.values, dict[str, Any]()
        if int(v["core"]) > 1:
            bias = {
                "has_bias": True,
                "bias": v["bias"].tolist(),
                "bias_out": v["bias_out"].tolist(),
            }
        inputs, recurrent, output = (int(shift) for shift in v["shifts"])
        return self.module.XyloLayer(
            synapses_in=self.lists[0],
            synapses_rec=self.lists[1],
            synapses_out=self.lists[2],
            aliases=[[int(n)] if n >= 0 else [] for n in v["alias"]],
            threshold=v["threshold"].tolist(),
            threshold_out=v["threshold_out"].tolist(),
            weight_shift_inp=inputs,
            weight_shift_rec=recurrent,
            weight_shift_out=output,
            dash_mem=v["dash_mem"].tolist(),
            dash_mem_out=v["dash_mem_out"].tolist(),
            dash_syns=v["dash_syn"].tolist(),
            dash_syns_out=v["dash_syn_out"].tolist(),
            name="layer",
            **bias,
        )

    def run(self) -> float:
        """Seconds for all clips."""
        start = time.perf_counter()
        for clip in self.clips:
            self.layer.reset_all()
            self.layer.evolve(clip)
        return time.perf_counter() - start

    def save(self, path: str) -> None:
        """Write what every clip gives."""
        found: list[dict[str, Any]] = []
        for clip in self.clips:
            self.layer.reset_all()
            out = self.layer.evolve(clip)
            found.append({"out": np.array(out), **self._recorded(len(clip))})
        together: dict[str, Any] = {k: np.stack([one[k] for one in found], 1) for k in found[0]}
        np.savez(path, **together)

    def _recorded(self, steps: int) -> dict[str, Any]:
        layer = self.layer
        two = self.values["dash_syn"].shape[1] > 1
        currents = [layer.rec_i_syn, layer.rec_i_syn2] if two else [layer.rec_i_syn]
        return {
            "events": np.array(layer.rec_recurrent_spikes).reshape(steps, -1),
            "i": np.stack([np.array(i).T for i in currents], -1),
            "v": np.array(layer.rec_v_mem).T,
            "i_out": np.array(layer.rec_i_syn_out).T[..., None],
            "v_out": np.array(layer.rec_v_mem_out).T,
        }


def main() -> None:
    """Answer requests until standard input ends."""
    simulated = Simulated(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if "save" in request:
            simulated.save(request["save"])
        else:
            answer = {"seconds": simulated.run()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
