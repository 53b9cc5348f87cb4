"""From a network to the discrete program: what each layer does in a step, nothing left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.compiler.carried import program_dtype, with_carried_formats
from spikewright.compiler.discrete import (
    REFRACTORY,
    DiscreteProgram,
    Edge,
    Neurons,
    Node,
    Operation,
    Reshape,
)
from spikewright.compiler.formats import Format, Real
from spikewright.compiler.steps.affine import affine_of
from spikewright.compiler.steps.make import elements, paths, step_program
from spikewright.compiler.verify import verify
from spikewright.engine import program as parts
from spikewright.engine.layer import Layer, Shape
from spikewright.errors import BackendError, CompileError
from spikewright.network import Network
from spikewright.neurons import Neuron
from spikewright.neurons.extras import RefractoryState


def discretise(network: Network, input_format: Format | None = None) -> DiscreteProgram:
    """The discrete program of a network; its numbers are copies.

    Args:
        network: bound to its input's shape, in evaluation mode.
        input_format: of the input's numbers; those of the network by default.

    Raises:
        CompileError: the network is not bound to a shape, or layers cannot be described, or
            numbers are not finite or of several types; all of them are named.

    >>> import spikewright as sw
    >>> net = sw.Sequential(sw.Linear(5, 3), sw.LIF(), dt=1e-3).eval()
    >>> [node.name for node in discretise(net).nodes]
    ['0_linear', '1_lif']
    """
    shape = _accept(network)
    faults: list[str] = []
    nodes: list[Node] = []
    with torch.no_grad():
        for name, layer in network.layers.items():
            edges = tuple(Edge(source) for source in network.sources[name])
            try:
                nodes += _nodes(name, layer, edges)
            except BackendError as cause:
                faults.append(f"layer {name!r}: {cause}")
    if faults:
        raise CompileError(
            "compiler.discretise: every layer must have a description of its step, got "
            f"{len(faults)} without:\n" + "\n".join(f"- {fault}" for fault in faults)
        )
    real = Real(program_dtype(nodes))
    output = list(network.layers)[-1]
    made = DiscreteProgram(network.dt, shape, input_format or real, tuple(nodes), output)
    return verify(with_carried_formats(made))


def _accept(network: Network) -> Shape:
    kind = type(network)
    own = [name for name in ("forward", "run") if getattr(kind, name) is not getattr(Network, name)]
    own += [n for n in ("_forward_hooks", "_forward_pre_hooks") if getattr(network, n)]
    if own:
        raise CompileError(
            f"compiler.discretise: {kind.__name__} must run its layers and nothing else to be "
            f"compiled, got {own[0]} of its own. Put what it does into a layer with a part()."
        )
    if network.shape is None:
        raise CompileError(
            "compiler.discretise: the network must be bound to the shape of its input, got None. "
            "Call net.build(shape), or run it once."
        )
    return network.shape


def _nodes(name: str, layer: Layer, edges: tuple[Edge, ...]) -> list[Node]:
    """The nodes of one layer."""
    part = parts.part_of(layer)
    if not isinstance(part, parts.Feedback):
        return [Node(name, _operation(layer, part), edges, _output(layer))]
    inner: Any = layer
    neuron, connection = inner.neuron, inner.connection
    fed = f"{name}.connection"
    return [
        Node(fed, _operation(connection, part.connection), (Edge(name, 1),), _output(connection)),
        Node(name, _operation(neuron, part.neurons), (*edges, Edge(fed)), _output(neuron)),
    ]


def _output(layer: Layer) -> Shape:
    assert layer.shape is not None
    return layer.output_shape(layer.shape)


def _operation(layer: Layer, part: parts.Part) -> Operation:
    match part:
        case parts.Same():
            return Reshape()
        case parts.Pointwise():
            neurons = _neurons(layer, part)
            return affine_of(neurons) or neurons
        case parts.Feedback():
            raise BackendError(
                f"{type(layer).__name__}: a recurrent layer must not be the connection of another "
                "one, got one. Use a Graph."
            )
        case parts.Competition():
            raise BackendError(
                f"{type(layer).__name__}: neurons must each step by themselves to be compiled, "
                "got some that compete. Run the network in software: net(x), or net.stream()."
            )
        case parts.Maximum() | parts.WindowSum():
            return part
        case parts.Delayed():
            return replace(part, steps=_copy(part.steps), fraction=_copy(part.fraction))
        case parts.DelayedProduct():
            return replace(part, taps=_copy(part.taps), bias=_copied(part.bias))
        case parts.MatrixProduct() | parts.Convolution():
            return replace(part, weight=_copy(part.weight), bias=_copied(part.bias))


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()


def _copied(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else _copy(tensor)


def _neurons(layer: Layer, part: parts.Pointwise) -> Neurons:
    step, slots = step_program(part, *_names(layer, part)), part.slots()
    coefficients = [
        value
        for c, trailing, shared in zip(
            pytree.tree_leaves(part.coefficients), slots.coefficients, slots.shared, strict=True
        )
        for value in _unrolled(c, len(trailing), shared)
    ]
    leaves = [leaf[0] for leaf in pytree.tree_leaves(part.example)]
    shared = [_is_spread(leaf, len(part.features)) for leaf in leaves]
    if isinstance(part.example, RefractoryState):
        shared[-1] = True  # every neuron starts with nothing to wait for
    initial = [
        value
        for leaf, trailing, one in zip(leaves, slots.state, shared, strict=True)
        for value in _unrolled(leaf, len(trailing), one)
    ]
    return Neurons(
        model=type(layer).__name__,
        parameters=_parameters(layer),
        options=_options(layer),
        step=step,
        coefficients=dict(zip(step.coefficients, coefficients, strict=True)),
        initial=dict(zip(step.state, initial, strict=True)),
        formats=dict.fromkeys(step.state, Real(slots.dtype)),
        spiking=layer.spiking,
        noise=part.noise is not None,
    )


def _unrolled(value: Tensor, axes: int, shared: bool = False) -> list[Tensor]:
    """Copies of the numbers along the last axes; one number each if all neurons share it."""
    parts = value.flatten(-axes).unbind(-1) if axes else (value,)
    return [_copy(part.flatten()[0] if shared else part) for part in parts]


def _is_spread(value: Tensor, rank: int) -> bool:
    """Whether one number has been expanded to all neurons; told by strides, not by values."""
    axes = zip(value.stride()[:rank], value.shape, strict=False)
    return all(stride == 0 or size == 1 for stride, size in axes)


def _names(layer: Layer, part: parts.Pointwise) -> tuple[list[str], list[str]]:
    """Names of state fields and coefficients, the model's own and those of its options."""
    state = paths(part.example, "s")
    if isinstance(part.example, RefractoryState):
        state = [name.removeprefix("neuron.") for name in state]
    names = paths(part.coefficients, "c")
    if isinstance(layer, Neuron):
        # each option wraps the coefficients into a pair: (those, its own)
        for wraps, own in (
            (layer.refractory, REFRACTORY),
            (layer.noise, "noise_amplitude"),
        ):
            if wraps:
                names = [own if name == "c1" else _inner(name) for name in names]
    return state, names


def _inner(name: str) -> str:
    rest = name.removeprefix("c0").removeprefix(".")
    return f"c{rest}" if not rest or rest[0].isdigit() else rest


def _parameters(layer: Layer) -> dict[str, Tensor]:
    """Physical values, those of several synapses one by one."""
    if not isinstance(layer, Neuron):
        return {}
    values = layer.parameter_set
    found: dict[str, Tensor] = {}
    for name in values.fields:
        value = values.value(name)
        trailing = tuple(value.shape[-1:]) if values.several(name) else ()
        found |= zip(elements(name, trailing), _unrolled(value, len(trailing)), strict=True)
    return found


def _options(layer: Layer) -> dict[str, Any]:
    """How the step was made, as plain values."""
    if not isinstance(layer, Neuron):
        return {}
    found: dict[str, Any] = {}
    for name, value in layer.options_of_step.items():
        if name == "firing":
            found |= vars(layer.firing)
        else:
            found[name] = value if isinstance(value, str | int | float | bool) else repr(value)
    return found | {"refractory": layer.refractory, "noise": layer.noise}
