"""Small networks in double precision, spikes for them, and central differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import spikewright as sw
from spikewright.learning import Batch

TAUS = {"tau_mem": 20e-3, "tau_syn": 5e-3}
DURATION = 60e-3


def network(
    spiking: bool = False, seed: int = 0, scale: float = 1.0, dt: float = 1e-3, slow: float = 1.0
) -> sw.Sequential:
    """Four inputs, two layers of hidden neurons, three outputs; the same for the same seed.

    ``scale`` multiplies the weights, ``slow`` all times.
    """
    torch.manual_seed(seed)
    taus = {name: slow * tau for name, tau in TAUS.items()}
    learned = {name: sw.learnable(torch.full((6,), tau)) for name, tau in taus.items()}
    net = sw.Sequential(
        sw.Linear(4, 6, bias=False),
        sw.CubaLIF(**learned, v_threshold=sw.learnable(torch.full((6,), 0.3))),
        sw.Delay(torch.full((6,), slow * 1.5e-3), maximum=slow * 5e-3, learnable=True),
        sw.Linear(6, 5, bias=False),
        sw.CubaLIF(**taus, v_threshold=sw.learnable(torch.full((5,), 0.3))),
        sw.Linear(5, 3, bias=False),
        sw.CubaLIF(**taus, v_threshold=0.25) if spiking else sw.CubaLI(**taus),
        dt=dt,
    )
    net = net.double()
    net.build((4,))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("weight"):
                weight.copy_(scale * (torch.rand_like(weight) * 1.2 - 0.1))
    return net


def spikes(seed: int = 1, slow: float = 1.0, samples: int = 3, each: int = 3) -> sw.SpikeTimes:
    """``each`` spikes of each of four inputs, anywhere in the first half of the trial."""
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, 4, each)
    times = torch.rand(shape, generator=generator, dtype=torch.float64) * slow * DURATION / 2
    sample = torch.arange(samples)[:, None, None].expand(shape)
    unit = torch.arange(4)[:, None].expand(shape)
    like = (samples, (4,), slow * DURATION)
    return sw.SpikeTimes.sort(times.flatten(), unit.flatten(), sample.flatten(), like)


def batch(seed: int = 1, slow: float = 1.0) -> Batch:
    return Batch(spikes(seed, slow), torch.arange(3))


def derivative(value: Callable[[], float], parameter: Tensor, along: Tensor, h: float) -> float:
    """Of ``value`` along a direction of a parameter, by central differences of fourth order."""

    def at(step: float) -> float:
        with torch.no_grad():
            parameter.add_(along, alpha=step * h)
            found = value()
            parameter.sub_(along, alpha=step * h)
        return found

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)


def weights(net: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


@dataclass(frozen=True)
class Part:
    """Samples whose spikes are there when they are asked for."""

    times: Tensor
    labels: Tensor
    duration: float
    shape: tuple[int, ...] = (2,)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, index: Tensor, generator: torch.Generator | None = None
    ) -> tuple[sw.SpikeTimes, Tensor]:
        return sw.SpikeTimes.from_first(self.times[index], self.duration), self.labels[index]


@dataclass(frozen=True)
class WhichIsFirst:
    """Two inputs spike once each; the class says which one is earlier."""

    train: Part
    validation: Part | None = None
    dt: float = 1e-3


def which_is_first(samples: int = 64, seed: int = 0) -> WhichIsFirst:
    generator = torch.Generator().manual_seed(seed)
    early, gap = torch.rand(2, samples, generator=generator, dtype=torch.float64)
    labels = torch.randint(2, (samples,), generator=generator)
    first, second = 2e-3 + 3e-3 * early, 8e-3 + 6e-3 * gap
    times = torch.stack([first, second], 1)
    times = torch.where(labels[:, None] == 0, times, times.flip(1))
    return WhichIsFirst(Part(times, labels, 40e-3))
