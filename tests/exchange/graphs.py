"""NIR graphs made by hand, with random numbers, for tests."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch

import spikewright as sw

DT = 1e-3


class Draw:
    """Random parameters of nodes, from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)

    def between(self, low: float, high: float, *shape: int) -> Any:
        return self.random.uniform(low, high, shape)

    def weights(self, *shape: int) -> Any:
        return self.random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))

    def spikes(self, steps: int, *shape: int, rate: float = 0.4) -> Any:
        return (self.random.random((steps, *shape)) < rate).astype(np.float64)

    def leak(self, *shape: int) -> dict[str, Any]:
        return {"v_leak": self.between(-0.1, 0.1, *shape), "r": self.between(0.8, 1.5, *shape)}

    def fire(self, *shape: int) -> dict[str, Any]:
        low, high = self.between(-0.2, 0.1, *shape), self.between(0.1, 0.3, *shape)
        return {"v_reset": low, "v_threshold": high}

    def times(self, *shape: int) -> dict[str, Any]:
        return {
            "tau_mem": self.between(5e-3, 20e-3, *shape),
            "tau_syn": self.between(3e-3, 8e-3, *shape),
        }

    def lif(self, *shape: int) -> nir.LIF:
        return nir.LIF(self.between(5e-3, 20e-3, *shape), **self.leak(*shape), **self.fire(*shape))

    def li(self, *shape: int) -> nir.LI:
        return nir.LI(self.between(5e-3, 20e-3, *shape), **self.leak(*shape))

    def integrate_and_fire(self, *shape: int) -> nir.IF:
        return nir.IF(
            self.between(0.5, 1.5, *shape),
            self.between(0.7, 1.3, *shape),
            -self.between(0, 0.2, *shape),
        )

    def cuba_lif(self, *shape: int) -> nir.CubaLIF:
        w_in = self.between(2.0, 6.0, *shape)
        return nir.CubaLIF(
            **self.times(*shape), **self.leak(*shape), **self.fire(*shape), w_in=w_in
        )

    def cuba_li(self, *shape: int) -> nir.CubaLI:
        return nir.CubaLI(
            **self.times(*shape), **self.leak(*shape), w_in=self.between(2, 6, *shape)
        )

    def affine(self, inputs: int, outputs: int) -> nir.Affine:
        return nir.Affine(3 * self.weights(outputs, inputs), self.between(-0.1, 0.3, outputs))

    def linear(self, inputs: int, outputs: int) -> nir.Linear:
        return nir.Linear(3 * self.weights(outputs, inputs))


def chain(shape: tuple[int, ...], *nodes: Any, output: tuple[int, ...] | None = None) -> Any:
    """Nodes ``n0``, ``n1``, ... between ``input`` and ``output``."""
    ends = {"input": nir.Input({"input": np.array(shape)})}
    inner = {f"n{k}": node for k, node in enumerate(nodes)}
    last = {"output": nir.Output({"output": None if output is None else np.array(output)})}
    names = [*ends, *inner, *last]
    edges = list(pairwise(names))
    return nir.NIRGraph({**ends, **inner, **last}, edges, type_check=False)


def joined(nodes: dict[str, Any], edges: list[tuple[str, str]], inputs: int, outputs: int) -> Any:
    """Nodes of one axis by name, with ``input`` and ``output`` added."""
    ends = {
        "input": nir.Input({"input": np.array([inputs])}),
        "output": nir.Output({"output": np.array([outputs])}),
    }
    return nir.NIRGraph({**ends, **nodes}, edges, type_check=False)


def on_reference(network: sw.Network) -> sw.Network:
    """The network on paths that compile nothing; which one runs is for other tests."""
    for module in network.modules():
        if isinstance(module, sw.Neuron):
            module.backend = "reference"
        if isinstance(module, sw.Linear | sw.Conv1d | sw.Conv2d):
            module.path = "dense"
    return network


def run(network: sw.Network, x: Any) -> Any:
    """A network's output for one sample, as NumPy."""
    on_reference(network)
    held = [v.dtype for v in (*network.parameters(), *network.buffers()) if v.is_floating_point()]
    dtype = held[0] if held else torch.get_default_dtype()
    with torch.no_grad():
        return network(torch.from_numpy(np.asarray(x)).to(dtype)[:, None])[0][:, 0].numpy()
