"""A script that defines its neuron itself, trains nothing and prints what the kernels gave.

``python own_neuron_script.py FILE [no-trace]`` runs the definition in FILE as a notebook runs a
cell (no file to read its source from), then the same neuron from this script's ``__main__``.
"""

import sys
from pathlib import Path

import torch

import spikewright as sw
from spikewright.engine.cpu import backend as cpu


def refuse(*arguments):
    raise SystemExit("the step was traced although its kernels lie in the cache")


def run(neuron):
    neuron.build((5,), dt=1e-3)
    x = 4 * torch.rand(40, 3, 5, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    spikes, _ = neuron(x)
    (spikes * torch.linspace(0, 1, 5)).sum().backward()
    return [float(spikes.sum()), float(x.grad.double().norm())]


def both(kind):
    learn = {name: sw.learnable(value) for name, value in (("tau_mem", 8e-3), ("beta", 0.2))}
    results = []
    for backend in ("cpu", "reference"):
        neuron = kind(backend=backend, **learn)
        results.append(run(neuron) + [float(p.grad) for p in neuron.parameters()])
    assert results[0][0] == results[1][0] > 10
    for found, expected in zip(*results, strict=True):
        assert abs(found - expected) <= 1e-4 * abs(expected), results
    return results[0]


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "no-trace" in sys.argv:
        cpu.trace_step = refuse
    imports = "from dataclasses import dataclass\nfrom typing import NamedTuple\n"
    text = imports + Path(sys.argv[1]).read_text().partition("import spikewright as sw")[2]
    cell = {"torch": torch, "sw": sw, "__name__": "__main__"}
    exec(text, cell)
    exec(text, globals())
    print(both(cell["QuadraticIF"]) + both(globals()["QuadraticIF"]))
