"""The number formats of a network in whole numbers, written into the discrete program."""

from __future__ import annotations

from dataclasses import replace

import torch

from spikewright.compiler.carried import program_dtype
from spikewright.compiler.discrete import DiscreteProgram, MatrixProduct, Neurons, Node
from spikewright.compiler.formats import Fixed, Format, Spikes
from spikewright.targets.fpga.lif.layers import layers_of
from spikewright.targets.fpga.lif.network import FixedLayer, FixedNetwork
from spikewright.targets.fpga.lif.print_neuron import bias_bits


def put_formats(program: DiscreteProgram, network: FixedNetwork) -> DiscreteProgram:
    """The program with weights, biases and states in the formats of the core.

    The gain of a layer's input is in the core's weights, so a weight that the program holds has
    the scale 2^-places / gain. Coefficients, and what is rounded within a step, have no formats:
    there the core departs from the program.

    Args:
        network: made of ``program``.
    """
    dtype = program_dtype(program.nodes)
    found: dict[str, Node] = {}
    for layer, fixed in zip(layers_of(program), network.layers, strict=True):
        neurons = program.node(layer.name)
        found[layer.name] = replace(neurons, operation=_neurons(layer.neurons, fixed, dtype))
        scale = torch.tensor(abs(layer.gain), dtype=dtype).reciprocal()
        for name in layer.products:
            found[name] = _product(program.node(name), fixed, scale)
    return replace(program, nodes=tuple(found[node.name] for node in program.nodes))


def _product(node: Node, fixed: FixedLayer, scale: torch.Tensor) -> Node:
    assert isinstance(node.operation, MatrixProduct)
    biased, bits = node.operation.bias is not None, fixed.step.fields[0].bits
    bias = Fixed(max(bits, bias_bits(fixed)), scale * 2.0**-fixed.fraction) if biased else None
    weight = Fixed(fixed.bits, scale * 2.0**-fixed.places)
    return replace(node, weight_format=weight, bias_format=bias)


def _neurons(neurons: Neurons, fixed: FixedLayer, dtype: torch.dtype) -> Neurons:
    formats: dict[str, Format] = {}
    for field in fixed.step.fields:
        if field.fraction == 0 != fixed.fraction:  # a count of steps
            formats[field.name] = Spikes(2 ** (field.bits - 1) - 1)
        else:
            scale = torch.tensor(2.0**-field.fraction, dtype=dtype)
            formats[field.name] = Fixed(field.bits, scale, symmetric=False)
    return replace(neurons, formats=formats)
