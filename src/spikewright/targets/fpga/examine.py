"""A sample in real numbers, in whole ones and on the accelerator, and what one input costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from spikewright.coding.radix import to_bits
from spikewright.compiler.reporting.agreement import Agreement, agree
from spikewright.compiler.reporting.cost import Cost, NodeCost
from spikewright.engine.forward import Observation
from spikewright.errors import CompileError
from spikewright.targets.fpga.artefact import OnFPGA
from spikewright.targets.fpga.counting.activity_of import with_additions
from spikewright.targets.fpga.counting.additions import Additions
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import Convolution, Dense, Flatten, MaxPool, Stage
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.quantising.reals import real_values
from spikewright.targets.fpga.saturations import saturations
from spikewright.targets.fpga.spikes import Shown, run_spikes
from spikewright.targets.fpga.synthesis.activity import Activity
from spikewright.targets.fpga.synthesis.energy import HOROWITZ_45NM_FPGA, energy


def examine(made: Quantised, artefact: OnFPGA, x: Tensor) -> tuple[Agreement, Cost]:
    """Run a sample through real numbers, whole numbers, and spikes and instructions.

    Activations are shown as their radix spikes, those of real numbers rounded to the same levels:
    a layer that is silent on the accelerator and not before is found by its spikes. Hidden layers
    of the artefact are seen in the run of spikes step by step, its output in the instructions'.

    Args:
        x: (samples, *features).

    Raises:
        CompileError: the instructions give other numbers than the network.
    """
    network = artefact.network
    q = encode(network, x)
    shown = list(run_spikes(network, q))
    counted = Additions()
    results = torch.from_numpy(interpret(artefact.program, q.numpy(), counted).results)
    _check(network.run(q), results)
    ran = [(each.stage, each.values) for each in shown[:-1]] + [(shown[-1].stage, results)]
    output = network.stages[-1].name
    runs = (
        _seen(((s, v / s.scale) for s, v in real_values(made, x)), output),
        _seen(network.walk(q), output),
        _seen(ran, output),
    )
    found = agree(runs, output, {}, saturations(network, q))
    activity = with_additions(artefact.program, counted.total, len(q))
    return replace(found, steps=network.bits), _cost(artefact, shown, activity, len(q))


def _seen(values: Iterable[tuple[Stage, Tensor]], output: str) -> Mapping[str, Observation]:
    """Activations as spikes and as numbers, and the output, of values in units of their scale."""
    found: dict[str, Observation] = {}
    for stage, value in values:
        real = value.double()[None] * stage.scale
        spikes = None
        if stage.requantise is not None:
            levels = torch.floor(value.double() + 0.5).clamp(0, stage.requantise.most)
            spikes = to_bits(levels.to(torch.int64), stage.requantise.bits)
        if stage.name == output:
            found[stage.name] = Observation(spikes, None, real)
        elif spikes is not None:
            found[stage.name] = Observation(spikes, real)
    return found


def _check(wanted: Tensor, results: Tensor) -> None:
    wrong = int((wanted != results).flatten(1).any(1).sum())
    if wrong:
        raise CompileError(
            "fpga.examine: instructions must give the numbers of the network, got others for "
            f"{wrong} of {len(wanted)} samples. That is a fault of this package: please report it "
            "with the network."
        )


def _cost(artefact: OnFPGA, shown: list[Shown], activity: Activity, samples: int) -> Cost:
    nodes = tuple(_node(artefact, each, samples) for each in shown)
    kept = tuple(node for node in nodes if node != NodeCost(node.node))
    seconds, table = artefact.cycles / artefact.clock, HOROWITZ_45NM_FPGA.table
    return Cost(kept, seconds, table, samples, energy(activity))


def _node(artefact: OnFPGA, shown: Shown, samples: int) -> NodeCost:
    """Counts of a stage; an update is one step of one accumulator, m <- 2 m + ..."""
    stage, d = shown.stage, artefact.program.dimensions
    operation, size = stage.operation, prod(shown.values.shape[1:])
    weights = biases = 0
    if isinstance(operation, Convolution | Dense):
        weights, biases = operation.weight.numel(), operation.bias.numel()
    adds = not isinstance(operation, MaxPool | Flatten)
    return NodeCost(
        stage.name,
        synaptic_operations=shown.additions / samples,
        updates=size * artefact.network.bits if adds else 0,
        spikes=shown.spikes / samples if stage.requantise else 0.0,
        weights=weights + biases,
        weight_bits=weights * d.weight + biases * d.sum,
        state_bits=size * stage.requantise.bits if stage.requantise else 0,
    )
