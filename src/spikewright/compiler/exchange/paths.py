"""What lies between two populations of a cycle, as one product with delays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.arrays import Values, axes, for_features
from spikewright.compiler.exchange.conventions import Reading
from spikewright.compiler.exchange.metadata import unpack
from spikewright.compiler.exchange.nodes import DelayedWeights, Flat, Trail
from spikewright.errors import ExchangeError


@dataclass(frozen=True, eq=False)
class Path:
    """y = sum of weight x[t - delays], plus bias; delays in s, (outputs, inputs)."""

    weight: Values
    delays: Values
    bias: Values
    rounded: bool = True


def follow(flat: Flat, trail: Trail, reading: Reading) -> Path:
    """The product that the nodes of a trail, without its two ends, make together.

    Raises:
        ExchangeError: a node that is no product of one axis, or delays that do not go together.
    """
    count = count_neurons(flat, trail[0], trail)
    path = Path(np.eye(count), np.zeros((count, count)), np.zeros(count))
    for name in trail[1:-1]:
        path = _through(path, name, flat.nodes[name], reading)
    return path


def _through(path: Path, name: str, node: Any, reading: Reading) -> Path:
    where = f"node {name!r} ({type(node).__name__})"
    if isinstance(node, nir.Linear | nir.Affine):
        bias = axes(where, "bias", node.bias, 1) if isinstance(node, nir.Affine) else 0.0
        return _multiply(path, where, axes(where, "weight", node.weight, 2), bias)
    if isinstance(node, DelayedWeights):
        return Path(node.weight, node.delays, node.bias, node.rounded)
    shape = path.bias.shape
    if isinstance(node, nir.Scale):
        scale = np.broadcast_to(for_features(where, "scale", node.scale, shape), shape)
        bias = path.bias * scale
        return Path(path.weight * scale[:, None], path.delays, bias, path.rounded)
    if isinstance(node, nir.Delay) and not path.bias.any():
        delay = for_features(where, "delay", node.delay, shape) * reading.stated.time_unit
        carried = unpack(where, node)
        rounded = carried.flag("rounded", True)
        if not carried.values:
            reading.notes.add(name, "assumed", "delays act in whole steps")
        later = path.delays + np.broadcast_to(delay, shape)[:, None]
        return Path(path.weight, later, path.bias, path.rounded and rounded)
    raise ExchangeError(
        f"{where}: between populations of a cycle there must be Linear, Affine, Scale and Delay "
        "nodes of one axis (a bias behind the delay), or a single node for one population, got "
        f"{type(node).__name__}. Write its product as a Linear node."
    )


def _multiply(path: Path, where: str, weight: Values, bias: Any) -> Path:
    if weight.shape[1] != len(path.bias):
        raise ExchangeError(
            f"{where}: weight must have a column for each of {len(path.bias)} inputs, got shape "
            f"{weight.shape}. Correct the graph and read it again."
        )
    last = np.where(path.weight != 0, path.delays, -np.inf).max(0)
    first = np.where(path.weight != 0, path.delays, np.inf).min(0)
    used = path.weight.any(0)
    if (last != first)[used].any():
        raise ExchangeError(
            f"{where}: what it adds up must have one delay for each input of the cycle, got "
            "several. Put the Delay right behind the neurons, or behind this node."
        )
    delays = np.broadcast_to(np.where(used, last, 0.0), weight.shape).copy()
    return Path(weight @ path.weight, delays, weight @ path.bias + bias, path.rounded)


def count_neurons(flat: Flat, name: str, trail: Trail = ()) -> int:
    """How many neurons a population on one axis has.

    Raises:
        ExchangeError: it cannot be told, or the neurons lie on several axes.
    """
    node = flat.nodes[name]
    shape = np.shape(getattr(node, "r", getattr(node, "threshold", 0)))
    if len(shape) == 1 and shape[0] > 1:
        return int(shape[0])
    for other in (*trail[1:2], *flat.targets(name)):
        weight = np.shape(getattr(flat.nodes[other], "weight", 0))
        if len(weight) == 2:
            return int(weight[1])
    if shape in ((), (1,)):
        return 1
    raise ExchangeError(
        f"node {name!r}: a population in a cycle of several nodes must lie on one axis, got shape "
        f"{shape}. Flatten it."
    )
