"""Whether a network can learn by local rules, said layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spikewright.connections import Linear
from spikewright.engine.plastic.check import check_plasticity
from spikewright.engine.plastic.description import Plasticity
from spikewright.engine.plastic.lift import names
from spikewright.engine.plastic.wiring import WHERE, find_ends
from spikewright.engine.program import part_of
from spikewright.engine.stream.source import Node, naming
from spikewright.errors import RuleError, SpikewrightError
from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.network import Network

Program = PlasticityRule | Plasticity


def plastic_connections(
    network: Network, programs: Mapping[str, Program] | Program
) -> dict[str, Plasticity]:
    """What changes the weights of each connection; one program is for all that may change."""
    if not isinstance(programs, Mapping):
        programs = {
            name: programs
            for name, layer in network.layers.items()
            if isinstance(layer, Linear) and any(p.requires_grad for p in layer.parameters())
        }
    return {
        name: program if isinstance(program, Plasticity) else program.plasticity()
        for name, program in programs.items()
    }


def unsuited(network: Network, plastic: Mapping[str, Plasticity]) -> list[str]:
    """One line for each reason why these connections cannot learn."""
    lines: list[str] = []
    if not plastic:
        lines.append("network: has no Linear connection whose weights may change")
    last = next(reversed(network.layers))
    if not network.layers[last].spiking:
        lines.append(
            f"layer {last!r}: gives no spikes, and the read-out counts those of the last layer; "
            "end the network in spiking neurons"
        )
    try:
        nodes = list(_nodes(network))
    except SpikewrightError as cause:
        return [*lines, f"network: {_reason(cause)}"]
    for name, program in plastic.items():
        try:
            check_plasticity(name, program, find_ends(name, nodes, network.layers))
        except RuleError as cause:
            lines.append(f"layer {name!r}: {_reason(cause)}")
    return lines


def targets_of(network: Network, plastic: Mapping[str, Plasticity]) -> dict[str, str]:
    """The layer of neurons that each of these connections leads to."""
    nodes = list(_nodes(network))
    return {name: find_ends(name, nodes, network.layers).target for name in plastic}


def _nodes(network: Network) -> Iterator[Node]:
    for name, layer in network.layers.items():
        with naming(name, WHERE):
            yield Node(name, part_of(layer), network.sources[name])


def _reason(cause: SpikewrightError) -> str:
    return str(cause).removeprefix(f"{WHERE}: ").removesuffix(".")


def waits_for_reward(program: Plasticity) -> bool:
    """Whether a program names the modulator r."""
    found = [program.updates]
    if program.eligibility is not None:
        found.append(program.eligibility.updates)
    return any("r" in names(term) for it in found for term in (it.pre, it.post, it.step))
