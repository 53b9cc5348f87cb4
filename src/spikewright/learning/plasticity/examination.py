"""What keeps a network from learning by local plasticity, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from spikewright.engine.plastic.description import Expression, Plasticity
from spikewright.engine.plastic.lift import names
from spikewright.learning.advice import never_fire, silent
from spikewright.learning.doctor import SATURATED_ABOVE, SILENT_BELOW, Diagnosis, LayerHealth
from spikewright.learning.plasticity.between import fields_of
from spikewright.learning.plasticity.evaluate import evaluate
from spikewright.learning.plasticity.requirements import targets_of
from spikewright.network import Network
from spikewright.neurons import WinnerTakeAll

FEW_WINNERS = 0.5
STUCK = 0.95
_EDGE = 1e-3


def examine(
    network: Network,
    plastic: Mapping[str, Plasticity],
    counts: Mapping[str, Tensor],
    steps: int,
    normalised: bool = False,
) -> Diagnosis:
    """Judge layers by their spikes, and connections by their weights.

    Args:
        network: as it was when it spiked.
        plastic: what changes the weights of which connection.
        counts: spikes of each layer, (batch, *n).
        steps: of a sample.
        normalised: whether weights are scaled to a sum after each sample.
    """
    learning = {target: name for name, target in targets_of(network, plastic).items()}
    drive = "r or the sum of normalise" if normalised else "r of the neurons"
    found = [_health(name, spikes, steps) for name, spikes in counts.items()]
    advice: list[str] = []
    for health in found:
        layer, name = network.layers[health.name], learning.get(health.name)
        program = None if name is None else plastic[name]
        advice += _advise(health, layer, drive, name, program)
    for name, program in plastic.items():
        advice += _judge(name, network.layers[name], program)
    return Diagnosis(tuple(found), tuple(advice))


def _health(name: str, spikes: Tensor, steps: int) -> LayerHealth:
    spikes = spikes.flatten(1).double()
    mute = float((spikes.sum(0) == 0).double().mean())
    return LayerHealth(name, float(spikes.mean()) / steps, mute, in_window=None, gradient=None)


def _advise(
    health: LayerHealth, layer: Any, drive: str, connection: str | None, program: Plasticity | None
) -> Iterator[str]:
    """What to change in a layer; ``connection`` leads to it and learns by ``program``."""
    adapts = "a" in fields_of(layer.initial_state(1))
    if health.silent == 1 or (connection is None and health.rate < SILENT_BELOW):
        sink = " Thresholds that rose sink with a shorter tau_adapt." if adapts else ""
        yield silent(health.name, _waking(drive, connection, program)) + sink
    elif health.rate > SATURATED_ABOVE * _most(layer):
        harm = ", which drives all its weights one way" if connection else ""
        drive = drive if connection else "the input or r"
        yield (
            f"layer {health.name!r} fires all the time ({health.rate:.2f} spikes a step){harm}: "
            f"lower {drive}, raise v_threshold, or {_calming(layer)}."
        )
    elif connection and health.silent > FEW_WINNERS:
        slow = "let thresholds adapt (AdaptiveLIF, tau_adapt of many samples)"
        cure = f"{'raise beta or tau_adapt' if adapts else slow}, or normalise the weights"
        yield never_fire(health.name, health.silent, cure, ", a few win all")


def _waking(drive: str, connection: str | None, program: Plasticity | None) -> str:
    if connection is None or program is None:
        return "raise the input or r, or lower v_threshold"
    why = (
        f"the rule of {connection!r} goes on without its spikes: let it raise weights there"
        if _acts_alone(program)
        else f"layer {connection!r} learns at its spikes and stays as it is"
    )
    return f"{why}; raise {drive}, or lower v_threshold"


def _calming(layer: Any) -> str:
    if isinstance(layer, WinnerTakeAll):
        return "give it a longer clamp"
    return "give it a refractory period, or let neurons compete in a WinnerTakeAll"


def _acts_alone(program: Plasticity) -> bool:
    """Whether weights change while the neurons behind the connection are silent."""
    terms = (program.updates.pre, program.updates.step)
    found = [names(term) for term in terms if term is not None]
    return any("e" not in named and not _of_spikes(named, "y") for named in found)


def _of_spikes(named: set[str], side: str) -> bool:
    return any(name[0] == side and name[1:].isdigit() for name in named)


def _most(layer: Any) -> float:
    """The most spikes a step and neuron."""
    if isinstance(layer, WinnerTakeAll):
        size = layer.initial_state(1).held.numel()
        return min(layer.winners, size) / size
    firing = getattr(getattr(layer, "neuron", layer), "firing", None)
    return getattr(firing, "max_spikes", 1)


def _judge(name: str, layer: Any, program: Plasticity) -> Iterator[str]:
    """What to change where most weights of a connection stand at one bound."""
    low, high = program.bounds
    weights = layer.weight.detach()
    edge = _EDGE * (high - low)
    soft = any("w" in names(term) for term in _terms(program))
    ways = ["lower the learning rate", "balance growth and decay"]
    ways += [] if soft else ["use soft bounds"]
    for bound, at, share in (
        ("least", low, weights <= low + edge),
        ("greatest", high, weights >= high - edge),
    ):
        part = float(share.double().mean())
        if part > STUCK:
            stays = _rests(program, at)
            way = f"draw them elsewhere, and {ways[0]}" if stays else ", or ".join(ways)
            yield (
                f"layer {name!r}: {part:.0%} of its weights are at the {bound} bound"
                f"{', where its rule changes none' if stays else ''}, so that neurons cannot "
                f"differ: {way}."
            )


def _terms(program: Plasticity) -> list[Expression]:
    updates = program.updates
    return [term for term in (updates.pre, updates.post, updates.step) if term is not None]


def _rests(program: Plasticity, w: float) -> bool:
    """Whether no event changes a weight of that size, as tried with some values of the rest."""
    random = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        return not any(
            np.any(evaluate(term, {n: random.uniform(-1, 1, 64) for n in names(term)} | {"w": w}))
            for term in _terms(program)
        )
