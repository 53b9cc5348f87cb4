"""What a design would take of a chip, from what others took: resources without a synthesis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ParameterError
from spikewright.targets.fpga.dimensions import Dimensions

KINDS = ("lut", "ff")
"""What is fitted; blocks of memory are counted."""
Row = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """What a tool counted for one accelerator.

    Args:
        dimensions: of the accelerator.
        resources: by kind, see `spikewright.targets.fpga.synthesis.result.Synthesis`.
        name: for people.
    """

    dimensions: Dimensions
    resources: Mapping[str, float]
    name: str = ""


@dataclass(frozen=True)
class CostModel:
    """Look-up tables and flip-flops as sums of what the modules are made of.

    resource = Σ_k weight_k feature_k(dimensions), weight_k ≥ 0, fitted to synthesised designs by
    least squares of the relative error; see `features` for the terms. Blocks of memory are not
    fitted but counted, see `blocks`.

    Args:
        weights: by kind, of each feature.
        errors: by kind, mean relative error at a design that was left out of the fit, over all;
            of blocks simply over all.
        points: fitted to.

    >>> model = recorded()
    >>> one, eight = (Dimensions(word=28, lanes=28, units=units, sum=15) for units in (1, 8))
    >>> model.predict(eight)["lut"] > 2 * model.predict(one)["lut"]
    True
    """

    weights: Mapping[str, Row]
    errors: Mapping[str, float]
    points: int

    def predict(self, dimensions: Dimensions) -> dict[str, float]:
        """Look-up tables, flip-flops, blocks of memory, and a few multipliers for addresses."""
        found = {k: float(features(dimensions)[k] @ weight) for k, weight in self.weights.items()}
        return found | {"bram": all_blocks(dimensions), "dsp": ADDRESSING}


def fit(points: Sequence[Point]) -> CostModel:
    """The model of some synthesised designs.

    Raises:
        ParameterError: fewer designs than a fit and one left out need.
    """
    least = 2 + max(len(row) for row in features(Dimensions()).values())
    if len(points) < least:
        raise ParameterError(
            f"fpga.cost_model: points must be at least {least}, got {len(points)}. "
            "Synthesise more designs."
        )
    errors = {kind: float(np.mean(_left_out(points, kind))) for kind in KINDS}
    blocks_off = [all_blocks(it.dimensions) - it.resources["bram"] for it in points]
    errors["bram"] = float(np.abs(blocks_off).sum() / sum(it.resources["bram"] for it in points))
    return CostModel({kind: _weights(points, kind) for kind in KINDS}, errors, len(points))


def _left_out(points: Sequence[Point], kind: str) -> list[float]:
    """Relative error at each point of a fit to the others."""
    found: list[float] = []
    for k, one in enumerate(points):
        told = features(one.dimensions)[kind] @ _weights([*points[:k], *points[k + 1 :]], kind)
        found.append(abs(float(told) / one.resources[kind] - 1))
    return found


def features(d: Dimensions) -> dict[str, Row]:
    """What each kind of resource is a sum of.

    Look-up tables: control; accumulators, one bit of one lane of one unit; the shift of
    requantisers, a stage for each bit of the amount; sums of the linear unit; the shift of the
    input row and of the lanes that strides pick; spikes of the linear unit. Flip-flops: registers
    of the same.
    """
    shift = log2(d.sum + d.left + 1)
    rows = d.lanes * d.units * d.sum
    lut = [1, rows, d.units * d.sum * shift, d.linear * d.sum, d.word * d.activation * d.offset,
           d.lanes * d.activation * d.stride, d.linear * d.activation]  # fmt: skip
    ff = [1, rows, d.units * d.sum, d.linear * d.sum, d.word * d.activation]
    return {
        "lut": np.array(lut, np.float64),
        "ff": np.array(ff, np.float64),
    }


def memories(d: Dimensions) -> tuple[tuple[int, int], ...]:
    """Words and bits of a word of each memory on the chip."""
    kernels = () if d.stream_kernels else ((d.kernels, d.units * d.weight),)
    weights = () if d.stream_weights else ((d.weights, d.linear * d.weight),)
    banks = ((d.depth_0, d.word), (d.depth_1, d.word))
    biases = ((d.kernel_biases, d.units * d.sum), (d.weight_biases, d.sum))
    sums = ((d.sums, d.units * d.sum),) if d.sums else ()
    return (*kernels, *weights, *banks, *biases, *sums, (d.instructions, 32))


ADDRESSING = 2.0
"""Multipliers that tools take for the arithmetic of addresses, at most."""
LEAST_BITS = 3900
"""With fewer bits for each half of a block, a memory is made of look-up tables."""


def blocks(words: int, bits: int) -> float:
    """Blocks of 36 kbit, by halves, of the shape that needs fewest.

    >>> blocks(1024, 36), blocks(512, 36), blocks(96, 96)
    (1.0, 0.5, 0.0)
    """
    shapes = [(512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)]
    halves = min(-(-words // deep) * -(-bits // wide) for deep, wide in shapes)
    return halves / 2 if words * bits >= LEAST_BITS * halves else 0.0


def all_blocks(d: Dimensions) -> float:
    """Of all memories."""
    return float(sum(blocks(words, bits) for words, bits in memories(d)))


@cache
def recorded() -> CostModel:
    """Fitted to the designs that come with the package, synthesised for Xilinx 7-series."""
    text = (
        resources.files("spikewright.targets.fpga.exploring")
        .joinpath("points.json")
        .read_text(encoding="utf-8")
    )
    return fit(read_points(json.loads(text)["points"]))


def read_points(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """From JSON."""
    return [
        Point(Dimensions.of(row["dimensions"]), dict(row["resources"]), row["name"]) for row in rows
    ]


def _weights(points: Sequence[Point], kind: str) -> Row:
    from scipy.optimize import nnls

    counted = np.array([one.resources[kind] for one in points])
    rows = np.stack([features(one.dimensions)[kind] for one in points])
    scale = 1.0 / np.maximum(counted, 1e-9)
    found, _ = nnls(rows * scale[:, None], counted * scale)
    return found
