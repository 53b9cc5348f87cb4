"""Small chains and batches for the tests of stochastic streams."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.learning import Batch, Stochastic
from spikewright.learning.stochastic.chain import as_chain, pack
from spikewright.learning.stochastic.streams import Samples, Streams, identities, read, run


def chain(*sizes: int, seed: int = 0, spread: float = 0.3, **options: Any) -> sw.Network:
    """Linear and stochastic layers in turn, with weights that leave most gates open."""
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [sw.Linear(a, b), sw.StochasticReLU(**options)]
    layers[-1] = sw.SoftmaxWinner(**options)
    net = sw.Sequential(*layers, dt=1e-3)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith("weight"):
                value.normal_(0.0, spread / value.shape[1] ** 0.5, generator=random)
            else:
                value.fill_(0.5)
    return net


def batch(samples: int, inputs: int, classes: int, steps: int, seed: int = 1) -> Batch:
    """Constant inputs in [0, 1]; some of them 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(samples, inputs, generator=random)
    x[x < 0.1], x[x > 0.9] = 0.0, 1.0
    y = torch.randint(classes, (samples,), generator=random)
    return Batch(x.expand(steps, samples, inputs), y)


def streams_of(
    net: sw.Network, given: Batch, rule: Stochastic, key: int = 5, *, keep: bool = True
) -> Streams:
    """What evaluation would run, with words and, as in training, errors."""
    links = as_chain(net)
    x, steps = read("test", net.to_floating(given.x))
    samples = Samples(x, steps, given.y.numpy(), identities(x), key)
    return run(pack(links, learn=True), rule.plan(links), samples, keep=keep)


def weights(net: sw.Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.named_parameters()}
