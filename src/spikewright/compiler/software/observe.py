"""A program run in software: what is seen of its layers, and how active its nodes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.borrow import streams_kept
from spikewright.compiler.carried import carried
from spikewright.compiler.discrete import INPUT, DiscreteProgram, Neurons, Node
from spikewright.compiler.formats import Spikes, quantised
from spikewright.compiler.reporting.cost import Activity
from spikewright.compiler.software.layers import OUTPUT
from spikewright.compiler.software.runnable import network_of, plain, run_program
from spikewright.engine.forward import Observation, forward_by
from spikewright.network.base import sum_inputs

MEMBRANE = "v"


class SoftwareRun(NamedTuple):
    """What was seen of each layer by its name, and how many values left their range."""

    seen: dict[str, Observation]
    saturations: dict[str, int]


def layer_of_network(node: str) -> str:
    """The network's layer that a node comes from.

    >>> layer_of_network("1_recurrent.connection"), layer_of_network("2_lif")
    ('1_recurrent', '2_lif')
    """
    return node.partition(".")[0]


def observe(program: DiscreteProgram, x: Tensor, seed: int = 0) -> SoftwareRun:
    """Run a program in software, with its number formats, and see all its layers of neurons.

    Args:
        x: (time, batch, *features).
        seed: of neurons with noise.
    """
    neurons = [node for node in program.nodes if isinstance(node.operation, Neurons)]
    traces = [MEMBRANE] if any(MEMBRANE in _fields(node) for node in neurons) else []
    traces += [OUTPUT] if any(not _spiking(node) for node in neurons) else []
    with streams_kept(), forward_by(None):
        torch.default_generator.manual_seed(seed)
        run = run_program(program, x, ("spikes", *traces), saturations=True)
    seen = {node.name: _observation(node, run.records.get(node.name, {})) for node in neurons}
    last = seen.get(program.output, Observation())
    if last.spikes is None:
        seen[program.output] = last._replace(output=run.output)
    counts: dict[str, int] = {}
    for node, count in run.saturations.items():
        layer = layer_of_network(node)
        counts[layer] = counts.get(layer, 0) + count
    return SoftwareRun(seen, counts)


def state_traces(program: DiscreteProgram, x: Tensor) -> dict[str, dict[str, Tensor]]:
    """Every state field of every layer of neurons over time, by node and field."""
    fields = sorted({field for node in program.nodes for field in _fields(node)})
    with streams_kept(), forward_by(None):
        torch.default_generator.manual_seed(0)
        return run_program(program, x, fields).records


def _fields(node: Node) -> tuple[str, ...]:
    return node.operation.step.state if isinstance(node.operation, Neurons) else ()


def _observation(node: Node, record: Mapping[str, Tensor]) -> Observation:
    v = record.get(MEMBRANE)
    return (
        Observation(record["spikes"], v) if _spiking(node) else Observation(None, v, record[OUTPUT])
    )


def _spiking(node: Node) -> bool:
    return isinstance(node.operation, Neurons) and node.operation.spiking


def handed_on(observation: Observation) -> Tensor:
    """What a layer hands on: its spikes, or the output that it has in their place."""
    value = observation.spikes if observation.output is None else observation.output
    assert value is not None
    return value


def most_spikes(program: DiscreteProgram) -> dict[str, int]:
    """By layer of spiking neurons, how many spikes one can fire in a step."""
    return {
        name: format.maximum
        for name, format in carried(program).items()
        if isinstance(format, Spikes)
    }


def activity(
    program: DiscreteProgram, x: Tensor, seen: Mapping[str, Observation]
) -> dict[str, Activity]:
    """How active the input and every node is whose values are read, for `cost.measure`.

    Args:
        x: (time, batch, *features).
        seen: what `observe` saw of the neurons for that input.
    """
    x = quantised(x, program.input_format)
    values: dict[str, Tensor] = {INPUT: x}
    found: dict[str, Activity] = {INPUT: _active(x, is_spikes(x))}
    readers = {edge.source for node in program.nodes for edge in node.edges}
    for node in program.nodes:
        observation = seen.get(node.name)
        if observation is not None:
            values[node.name] = handed_on(observation)
            found[node.name] = _active(values[node.name], observation.spikes is not None)
        elif node.name in readers:
            value = _output(program, node, values)
            values[node.name] = value
            passed = all(edge.steps == 0 and found[edge.source].spikes for edge in node.edges)
            found[node.name] = _active(value, passed and is_spikes(value))
    return found


def _output(program: DiscreteProgram, node: Node, values: Mapping[str, Tensor]) -> Tensor:
    """What a node without neurons hands on; ones where it is inside a loop and never seen."""
    layer = network_of(program).layers.get(plain(node.name))
    if layer is None:
        return torch.ones(*values[INPUT].shape[:2], *node.shape)
    with torch.no_grad(), streams_kept(), forward_by(None):
        return layer(sum_inputs([values[edge.source] for edge in node.edges]))[0]


def is_spikes(x: Tensor) -> bool:
    """Whether all numbers are whole and none is negative."""
    return bool((x == x.floor()).all() and (x >= 0).all())


def _active(value: Tensor, spikes: bool) -> Activity:
    counted = value if spikes else (value != 0).to(value.dtype)
    total, last = counted.double().sum((0, 1)), counted[-1].double().sum(0)
    return Activity(total, last, spikes)
