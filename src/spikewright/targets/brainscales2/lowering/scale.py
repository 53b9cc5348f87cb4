"""The pass `Scale`: how many LSB a potential has, and how many codes a weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.compiler.design import Design, bias_of
from spikewright.compiler.discrete import DiscreteProgram, Node, Reshape
from spikewright.compiler.formats import Fixed
from spikewright.compiler.software.observe import observe
from spikewright.engine.program import Convolution, MatrixProduct
from spikewright.errors import ParameterError, nearest
from spikewright.targets.brainscales2.chip import MOST_WEIGHT
from spikewright.targets.brainscales2.limits import (
    LEAST_GAIN,
    LEAST_POTENTIAL,
    MOST_GAIN,
    MOST_POTENTIAL,
)
from spikewright.targets.brainscales2.lowering.response import is_ready, response, value
from spikewright.targets.brainscales2.lowering.wiring import (
    Projection,
    biased,
    is_repeated,
    layers,
    neurons,
    paths,
    projections,
)

LEAK, THRESHOLD = 80.0, 130.0
"""LSB; where users of the chip put them (hxtorch: leak 80, threshold 125 to 150)."""
LEAST_DISTANCE = 30.0
"""LSB from leak to threshold, below which the noise of a membrane would fire neurons."""
HEADROOM = 1.5
"""By how much a readout may exceed the range it has on the calibration sample."""
LEAST_SHARE = 0.25
"""Of a readout's range on one side of its leak, what the other side has at least."""
SCALES = "scales"
"""Where a design keeps them, in ``extra``."""


