"""The layers of a discrete program that the core can run: a product, then neurons, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.compiler.discrete import INPUT, DiscreteProgram, Edge, MatrixProduct, Neurons, Node
from spikewright.compiler.step import StepProgram
from spikewright.compiler.target import Broken
from spikewright.errors import CompileError
from spikewright.targets.fpga.lif.gain import without_gain

WAY_OUT = (
    "The core runs Linear layers, each followed by neurons (sw.IF, sw.LIF, sw.CubaLIF), recurrent "
    "ones too, and a readout (sw.LI) at the end; batch norm is folded."
)


class Unfit(CompileError):
    """A node that the core cannot run."""

    def __init__(self, layer: str, what: str, got: str) -> None:
        super().__init__(f"fpga.lif: layer {layer!r} must keep to {what}, got {got}. {WAY_OUT}")
        self.broken = Broken(layer, "layers", got, what, WAY_OUT)


@dataclass(frozen=True, eq=False)
class SpikingLayer:
    """One layer in floating numbers, the gain of its input already in its weights.

    Args:
        weight: (neurons, inputs), float64.
        back: (neurons, neurons), from the layer's own spikes of the step before, or ``None``.
        bias: (neurons).
        step: the neurons' step without that gain.
        constants: its coefficients.
        gain: which that is.
        products: names of the nodes that the weights are from.
    """

    name: str
    weight: Tensor
    back: Tensor | None
    bias: Tensor
    neurons: Neurons
    step: StepProgram
    constants: Mapping[str, float]
    gain: float
    products: tuple[str, ...]


def faults(program: DiscreteProgram) -> list[Broken]:
    """What the core cannot run: all such nodes, or where there are none, the chain of them."""
    found: list[Broken] = []
    for node in program.nodes:
        try:
            _check(node)
        except Unfit as fault:
            found.append(fault.broken)
    try:
        if not found:
            layers_of(program)
    except Unfit as fault:
        found.append(fault.broken)
    return found


def layers_of(program: DiscreteProgram) -> list[SpikingLayer]:
    """The layers, in their order.

    Raises:
        Unfit: another structure; names the node.
    """
    nodes = {node.name: node for node in program.nodes}
    source, found, seen = INPUT, list[SpikingLayer](), set[str]()
    while source != program.output:
        node = _reader(program, source)
        products = _products(node, nodes, source)
        found.append(_layer(node, products))
        seen |= {node.name, *(product.name for product in products if product)}
        source = node.name
        if not found[-1].neurons.spiking and source != program.output:
            raise Unfit(node.name, "spikes between layers", "numbers of a readout")
    if len(program.shape) != 1:
        raise Unfit(INPUT, "inputs of one axis", f"{program.shape}")
    for node in program.nodes:
        if node.name not in seen:
            raise Unfit(node.name, "a chain of layers", "a node beside it")
    return found


def _reader(program: DiscreteProgram, source: str) -> Node:
    """The neurons behind the product that reads ``source`` in the same step."""
    for product in program.nodes:
        if not any(edge.source == source and edge.steps == 0 for edge in product.edges):
            continue
        if not isinstance(product.operation, MatrixProduct):
            kind = type(product.operation).__name__
            raise Unfit(product.name, "Linear layers before neurons", kind)
        for node in program.nodes:
            if any(edge.source == product.name for edge in node.edges):
                return node
        raise Unfit(product.name, "neurons behind a Linear layer", "none")
    raise Unfit(source, "a chain of layers", "an end before the output")


def _products(node: Node, nodes: Mapping[str, Node], source: str) -> tuple[Node, Node | None]:
    """The product from the layer before, and the one from the neurons themselves."""
    if not isinstance(node.operation, Neurons):
        raise Unfit(node.name, "neurons behind a Linear layer", type(node.operation).__name__)
    forward: Node | None = None
    back: Node | None = None
    for edge in node.edges:
        product = nodes.get(edge.source)
        if product is None or edge.steps or not isinstance(product.operation, MatrixProduct):
            raise Unfit(node.name, "Linear layers before neurons", f"{edge.source!r}")
        if _comes_from(product, source, 0) and forward is None:
            forward = product
        elif _comes_from(product, node.name, 1) and back is None:
            back = product
        else:
            raise Unfit(product.name, "one layer before and the own spikes", "another")
    if forward is None:
        raise Unfit(node.name, "a Linear layer before neurons", "none")
    return forward, back


def _comes_from(product: Node, source: str, steps: int) -> bool:
    def right(edge: Edge) -> bool:
        return edge.source == source and edge.steps == steps

    return len(product.edges) == 1 and right(product.edges[0])


def _check(node: Node) -> None:
    """Whatever is beside it, the core can run the node."""
    match node.operation:
        case MatrixProduct():
            _matrix(node, 1.0)
        case Neurons():
            _constants(node)
        case operation:
            raise Unfit(node.name, "Linear layers before neurons", type(operation).__name__)


def _layer(node: Node, products: tuple[Node, Node | None]) -> SpikingLayer:
    neurons, constants = _constants(node)
    step, gain = without_gain(neurons.step)
    factor = 1.0 if gain is None else constants[gain]
    coefficients = {name: constants[name] for name in step.coefficients}
    weight, bias = _matrix(products[0], factor)
    back: Tensor | None = None
    if products[1] is not None:
        back, more = _matrix(products[1], factor)
        bias = bias + more
    names = tuple(product.name for product in products if product is not None)
    return SpikingLayer(node.name, weight, back, bias, neurons, step, coefficients, factor, names)


def _constants(node: Node) -> tuple[Neurons, dict[str, float]]:
    """The neurons, and their coefficients and initial states, one number each."""
    neurons = node.operation
    assert isinstance(neurons, Neurons)
    if neurons.step.inputs != ("x",) or neurons.noise or not neurons.step.state:
        raise Unfit(node.name, "neurons with one input, a state and no noise", neurons.model)
    given = {**neurons.coefficients, **neurons.initial}
    return neurons, {name: _one(value, name, node.name) for name, value in given.items()}


def _matrix(product: Node, factor: float) -> tuple[Tensor, Tensor]:
    operation = product.operation
    assert isinstance(operation, MatrixProduct)
    weight = operation.weight.detach().double()
    bias = operation.bias
    plain = weight.new_zeros(len(weight)) if bias is None else bias.detach().double()
    if not bool(weight.isfinite().all() and plain.isfinite().all()):
        raise Unfit(product.name, "finite weights", "others")
    return weight * factor, plain * factor


def _one(value: Tensor, name: str, layer: str) -> float:
    """The number that all neurons share."""
    numbers = torch.unique(value.detach().double())
    if len(numbers) != 1:
        what = f"one value of {name!r} for the layer"
        raise Unfit(layer, what, f"{len(numbers)} values")
    return float(numbers[0])
