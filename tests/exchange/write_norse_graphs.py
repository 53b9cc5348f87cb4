"""Networks of norse as NIR files, with inputs and what norse makes of them.

Runs where norse is installed, which is nowhere near this package (norse is LGPL):

    python tests/exchange/write_norse_graphs.py tests/exchange/norse

norse's ``to_nir`` writes its time constants times its argument ``dt``, so it is called with
``dt=1``; its shapes are those of the sample, so the sample has no batch axis.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import nir
import norse.torch as norse
import numpy as np
import torch

STEPS = 60
DT = 1e-3


def vector(low: float, high: float, size: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(size)


def lif_box(size: int) -> norse.LIFBoxCell:
    p = norse.LIFBoxParameters(
        tau_mem_inv=1 / vector(5e-3, 20e-3, size),
        v_leak=vector(-0.1, 0.1, size),
        v_th=vector(0.3, 0.6, size),
        v_reset=torch.zeros(size),
    )
    return norse.LIFBoxCell(p, dt=DT)


def li_box(size: int) -> norse.LIBoxCell:
    p = norse.LIBoxParameters(1 / vector(5e-3, 20e-3, size), vector(-0.1, 0.1, size))
    return norse.LIBoxCell(p, dt=DT)


def lif(size: int) -> norse.LIFCell:
    p = norse.LIFParameters(
        tau_syn_inv=1 / vector(3e-3, 8e-3, size),
        tau_mem_inv=1 / vector(5e-3, 20e-3, size),
        v_leak=torch.zeros(size),
        v_th=vector(0.3, 0.6, size),
        v_reset=torch.zeros(size),
    )
    return norse.LIFCell(p, dt=DT)


def integrate_and_fire(*shape: int) -> norse.IAFCell:
    threshold = 0.5 + 0.5 * torch.rand(shape)
    return norse.IAFCell(norse.IAFParameters(v_th=threshold, v_reset=torch.zeros(shape)), dt=DT)


def networks() -> dict[str, tuple[torch.nn.Module, torch.Tensor]]:
    """Networks that norse can write, with an input (time, *features) for each."""
    spikes = (torch.rand(STEPS, 7) < 0.4).float()
    image = (torch.rand(STEPS, 1, 6, 6) < 0.3).float()
    linear = torch.nn.Linear
    return {
        "lif": (norse.SequentialState(linear(7, 9), lif_box(9), linear(9, 4), li_box(4)), spikes),
        "if": (
            norse.SequentialState(
                linear(7, 9), integrate_and_fire(9), linear(9, 4), integrate_and_fire(4)
            ),
            spikes,
        ),
        "cuba": (norse.SequentialState(linear(7, 9), lif(9), linear(9, 4), lif(4)), spikes),
        "conv": (
            norse.SequentialState(
                torch.nn.Conv2d(1, 3, 3, stride=2, padding=1), integrate_and_fire(3, 3, 3)
            ),
            image,
        ),
    }


def run(module: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    state, outputs = None, []
    for step in x:
        y, state = module(step, state)
        outputs.append(y.detach())
    return torch.stack(outputs).numpy()


def run_written(graph: nir.NIRGraph, x: torch.Tensor) -> np.ndarray:
    """What norse makes of a graph that it reads itself, with its parameters in batches of one."""
    module = norse.from_nir(graph, dt=DT)
    state, outputs = None, []
    for step in x:
        y, state = module(step[None], state)
        outputs.append(y.detach()[0])
    return torch.stack(outputs).numpy()


def read_by_norse() -> dict[str, tuple[nir.NIRGraph, torch.Tensor]]:
    """Graphs made by hand from kinds that norse reads."""
    random = np.random.default_rng(5)

    def between(low: float, high: float, size: int) -> np.ndarray:
        return random.uniform(low, high, size).astype(np.float32)

    def cuba(size: int) -> nir.CubaLIF:
        return nir.CubaLIF(
            tau_syn=between(3e-3, 8e-3, size),
            tau_mem=between(5e-3, 20e-3, size),
            r=between(0.8, 1.5, size),
            v_leak=np.zeros(size, np.float32),
            v_threshold=between(0.1, 0.3, size),
            w_in=between(1.0, 3.0, size),
        )

    weights = random.normal(size=(9, 7)).astype(np.float32)
    x = torch.from_numpy((random.random((STEPS, 7)) < 0.4).astype(np.float32))
    return {
        "cuba_read": (nir.NIRGraph.from_list(nir.Affine(weights, between(0, 0.2, 9)), cuba(9)), x)
    }


def write(path: Path, graph: nir.NIRGraph, x: torch.Tensor, y: np.ndarray) -> None:
    """One graph and one run; norse leaves tensors in nodes, and convolutions without a shape."""
    for node in graph.nodes.values():
        for key, value in vars(node).items():
            if isinstance(value, torch.Tensor):
                setattr(node, key, value.numpy())
    graph.edges.sort()
    graph.infer_types()
    nir.write(path.with_suffix(".nir"), graph, compression=None)
    np.savez_compressed(path.with_suffix(".npz"), x=x.numpy(), y=y)


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    for name, (module, x) in networks().items():
        write(folder / name, norse.to_nir(module, x[0], dt=1), x, run(module, x))
    for name, (graph, x) in read_by_norse().items():
        write(folder / name, graph, x, run_written(graph, x))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
