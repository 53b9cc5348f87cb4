"""The temporal exclusive-or of the published WaveSense tutorial, as a task for tests."""

from __future__ import annotations

import torch
from torch import Tensor

import spikewright as sw
from spikewright.learning.losses import CrossEntropy
from spikewright.learning.rule import Batch

CHANNELS, STEPS, STIMULUS, SILENCE = 16, 100, 20, 30


def temporal_xor(seed: int, delay: int = SILENCE, steps: int = STEPS) -> Batch:
    """Two stimuli with silence between; whether they differ.

    A stimulus is 0 to 15 spikes in each step, on the upper channels for A and on the lower for B.
    """
    stream = torch.Generator().manual_seed(seed)
    stimuli = torch.zeros(2, STIMULUS, CHANNELS)
    stimuli[0, :, :8] = torch.randint(16, (STIMULUS, 8), generator=stream).float()
    stimuli[1, :, 8:] = torch.randint(16, (STIMULUS, 8), generator=stream).float()
    x = torch.zeros(steps, 4, CHANNELS)
    second = STIMULUS + delay
    for sample, (a, b) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        x[:STIMULUS, sample] = stimuli[a]
        x[second : second + STIMULUS, sample] = stimuli[b]
    return Batch(x, torch.tensor([0, 1, 1, 0]))


def xor_net(dilations: tuple[float, ...]) -> sw.models.WaveSense:
    times = {"tau_base": 2e-3, "tau_mem": 2e-3, "tau_out": 10e-3, "dt": 1e-3}
    return sw.models.WaveSense(CHANNELS, 2, 16, 16, 16, dilations, **times)


def solves_temporal_xor(
    dilations: tuple[float, ...], seed: int, epochs: int, delay: int = SILENCE
) -> bool:
    """Whether all four samples are told right at the last step within so many passes."""
    torch.manual_seed(seed)
    task = temporal_xor(seed, delay, STEPS + delay - SILENCE)
    net = xor_net(dilations)
    sw.aim_rates(net, task.x, 0.3)
    rule = sw.learning.Surrogate(decoder=sw.coding.Last(), loss=CrossEntropy(), learning_rate=2e-3)
    state = rule.init(net)
    right: list[Tensor] = []
    for _ in range(epochs):
        metrics, state = rule.train_batch(net, task, state)
        right.append(metrics["accuracy"])
        if len(right) >= 5 and all(float(share) == 1 for share in right[-5:]):
            return True
    return False
