"""Number formats for weights, states and what passes between nodes, calibrated on data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import REFRACTORY, DiscreteProgram, Neurons, Node
from spikewright.compiler.formats import Fixed, Format, Spikes, integers
from spikewright.compiler.passes.scales import (
    Method,
    check_method,
    choose_scale,
    least_squares,
)
from spikewright.compiler.software.observe import is_spikes, state_traces
from spikewright.compiler.tensors import tensors_of, weight_of
from spikewright.errors import ParameterError

Per = Literal["layer", "channel"]


@dataclass(frozen=True, eq=False)
class Quantise:
    """Hold weights, and the states of neurons if asked for, in whole numbers of some bits.

    value = scale * q with symmetric q. The scale of weights follows from the weights, that of a
    state field from its values while the program runs on the calibration sample. The counter of a
    refractory period stays a whole number of steps. Biases stay as they are, floating.

    Args:
        calibration: (time, batch, *features).
        weights: bits, the sign included; ``None`` leaves them floating.
        per: one scale for the layer, or one for each channel of its output.
        method: how a scale is chosen; see `choose_scale`.
        percentile: for that method, of the magnitudes, above 0 and up to 100.
        states: bits of the state fields, one scale for each field of a layer; ``None`` leaves
            them floating.
        inputs: bits of the program's input, one scale; spikes stay spikes. ``None`` leaves it
            floating.

    Raises:
        ParameterError: an option is out of range.
    """

    calibration: Tensor
    weights: int | None = 8
    per: Per = "layer"
    method: Method = "range"
    percentile: float = 99.9
    states: int | None = None
    inputs: int | None = None

    def __post_init__(self) -> None:
        check_method("quantise", self.method)
        for name in ("weights", "states", "inputs"):
            bits = getattr(self, name)
            if bits is not None and not (isinstance(bits, int) and 2 <= bits <= 32):
                raise ParameterError(
                    f"quantise: {name} must be None or 2 to 32 bits, got {bits!r}. Pass 8, say."
                )
        if self.per not in ("layer", "channel"):
            raise ParameterError(
                f"quantise: per must be 'layer' or 'channel', got {self.per!r}. Pass per='layer'."
            )
        if not 0 < self.percentile <= 100:
            raise ParameterError(
                "quantise: percentile must be above 0 and up to 100, got "
                f"{self.percentile}. Pass 99.9, say."
            )

    @property
    def name(self) -> str:
        return "quantise"

    def apply(self, design: Design) -> Design:
        """Set the formats of weights and states."""
        program, notes = design.program, list[str]()
        if self.weights is not None:
            nodes = tuple(self._with_weights(node, self.weights) for node in program.nodes)
            program = replace(program, nodes=nodes)
            notes += [_note(node) for node in nodes if node.weight_format is not None]
        if self.states is not None:
            traces = state_traces(design.program, self.calibration)
            nodes = tuple(self._with_state(node, traces, self.states) for node in program.nodes)
            program = replace(program, nodes=nodes)
            notes.append(
                f"quantise: states are held in {self.states} bits, one scale for each field"
            )
        if self.inputs is not None:
            program = replace(program, input_format=self._input_format(self.inputs))
            notes.append(f"quantise: the input is held as {program.input_format}")
        return design.noting(*notes, program=program)

    def _input_format(self, bits: int) -> Format:
        if is_spikes(self.calibration):
            return Spikes(max(int(self.calibration.max()), 1))
        scale = self._choose(self.calibration.reshape(1, -1), 2 ** (bits - 1) - 1)
        return Fixed(bits, scale.reshape(()))

    def _with_weights(self, node: Node, bits: int) -> Node:
        weight = weight_of(node)
        if weight is None:
            return node
        return replace(node, weight_format=Fixed(bits, self._scale_of_weights(weight, bits)))

    def _scale_of_weights(self, weight: Tensor, bits: int) -> Tensor:
        """A scalar, or one for each output channel, broadcastable to the weights."""
        most, rows = 2 ** (bits - 1) - 1, weight.flatten(1)
        whole = self._choose(rows.reshape(1, -1), most)
        if self.per == "layer":
            return whole.reshape(())
        if self.method == "mse":
            widest = choose_scale(rows, most)
            chosen = least_squares(rows, widest, most, also=whole.expand(len(rows)))
        else:
            chosen = self._choose(rows, most)
        return chosen.reshape(-1, *[1] * (weight.ndim - 1))

    def _choose(self, rows: Tensor, most: int) -> Tensor:
        return choose_scale(rows, most, self.method, self.percentile)

    def _with_state(
        self, node: Node, traces: Mapping[str, Mapping[str, Tensor]], bits: int
    ) -> Node:
        operation = node.operation
        if not isinstance(operation, Neurons):
            return node
        formats: dict[str, Format] = dict(operation.formats)
        for field, values in traces.get(node.name, {}).items():
            if field == _counter(operation):
                formats[field] = Spikes(max(int(operation.coefficients[REFRACTORY].max()), 1))
                continue
            scale = self._choose(values.reshape(1, -1), 2 ** (bits - 1) - 1)
            formats[field] = Fixed(bits, scale.reshape(()))
        return replace(node, operation=replace(operation, formats=formats))


def _counter(neurons: Neurons) -> str | None:
    """The field that counts the steps of a refractory period, which have to stay whole."""
    counts = neurons.options.get("refractory") and REFRACTORY in neurons.coefficients
    return neurons.step.state[-1] if counts else None


def requantise(program: DiscreteProgram, like: DiscreteProgram) -> DiscreteProgram:
    """A program with the number formats, scales and all, of another one of its structure.

    Args:
        program: for example the same network with changed weights.
        like: a program that `Quantise` has been through.
    """
    nodes = tuple(_like(node, model) for node, model in zip(program.nodes, like.nodes, strict=True))
    return replace(program, nodes=nodes, input_format=like.input_format)


def _like(node: Node, model: Node) -> Node:
    operation, other = node.operation, model.operation
    if isinstance(operation, Neurons) and isinstance(other, Neurons):
        operation = replace(operation, formats=other.formats)
    weights, bias = model.weight_format, model.bias_format
    return replace(
        node, operation=operation, edges=model.edges, weight_format=weights, bias_format=bias
    )


def _note(node: Node) -> str:
    form, weight = node.weight_format, weight_of(node)
    assert isinstance(form, Fixed)
    assert weight is not None
    q = integers(weight, form)
    at_end = int((q.abs() == form.most).sum())
    scales = "one scale" if form.scale.ndim == 0 else f"{form.scale.numel()} scales"
    zeros = int(((q == 0) & (weight != 0)).sum())
    lost = f", {zeros:,} of {q.numel():,} weights become 0" if zeros else ""
    bias = "; its bias stays floating" if "bias" in tensors_of(node) else ""
    return (
        f"quantise: weights of {node.name!r} are held in {form.bits} bits, {scales}; "
        f"{at_end:,} are at the end of the range{lost}{bias}"
    )
