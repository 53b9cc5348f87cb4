"""A compiled program takes over the weights of a network that is being trained."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spikewright.compiler.discrete import DiscreteProgram, Neurons, Node
from spikewright.compiler.formats import Fixed
from spikewright.compiler.software.observe import layer_of_network
from spikewright.compiler.tensors import tensors_of
from spikewright.errors import ProgramError
from spikewright.network import Network


def check_structure(program: DiscreteProgram, known: DiscreteProgram) -> None:
    """Raise ProgramError unless two programs are of the same structure, whatever their numbers.

    Raises:
        ProgramError: names the first difference.
    """
    for what, now, before in _differences(program, known):
        if now != before:
            raise ProgramError(
                f"program.observe: {what} must be as compiled, {before}, got {now}. "
                "Compile the network again."
            )


def _differences(
    program: DiscreteProgram, known: DiscreteProgram
) -> Iterator[tuple[str, object, object]]:
    """What it is, how it is now and how it was, for all that makes the structure."""
    yield "dt of the network", program.dt, known.dt
    yield "shape of the input", program.shape, known.shape
    yield "layers", [node.name for node in program.nodes], [node.name for node in known.nodes]
    for node, model in zip(program.nodes, known.nodes, strict=True):
        yield f"kind of layer {node.name!r}", _kind(node), _kind(model)
        yield f"sizes of layer {node.name!r}", _sizes(node), _sizes(model)
        yield f"inputs of layer {node.name!r}", _inputs(node), _inputs(model)
        yield f"geometry of layer {node.name!r}", _geometry(node), _geometry(model)
        if isinstance(node.operation, Neurons) and isinstance(model.operation, Neurons):
            yield f"step of layer {node.name!r}", node.operation.step, model.operation.step


def _kind(node: Node) -> str:
    operation = node.operation
    return operation.model if isinstance(operation, Neurons) else type(operation).__name__


def _sizes(node: Node) -> dict[str, tuple[int, ...]]:
    return {"output": node.shape} | {k: tuple(v.shape) for k, v in tensors_of(node).items()}


def _geometry(node: Node) -> object:
    """Strides and borders of windows, which equal sizes do not tell."""
    return getattr(node.operation, "geometry", None)


def _inputs(node: Node) -> list[tuple[str, int]]:
    return [(edge.source, edge.steps) for edge in node.edges]


def clamp_weights(
    network: Network, now: tuple[DiscreteProgram, DiscreteProgram], compiled: DiscreteProgram
) -> bool:
    """Bring weights and biases that are beyond the range of their format to its end, in place.

    Those that folding has changed, by a normalisation that was put into them, say, are left as
    they are.

    Args:
        now: the network as it is, discretised, and folded.
        compiled: as it went to the target, with formats.

    Returns:
        Whether any was changed.
    """
    changed = False
    source = {node.name: tensors_of(node) for node in now[0].nodes}
    for node, model in zip(now[1].nodes, compiled.nodes, strict=True):
        forms = {"weight": model.weight_format, "taps": model.weight_format}
        forms["bias"] = model.bias_format
        for field, value in tensors_of(node).items():
            form, before = forms.get(field), source.get(node.name, {}).get(field)
            if not isinstance(form, Fixed) or form.overflow != "saturate":
                continue
            if before is None or not torch.equal(value, before):
                continue
            parameter = _parameter(network, node.name, value)
            if parameter is not None and _clamp(parameter, form):
                changed = True
    return changed


def _clamp(parameter: nn.Parameter, form: Fixed) -> bool:
    """Bring a parameter into the range of a format; whether that changed it."""
    least, most = (form.scale.to(parameter) * end for end in (form.least, form.most))
    with torch.no_grad():
        held = parameter.clamp(least, most)
        if torch.equal(held, parameter):
            return False
        parameter.copy_(held)
        return True


def _parameter(network: Network, node: str, value: Tensor) -> nn.Parameter | None:
    """The parameter that a node's weights or biases are a copy of."""
    layer = network.layers[layer_of_network(node)]
    same = (p for p in layer.parameters() if p.shape == value.shape)
    return next((p for p in same if torch.equal(p.detach().to(value), value)), None)
