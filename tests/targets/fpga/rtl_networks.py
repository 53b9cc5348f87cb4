"""Networks drawn at random, small enough for a simulator, odd enough to reach every corner."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Requantise,
    Stage,
    SumPool,
)


class Drawing:
    """Draws stages one after another; all follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.bits = self.pick.randint(1, 4)
        self.shape = tuple(self.pick.randint(*sizes) for sizes in ((1, 3), (4, 9), (4, 9)))
        self.stages: list[Stage] = []
        self.last, self.now = INPUT, self.shape

    def integers(self, *shape: int, bits: int) -> Tensor:
        return torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), shape, generator=self.generator)

    def inputs(self, batch: int) -> Tensor:
        return torch.randint(0, 2**self.bits, (batch, *self.shape), generator=self.generator)

    def requantise(self, shift: int) -> Requantise:
        return Requantise(shift + self.pick.randint(-1, 1), self.pick.randint(1, 4))

    def append(self, operation, requantise=None, inputs=None) -> None:
        name = f"s{len(self.stages)}"
        stage = Stage(name, inputs or (self.last,), operation, requantise)
        given = IntegerNetwork(self.shape, self.bits, (*self.stages, stage))
        self.now = tuple(given.run(torch.zeros(1, *self.shape)).shape[1:])
        self.stages.append(stage)
        self.last = name

    def pair(self, low: int, high: int) -> tuple[int, int]:
        return self.pick.randint(low, high), self.pick.randint(low, high)

    def convolution(self) -> None:
        channels = self.now[0]
        groups = self.pick.choice([1, channels])
        outputs = groups * self.pick.randint(1, 4)
        kernel, bits = self.pair(1, 3), self.pick.randint(1, 4)
        weight = self.integers(outputs, channels // groups, *kernel, bits=bits)
        bias = self.integers(outputs, bits=5)
        stride, padding = self.pair(1, 2), self.pair(0, 2)
        it = Convolution(weight, bias, stride, padding, groups)
        self.append(it, self.requantise(bits - 1))

    def pool(self) -> None:
        window = self.pick.randint(1, min(3, *self.now[1:])), self.pick.randint(1, 2)
        padding = window[0] // 2 * self.pick.randint(0, 1), 0
        if self.pick.random() < 0.5:
            again = self.requantise(0) if self.pick.random() < 0.3 else None
            self.append(MaxPool(window, self.pair(1, 2), padding), again)
        else:
            self.append(SumPool(window, self.pair(1, 2), padding), self.requantise(1))

    def residual(self) -> None:
        before = self.last
        channels = self.now[0]
        weight = self.integers(channels, channels, 3, 3, bits=3)
        bias = self.integers(channels, bits=4)
        self.append(Convolution(weight, bias, (1, 1), (1, 1)), self.requantise(2))
        names = (before, self.last, before)[: self.pick.randint(1, 3)]
        shifts = tuple(self.pick.randint(0, 2) for _ in names)
        self.append(Add(shifts), self.requantise(2), names)

    def shortcut(self, last: bool = False) -> None:
        """Sums of a convolution, which no requantiser sees, and what goes past it."""
        before, now = self.last, self.now
        kind = self.pick.choice(["identity", "projection", "mean", "two"])
        stride = (1, 1) if kind in ("identity", "two") else self.pair(1, 2)
        outputs = self.pick.randint(1, 4) if kind == "projection" else now[0]
        groups = now[0] if outputs == now[0] and self.pick.random() < 0.4 else 1
        weight = self.integers(outputs, now[0] // groups, 3, 3, bits=3)
        it = Convolution(weight, self.integers(outputs, bits=4), stride, (1, 1), groups)
        self.append(it)
        names = [self.last]
        if kind == "projection":
            weight = self.integers(outputs, now[0], 1, 1, bits=3)
            it = Convolution(weight, self.integers(outputs, bits=4), stride)
            self.append(it, None, (before,))
            names.append(self.last)
        elif kind == "mean":
            self.append(SumPool((3, 3), stride, (1, 1)), None, (before,))
            names.append(self.last)
        else:
            names.append(before)
        if kind == "two":  # the sums of an addition in another one
            self.append(Add(self.pair(0, 1)), None, tuple(names))
            names = [before, self.last, names[0]]
        self.pick.shuffle(names)
        shifts = tuple(self.pick.randint(0, 2) for _ in names)
        self.append(Add(shifts), None if last else self.requantise(3), tuple(names))

    def past_dense(self, last: bool) -> None:
        """Sums of a product and the vector it reads."""
        (features,), before = self.now, self.last
        weight = self.integers(features, features, bits=3)
        self.append(Dense(weight, self.integers(features, bits=4)))
        names = [self.last, before]
        self.pick.shuffle(names)
        self.append(Add(self.pair(0, 2)), None if last else self.requantise(3), tuple(names))

    def dense(self, last: bool) -> None:
        if self.pick.random() < 0.3:
            return self.past_dense(last)
        outputs = self.pick.randint(1, 20)
        weight = self.integers(outputs, self.now[0], bits=3)
        it = Dense(weight, self.integers(outputs, bits=6))
        self.append(it, None if last else self.requantise(3))

    def draw(self) -> IntegerNetwork:
        for _ in range(self.pick.randint(1, 3)):
            self.pick.choice([self.convolution, self.pool, self.residual, self.shortcut])()
            if min(self.now[1:]) < 3:
                break
        end = self.pick.randint(0, 6)
        if end == 6:
            self.shortcut(last=True)
            end = self.pick.randint(0, 1)
            if end:
                self.append(Flatten())  # of sums
            return IntegerNetwork(self.shape, self.bits, tuple(self.stages))
        if end > 1:
            self.append(Flatten(), self.requantise(0) if end == 2 else None)
        for k in range(end - 2):
            self.dense(last=k == end - 3)
        if end == 1:
            weight = self.integers(3, self.now[0], 1, 1, bits=3)
            self.append(Convolution(weight, self.integers(3, bits=4)))
        return IntegerNetwork(self.shape, self.bits, tuple(self.stages))


def drawn(seed: int, batch: int = 3) -> tuple[IntegerNetwork, Tensor]:
    """A network and inputs for it."""
    drawing = Drawing(seed)
    return drawing.draw(), drawing.inputs(batch)
