"""Brian2, its code compiled by Cython"""

from __future__ import annotations

from importlib import metadata
from typing import Any

from spikewright.benches.core import unsupervised as u
from spikewright.benches.core.task import DT, Task, Work
from spikewright.optional import require

KIND = "peer"
_INPUT = "dx/dt = -x / trace : 1\nrate : Hz"
_CELLS = "dv/dt = -v / membrane : 1 (unless refractory)\ndy/dt = -y / trace : 1\ntheta : 1"


def variants(task: Task) -> tuple[str, ...]:
    """Plasticity is what it is compared on."""
    return ("",) if task.net == "stdp" else ()


def prepare(task: Task, variant: str) -> Work:
    """One image; traces belong to neurons, not to synapses, which is its faster way."""
    b: Any = require("brian2", package="brian2")
    b.prefs.codegen.target = "cython"
    b.defaultclock.dt = DT * b.second
    inputs, neurons = task.sizes
    names = {"trace": u.TAU_TRACE * b.second, "membrane": u.TAU_MEM * b.second}
    source = b.NeuronGroup(inputs, _INPUT, threshold="rand() < rate * dt", reset="x = 1",
                           method="exact", namespace=names)  # fmt: skip
    source.rate = u.MAX_RATE * u.image(task).numpy() * b.Hz
    cells = b.NeuronGroup(
        neurons, _CELLS, threshold=f"v > {u.THRESHOLD} + theta", method="exact", namespace=names,
        reset=f"v = {u.RESET}; theta += {u.LIFT}; y = 1", refractory=u.REFRACTORY * b.second,
    )  # fmt: skip
    synapses = b.Synapses(
        source, cells, "w : 1",
        on_pre=f"v_post += w; w = clip(w - {u.DEPRESSION} * y_post, 0, 1)",
        on_post=f"w = clip(w + {u.POTENTIATION} * x_pre, 0, 1)",
    )  # fmt: skip
    synapses.connect()
    synapses.w = u.first_weights(task).numpy().flatten()
    lateral = b.Synapses(cells, cells, on_pre=f"v_post -= {u.INHIBITION}")
    lateral.connect("i != j")
    network = b.Network(source, cells, synapses, lateral)
    counted = b.SpikeMonitor(cells, record=False)

    def run() -> None:
        network.run(task.steps * DT * b.second)
        weights = synapses.w[:].reshape(inputs, neurons)
        synapses.w = (weights * (u.TOTAL / weights.sum(0))).flatten()

    def rates() -> list[float]:
        network.add(counted)
        run()
        return [counted.num_spikes / (neurons * task.steps)]

    return Work(run, rates, metadata.version("brian2"))
