"""What is loaded onto a chip: weights, shifts, decays, thresholds and aliases as whole numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ProgramError
from spikewright.targets.xylo.chips import (
    CHIPS,
    LEAST_STATE,
    MOST_DASH,
    MOST_FAN_OUT,
    MOST_SHIFT,
    MOST_STATE,
    MOST_WEIGHT,
    Chip,
)

Whole = NDArray[np.int64]
NO_ALIAS = -1


class Shifts(NamedTuple):
    """Bits by which all weights of a matrix are shifted to the left."""

    input: int = 0
    recurrent: int = 0
    output: int = 0


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons: hidden ones, or outputs.

    Args:
        dash_mem: bits shifted in the decay of the membrane, (n,), 1 to 15; dash_syn: of each
            current, (n, synapses), likewise.
        threshold: (n,).
        bias: added to the membrane in every step, (n,); zero on a chip without it.
    """

    dash_mem: Whole
    dash_syn: Whole
    threshold: Whole
    bias: Whole

    def __len__(self) -> int:
        return len(self.threshold)


@dataclass(frozen=True, eq=False)
class Configuration:
    """A network as a chip holds it.

    Args:
        chip: name of the target.
        dt: s.
        hidden, out: their neurons.
        weights_in: (synapses, inputs, hidden); weights_rec: (synapses, hidden, hidden), from the
            second axis to the third; weights_out: (hidden, outputs). -127 to 127.
        shifts: of the three matrices.
        alias: (hidden,), the neuron that hands on a neuron's events too, or -1.

    Raises:
        ProgramError: sizes disagree, or a number is out of the chip's range.
    """

    chip: str
    dt: float
    hidden: Population
    out: Population
    weights_in: Whole
    weights_rec: Whole
    weights_out: Whole
    shifts: Shifts
    alias: Whole

    def __post_init__(self) -> None:
        for what, rule, found in _faults(self):
            raise ProgramError(
                f"xylo.configuration: {what} must be {rule}, got {found}. "
                "Compile the network again, or use a whole file."
            )

    @property
    def kind(self) -> Chip:
        """The chip."""
        return CHIPS[self.chip]

    @property
    def synapses(self) -> int:
        """Currents of a hidden neuron."""
        return self.weights_in.shape[0]

    @property
    def inputs(self) -> int:
        """Input channels."""
        return self.weights_in.shape[1]


Fault = tuple[str, str, object]


def _faults(c: Configuration) -> Iterator[Fault]:
    if c.chip not in CHIPS:
        yield "chip", f"one of {', '.join(CHIPS)}", repr(c.chip)
        return
    if not 0 < c.dt < float("inf"):
        yield "dt", "a positive, finite time", repr(c.dt)
    yield from _shapes(c)
    yield from _ranges(c)
    yield from _sizes(c)


def _shapes(c: Configuration) -> Iterator[Fault]:
    synapses, inputs = c.weights_in.shape[:2]
    n, m = c.hidden.threshold.shape[0], c.out.threshold.shape[0]
    wanted = {
        "weights_in": (c.weights_in, (synapses, inputs, n)),
        "weights_rec": (c.weights_rec, (synapses, n, n)),
        "weights_out": (c.weights_out, (n, m)),
        "alias": (c.alias, (n,)),
    }
    for name, them, count, currents in (
        ("hidden", c.hidden, n, synapses),
        ("out", c.out, m, 1),
    ):
        each: dict[str, tuple[int, ...]] = {"dash_syn": (count, currents)}
        each |= dict.fromkeys(("dash_mem", "threshold", "bias"), (count,))
        wanted |= {f"{name}.{k}": (getattr(them, k), shape) for k, shape in each.items()}
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            yield f"{name}", f"of shape {shape}", array.shape


def _ranges(c: Configuration) -> Iterator[Fault]:
    for shift, name in zip(c.shifts, Shifts._fields, strict=True):
        if not 0 <= shift <= MOST_SHIFT:
            yield f"the shift of {name} weights", f"0 to {MOST_SHIFT}", shift
    between = {
        name: (getattr(c, name), -MOST_WEIGHT, MOST_WEIGHT)
        for name in ("weights_in", "weights_rec", "weights_out")
    }
    for name, them in (("hidden", c.hidden), ("out", c.out)):
        between[f"{name}.dash_mem"] = (them.dash_mem, 1, MOST_DASH)
        between[f"{name}.dash_syn"] = (them.dash_syn, 1, MOST_DASH)
        between[f"{name}.threshold"] = (them.threshold, 1, MOST_STATE)
        bias = LEAST_STATE * (c.kind.core > 1), MOST_STATE * (c.kind.core > 1)
        between[f"{name}.bias"] = (them.bias, *bias)
    between["alias"] = (c.alias, NO_ALIAS, len(c.alias) - 1)
    for name, (array, least, most) in between.items():
        outside = array[(array < least) | (array > most)]
        if outside.size:
            yield name, f"from {least} to {most}", int(outside.flat[0])
    own = np.flatnonzero(c.alias == np.arange(len(c.alias)))
    if own.size:
        yield "an alias", "another neuron", f"that of neuron {own[0]} itself"


def _sizes(c: Configuration) -> Iterator[Fault]:
    chip = c.kind
    have = {
        "inputs": (c.inputs, chip.inputs),
        "hidden neurons": (len(c.hidden), chip.hidden),
        "outputs": (len(c.out), chip.outputs),
        "synapses of a neuron": (c.synapses, chip.synapses),
    }
    for name, (count, most) in have.items():
        if not 1 <= count <= most:
            yield f"{name} of {chip.title}", f"1 to {most:,}", f"{count:,}"
    reached = (c.weights_rec != 0).any(0).sum(1).max(initial=0)
    if reached > MOST_FAN_OUT:
        what = "hidden neurons that one reaches by its own weights"
        yield what, f"at most {MOST_FAN_OUT}", f"{reached:,}"
