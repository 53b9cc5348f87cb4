"""The configuration of a network, once its scales and shifts are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikewright.compiler.discrete import INPUT
from spikewright.errors import CompileError
from spikewright.targets.xylo.chips import MOST_DASH, MOST_STATE, MOST_WEIGHT
from spikewright.targets.xylo.configuration import (
    NO_ALIAS,
    Configuration,
    Population,
    Shifts,
    Whole,
)
from spikewright.targets.xylo.lowering.wanted import Floats, Layer, Wanted, direct


@dataclass(frozen=True, eq=False)
class Choice:
    """What is chosen for a network and stays as its weights change.

    Args:
        scale: codes for one unit of the membrane, of each hidden neuron; scale_out: of outputs.
        shifts: of the three matrices.
        alias: by layer, the one that hands on its spikes.
    """

    scale: Floats
    scale_out: Floats
    shifts: Shifts
    alias: dict[str, str]


def dash(decay: Floats) -> Whole:
    """The shift whose decay, 1 - 2^-dash, is nearest on a logarithmic scale.

    >>> dash(np.array([0.5, 0.9375, 0.93]))
    array([1, 4, 4])
    """
    return np.clip(np.round(-np.log2(1 - decay)), 1, MOST_DASH).astype(np.int64)


def factor(layer: Layer) -> Floats:
    """What a weight is multiplied by, (n, synapses): the chip adds b (i + x) to a membrane."""
    return layer.gain / (1 - 0.5 ** dash(layer.decay_syn))


def configure(want: Wanted, choice: Choice, chip: str, dt: float) -> tuple[Configuration, int]:
    """A network on a chip, and how many weights were beyond the largest code.

    code = round(scale x factor x weight / 2^shift)
    """
    n = sum(map(len, want.hidden))
    synapses = max(layer.synapses for layer in want.hidden)
    real_in, real_rec = np.zeros((synapses, want.inputs, n)), np.zeros((synapses, n, n))
    real_out = np.zeros((n, len(want.out)))
    layers = {layer.name: layer for layer in want.hidden}
    for link in direct(want, choice.alias):
        if link.target == want.out.name:
            real_out[want.places[link.source]] += link.weights[0] * factor(want.out)[:, 0]
            continue
        layer, place = layers[link.target], want.places[link.target]
        codes = link.weights * factor(layer).T[:, None] * choice.scale[place]
        into = real_in if link.source == INPUT else real_rec[:, want.places[link.source]]
        into[: layer.synapses, :, place] += codes
    real_out *= choice.scale_out
    codes_in, codes_rec, codes_out, beyond = _codes((real_in, real_rec, real_out), choice.shifts)
    hidden = _population(want.hidden, choice.scale, synapses)
    out = _population([want.out], choice.scale_out, 1)
    alias = _alias(want, choice, n)
    made = Configuration(
        chip, dt, hidden, out, codes_in, codes_rec, codes_out, choice.shifts, alias
    )
    return made, beyond


def _codes(
    matrices: tuple[Floats, Floats, Floats], shifts: Shifts
) -> tuple[Whole, Whole, Whole, int]:
    wanted = [
        np.floor(matrix / 2.0**shift + 0.5) for matrix, shift in zip(matrices, shifts, strict=True)
    ]
    kept = [np.clip(codes, -MOST_WEIGHT, MOST_WEIGHT).astype(np.int64) for codes in wanted]
    beyond = sum(int((a != b).sum()) for a, b in zip(wanted, kept, strict=True))
    return kept[0], kept[1], kept[2], beyond


def _population(layers: Sequence[Layer], scale: Floats, synapses: int) -> Population:
    dashes = [dash(layer.decay_syn) for layer in layers]
    wide = [np.pad(d, ((0, 0), (0, synapses - d.shape[1])), constant_values=1) for d in dashes]
    given = np.concatenate([layer.threshold for layer in layers])
    finite = np.where(np.isfinite(given), given, 0.0)
    code = np.where(np.isfinite(given), np.floor(finite * scale + 0.5), MOST_STATE)
    return Population(
        np.concatenate([dash(layer.decay_mem) for layer in layers]),
        np.concatenate(wide),
        _within(code, layers),
        np.zeros(len(given), dtype=np.int64),
    )


def _within(code: Floats, layers: Sequence[Layer]) -> Whole:
    if bool(((code < 1) | (code > MOST_STATE)).any()):
        names = ", ".join(repr(layer.name) for layer in layers)
        raise CompileError(
            f"xylo.configure: thresholds of {names} must be codes from 1 to {MOST_STATE:,}, got "
            f"{code.min():,.0f} to {code.max():,.0f}. Bring thresholds and weights nearer to each "
            "other, or use per='channel'."
        )
    return code.astype(np.int64)


def _alias(want: Wanted, choice: Choice, n: int) -> Whole:
    alias = np.full(n, NO_ALIAS, dtype=np.int64)
    for source, other in choice.alias.items():
        place, there = want.places[source], want.places[other]
        alias[place] = np.arange(there.start, there.stop)
    return alias