@dataclass(frozen=True)
class LayerScale:
    """From a layer's model to its circuits.

    Args:
        zero: LSB of the potential 0.
        per_unit: LSB for a potential of 1.
        weight: codes for a weight of 1, in a row that is not repeated.
    """

    zero: float
    per_unit: float
    weight: float

    def lsb(self, potential: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.zero + self.per_unit * potential


@dataclass(frozen=True, eq=False)
class Scale:
    """Choose the scales of each layer, and give its weights the format they will have.

    Potentials: leak at 80 LSB and threshold at 130, nearer to each other where the synapses would
    be too weak otherwise; a readout has the range of its membrane on the calibration sample, and
    half as much again, in the middle of the converter's range. Weights: the largest one has the
    largest code, ``weight = 63 / max |w|``, unless the synapses cannot be made strong enough or
    weak enough for that; a layer has one scale for all it listens to, its bias included.

    Args:
        calibration: typical inputs, (time, batch, *features).
        repeat: rows of each sign that an input channel takes.
        fixed: codes for a weight of 1, for all layers or by name; chosen where left out.
    """

    calibration: Tensor
    repeat: int = 1
    fixed: float | Mapping[str, float] | None = None

    @property
    def name(self) -> str:
        return "scale"

    def apply(self, design: Design) -> Design:
        """Set ``extra["scales"]`` by layer, and the formats of weights; if all can be lowered.

        Raises:
            ParameterError: ``fixed`` names a layer that there is not.
        """
        if not is_ready(design.program):
            return design
        program, joined = design.program, projections(design.program)
        self._check_names([node.name for node in layers(program)])
        spans = self._spans(program)
        scales = {
            node.name: self._layer(
                (node, program.dt),
                [p for p in joined if p.target == node.name],
                spans.get(node.name, (0.0, 0.0)),
            )
            for node in layers(program)
        }
        notes = list(self._clipped(joined, scales))
        extra = {**design.extra, SCALES: scales}
        program = self._formatted(program, scales)
        return design.noting(*notes, program=program, extra=extra)

    def _check_names(self, known: Sequence[str]) -> None:
        for name in self.fixed if isinstance(self.fixed, Mapping) else ():
            if name not in known:
                raise ParameterError(
                    f"brainscales2.scale: weight_scale must name layers of neurons, got {name!r}. "
                    f"{nearest(name, known)}"
                )

    def _spans(self, program: DiscreteProgram) -> dict[str, tuple[float, float]]:
        """Least and largest membrane of each readout on the calibration sample."""
        silent = [node.name for node in layers(program) if not neurons(node).spiking]
        seen = observe(program, self.calibration).seen if silent else {}
        outputs = {name: seen[name].output for name in silent}
        return {n: (float(v.min()), float(v.max())) for n, v in outputs.items() if v is not None}

    def _layer(
        self,
        at: tuple[Node, float],
        joined: Sequence[Projection],
        span: tuple[float, float],
    ) -> LayerScale:
        """The scale of a node that runs at a dt, from what it listens to and its range."""
        node, dt = at
        strength = response(node, dt).strength
        largest = max(float(np.abs(p.weight).max()) / self._rows(p.source) for p in joined)
        per_unit, least, middle = _potentials(node, span)
        fixed = self.fixed.get(node.name) if isinstance(self.fixed, Mapping) else self.fixed
        weight = fixed or (MOST_WEIGHT / largest if largest else np.inf)
        per_unit = max(least, min(per_unit, MOST_GAIN * weight / float(strength.max())))
        if not fixed:
            lower = float(strength.max()) * per_unit / MOST_GAIN
            weight = max(lower, min(weight, float(strength.min()) * per_unit / LEAST_GAIN))
        lsb, potential = middle
        return LayerScale(lsb - potential * per_unit, per_unit, float(weight))

    def _rows(self, source: str) -> int:
        return self.repeat if is_repeated(source) else 1

    def _clipped(
        self, joined: Sequence[Projection], scales: Mapping[str, LayerScale]
    ) -> Iterator[str]:
        for p in joined:
            codes = np.abs(p.weight) * (scales[p.target].weight / self._rows(p.source))
            beyond = int((codes > MOST_WEIGHT + 0.5).sum())
            if beyond:
                yield (
                    f"scale: {beyond} of {codes.size} weights from {p.source!r} to {p.target!r} "
                    f"are clipped, the synapses cannot be strong enough for the largest, "
                    f"{np.abs(p.weight).max():.3g}"
                )

    def _formatted(
        self, program: DiscreteProgram, scales: Mapping[str, LayerScale]
    ) -> DiscreteProgram:
        """The program with the formats of those weights and biases that are codes one by one."""

        def formats(found: Mapping[str, tuple[str, str]]) -> dict[str, Fixed]:
            return {name: self._format(*way, scales) for name, way in found.items()}

        weights, biases = formats(weighted(program)), formats(shifted(program))
        nodes = tuple(
            replace(node, weight_format=weights.get(node.name), bias_format=biases.get(node.name))
            for node in program.nodes
        )
        return replace(program, nodes=nodes)

    def _format(self, source: str, target: str, scales: Mapping[str, LayerScale]) -> Fixed:
        codes = scales[target].weight / self._rows(source)
        return Fixed(bits=7, scale=torch.tensor(1 / codes, dtype=torch.float64))


def _potentials(node: Node, span: tuple[float, float]) -> tuple[float, float, tuple[float, float]]:
    """LSB a unit that are wanted and the fewest that do, and an LSB with its potential."""
    leak = value(node, "v_leak")
    if neurons(node).spiking:
        distance = float((value(node, "v_threshold") - leak).max())
        wanted, least = (THRESHOLD - LEAK) / distance, LEAST_DISTANCE / distance
        return wanted, least, (LEAK, float(leak.mean()))
    low, high = min(span[0], leak.min()) - leak.mean(), max(span[1], leak.max()) - leak.mean()
    low, high = min(low, -LEAST_SHARE * high), max(high, -LEAST_SHARE * low)
    middle = float(leak.mean() + HEADROOM * (low + high) / 2)
    wide = HEADROOM * float(high - low) or MOST_POTENTIAL / (THRESHOLD - LEAK)
    lsb = (LEAST_POTENTIAL + MOST_POTENTIAL) / 2
    return (MOST_POTENTIAL - LEAST_POTENTIAL) / wide, 0.0, (lsb, middle)


def weighted(program: DiscreteProgram) -> dict[str, tuple[str, str]]:
    """By node with weights, (source, target) of the one path on which it is the only operation.

    Such a weight is a code by itself, not a part of a sum or of a product.
    """
    every = paths(program)
    used = Counter(name for path in every for name in path.nodes)
    found: dict[str, tuple[str, str]] = {}
    for path in every:
        working = [n for n in path.nodes if not isinstance(program.node(n).operation, Reshape)]
        kinds = [type(program.node(name).operation) for name in working]
        if kinds in ([MatrixProduct], [Convolution]) and used[working[0]] == 1:
            found[working[0]] = (path.source, path.target)
    return found


def shifted(program: DiscreteProgram) -> dict[str, tuple[str, str]]:
    """By node with a bias, (source, target) of it, likewise."""
    every = biased(program)
    used = Counter(name for names in every.values() for name in names)
    found: dict[str, tuple[str, str]] = {}
    for path in paths(program):
        names = every.get(path.target, ())
        if len(names) == 1 and used[names[0]] == 1 and names[0] in path.nodes:
            behind = path.nodes[path.nodes.index(names[0]) + 1 :]
            if all(isinstance(program.node(name).operation, Reshape) for name in behind):
                found[names[0]] = (bias_of(path.target), path.target)
    return found
