"""How many activations left their range."""

from __future__ import annotations

from torch import Tensor

from spikewright.targets.fpga.integer import IntegerNetwork


def saturations(network: IntegerNetwork, q: Tensor) -> dict[str, int]:
    """By stage that requantises, how many of its rounded activations were above the largest.

    Args:
        q: inputs, (batch, *shape) whole numbers.

    >>> import torch
    >>> from spikewright.targets.fpga.integer import INPUT, Add, Requantise, Stage
    >>> net = IntegerNetwork((3,), 3, (Stage("a", (INPUT,), Add((0,)), Requantise(1, 2)),))
    >>> saturations(net, torch.tensor([[6, 7, 2]]))
    {'a': 1}
    """
    found: dict[str, int] = {}
    for stage, (sums, _) in network.watch(q):
        if stage.requantise is not None:
            found[stage.name] = int((stage.requantise.rounded(sums) > stage.requantise.most).sum())
    return found
