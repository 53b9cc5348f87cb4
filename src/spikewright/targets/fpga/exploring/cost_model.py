"""What a design would take of a chip, from what others took: resources without a synthesis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ParameterError
from spikewright.targets.fpga.dimensions import Dimensions
from spikewright.targets.fpga.exploring.memories import memories
from spikewright.targets.fpga.instructions import Setting

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

    resource = counted(dimensions) + Σ_k weight_k feature_k(dimensions), weight_k ≥ 0, fitted to
    synthesised designs by least squares of the relative error; see `features` for the terms.
    Blocks of memory are not fitted but counted, see `Memory`.

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
        found = {kind: _told(dimensions, kind, w) for kind, w in self.weights.items()}
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
        told = _told(one.dimensions, kind, _weights([*points[:k], *points[k + 1 :]], kind))
        found.append(abs(told / one.resources[kind] - 1))
    return found


def _told(d: Dimensions, kind: str, weights: Row) -> float:
    return counted(d, kind) + float(features(d)[kind] @ weights)


def features(d: Dimensions) -> dict[str, Row]:
    """What each kind of resource is a sum of.

    Look-up tables: control; accumulators, one bit of one lane of one unit; spikes of a row that
    are collected to be written; sums and shifted weights of the linear unit; bits of memories that
    become logic. Flip-flops: control; registers of the same, of pooling and of the linear unit's
    input; requantisers; settings.
    """
    planes = d.planes(d.activation)
    rows, collected = d.units * d.lanes * d.sum, d.units * planes * d.word
    products = d.linear * (d.sum + d.weight + d.lift + (0 if d.rate else planes - 1))
    registers = rows + collected + products + d.word * planes + 2 * d.lanes * d.window
    lut = [1, rows, collected, products, sum(each.constants for each in memories(d))]
    ff = [1, registers, d.units * d.sum, len(Setting) * d.value]
    return {
        "lut": np.array(lut, np.float64),
        "ff": np.array(ff, np.float64),
    }


def counted(d: Dimensions, kind: str) -> float:
    """What needs no fit: look-up tables that are memories."""
    return float(sum(each.tables for each in memories(d))) if kind == "lut" else 0.0


def all_blocks(d: Dimensions) -> float:
    """Blocks of 36 kbit, by halves, of all memories."""
    return sum(each.blocks for each in memories(d))


ADDRESSING = 2.0
"""Multipliers that tools take for the arithmetic of addresses, at most."""


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

    wanted = np.array([one.resources[kind] for one in points])
    rows = np.stack([features(one.dimensions)[kind] for one in points])
    fitted = wanted - [counted(one.dimensions, kind) for one in points]
    scale = 1.0 / np.maximum(wanted, 1e-9)
    found, _ = nnls(rows * scale[:, None], fitted * scale)
    return found
