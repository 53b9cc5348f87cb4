"""The noise of a layer's steps as a registered operation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.engine.custom_ops.operation import call, register
from spikewright.engine.layer import Shape


@dataclass(frozen=True)
class Noise:
    """``spikewright::noise``: a sequence, samples and their clock to numbers for each step.

    See `spikewright.seeding.normal`.
    """

    features: Shape
    dtype: torch.dtype

    @property
    def name(self) -> str:
        return "noise"

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        x, sample, clock = tensors
        steps = len(x)
        return [seeding.normal(0, sample, int(clock[0]), steps, self.features, self.dtype)]

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        x, sample = tensors[:2]
        shape = (x.shape[0], sample.shape[0], *self.features)
        return [sample.new_empty(shape, dtype=self.dtype)]


def noise(x: Tensor, sample: Tensor, clock: Tensor, features: Shape, dtype: torch.dtype) -> Tensor:
    """Normal numbers for each step of ``x``, (time, batch, *features)."""
    return call(Noise(features, dtype), [x.detach(), sample, clock])[0]


register("noise")
