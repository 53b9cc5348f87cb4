"""Small networks and batches for the tests of the surrogate rule and of what goes with it."""

from __future__ import annotations

import torch
from torch import Tensor

import spikewright as sw
from spikewright.learning import Batch


def network(seed: int = 0, backend: str = "reference", **neuron: object) -> sw.Sequential:
    """Eight inputs, 20 neurons that fire, three readouts; the same for the same seed.

    On the reference backend, which needs no kernels compiled.
    """
    torch.manual_seed(seed)
    hidden = sw.CubaLIF(**{"tau_mem": 10e-3, "v_threshold": 0.2, "backend": backend, **neuron})
    readout = sw.LI(backend=backend)
    return sw.Sequential(sw.Linear(8, 20), hidden, sw.Linear(20, 3), readout, dt=1e-3)


def batch(seed: int = 0, samples: int = 12, steps: int = 20) -> Batch:
    """Random spikes whose class says which third of the inputs is busy."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (samples,), generator=generator)
    rate = 0.1 + 0.5 * (torch.arange(8) % 3 == y[:, None])
    return Batch((torch.rand(steps, samples, 8, generator=generator) < rate).float(), y)


def weights(net: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)
