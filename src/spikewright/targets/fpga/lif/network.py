"""The network in whole numbers, and its exact run: the judge of the SystemVerilog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.compiler.software.observe import MEMBRANE
from spikewright.errors import ShapeError
from spikewright.targets.fpga.lif.step import SUM, FixedStep

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FixedLayer:
    """A layer: sums of weights, then a step of each neuron.

    Args:
        weight: (inputs, neurons), a row for each input.
        back: (neurons, neurons), a row for each neuron's own spike, or ``None``.
        bias: (neurons), with as many binary places as the state.
        bits: of a weight.
        fraction: binary places of state and bias.
        places: of weights.
        spiking: whether it hands out spikes; else numbers of ``fraction`` binary places.
    """

    name: str
    weight: Whole
    back: Whole | None
    bias: Whole
    step: FixedStep
    bits: int
    fraction: int
    places: int
    spiking: bool

    @property
    def neurons(self) -> int:
        """How many."""
        return self.weight.shape[1]

    @property
    def proved(self) -> bool:
        """Whether no input whatever can drive a state out of its range."""
        return self.step.saturates == 0

    @property
    def rows(self) -> Whole:
        """All rows of weights, those of its own spikes last."""
        return self.weight if self.back is None else np.concatenate([self.weight, self.back])


class LayerState(NamedTuple):
    """What a layer keeps from one step to the next: its state, and what it handed out last."""

    fields: tuple[Whole, ...]
    outputs: Whole


class Ran(NamedTuple):
    """What a layer did.

    Args:
        outputs: (time, batch, neurons) int64, spikes or the numbers of a readout.
        saturated: (batch), how often a neuron's state was cut to its range.
        membrane: of each step, its reset included, (time, batch, neurons) with ``fraction``
            binary places; ``None`` for neurons without a field of that name.
        after: the state that the next steps go on from.
    """

    outputs: Whole
    saturated: Whole
    membrane: Whole | None
    after: LayerState


@dataclass(frozen=True, eq=False)
class FixedNetwork:
    """Layers in a chain.

    Args:
        inputs: lines of spikes that come in.
        spikes: the most on one line in one step.
    """

    inputs: int
    spikes: int
    layers: tuple[FixedLayer, ...]

    def run(self, x: ArrayLike) -> Whole:
        """What the last layer hands out, (time, batch, neurons); see `walk`."""
        return self.walk(x)[-1].outputs

    def walk(self, x: ArrayLike, before: Sequence[LayerState] | None = None) -> list[Ran]:
        """What each layer did.

        Args:
            x: whole numbers of spikes, (time, batch, inputs).
            before: the state of each layer after the steps before; a fresh start if left out.

        Raises:
            ShapeError: another shape, or numbers out of range.
        """
        found: list[Ran] = []
        spikes = self.checked(x)
        for place, layer in enumerate(self.layers):
            found.append(run_layer(layer, spikes, before[place] if before else None))
            spikes = found[-1].outputs
        return found

    def checked(self, x: ArrayLike) -> Whole:
        """Inputs as int64; see `walk`."""
        given = np.asarray(x)
        right = given.ndim == 3 and given.shape[2] == self.inputs
        if not right or (
            given.size
            and not bool(((given >= 0) & (given <= self.spikes) & (given == given // 1)).all())
        ):
            raise ShapeError(
                f"fpga.lif: input must be whole numbers of spikes from 0 to {self.spikes}, (time, "
                f"batch, {self.inputs}), got {given.shape} of {given.dtype}. Encode it first, or "
                "allow more with FixedPoint(spikes=...)."
            )
        return given.astype(np.int64)

    @property
    def report(self) -> Mapping[str, str]:
        """Formats in words, by layer."""
        return {layer.name: _described(layer) for layer in self.layers}


def run_layer(layer: FixedLayer, spikes: Whole, before: LayerState | None = None) -> Ran:
    """Run one layer on spikes (time, batch, inputs), from a state or a fresh start."""
    steps, batch, lines = spikes.shape
    shape = (batch, layer.neurons)
    state, last = before or _fresh(layer, shape)
    names = [field.name for field in layer.step.fields]
    seen = names.index(MEMBRANE) if MEMBRANE in names else None
    outputs, membrane = np.zeros((2, steps, *shape), np.int64)
    saturated = np.zeros(batch, np.int64)
    sums = _product(spikes.reshape(steps * batch, lines), layer.weight).reshape(steps, *shape)
    for t in range(steps):
        total = sums[t] if layer.back is None else sums[t] + _product(last, layer.back)
        last, state, cut = layer.step(total, layer.bias, state)
        outputs[t] = last
        saturated += cut.sum(1)
        if seen is not None:
            membrane[t] = state[seen]
    trace = None if seen is None else membrane
    return Ran(outputs, saturated, trace, LayerState(state, last))


def _fresh(layer: FixedLayer, shape: tuple[int, int]) -> LayerState:
    fields = tuple(np.full(shape, field.initial, np.int64) for field in layer.step.fields)
    return LayerState(fields, np.zeros(shape, np.int64))


def _product(spikes: Whole, weight: Whole) -> Whole:
    """Exact: sums stay far below 2^53, and floating products are the fast ones."""
    return (spikes.astype(np.float64) @ weight.astype(np.float64)).astype(np.int64)


def _described(layer: FixedLayer) -> str:
    low, high = layer.step.ranges[SUM]
    weights = f"weights {layer.bits} bits, {layer.places} binary places, sums {low} to {high}"
    fields = (f"{f.name} {f.bits} bits, {f.fraction} binary places" for f in layer.step.fields)
    safe = "cannot leave its range" if layer.proved else "is cut to its range, and counted"
    return "; ".join([weights, *fields, f"state {safe}"])
