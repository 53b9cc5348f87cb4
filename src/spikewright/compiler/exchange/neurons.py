"""Neurons: NIR's equations and parameters, and ours.

NIR states ``tau dv/dt = v_leak - v + r I`` (LIF, LI), ``dv/dt = r I`` (IF, I) and for CubaLIF and
CubaLI ``tau_syn di/dt = -i + w_in S``, ``tau_mem dv/dt = v_leak - v + r i``. A sample x[t] of the
input is read as a *current* that lasts one time step, or as an *impulse* that makes what it drives
jump by its weight times x[t]:

    ======== ======================================== =======================
    kind     current                                  impulse
    ======== ======================================== =======================
    I, IF    v grows by r dt x                        by r x (the default)
    LI, LIF  v goes to v_leak + r x (the default)     v grows by r x
    Cuba...  i grows by w_in dt / tau_syn x (default) by w_in x
    ======== ======================================== =======================

Our current-based neurons let an input add itself to i. The current is linear, so the factor in
front of x may as well stand in front of i: r becomes r times that factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.arrays import Values, for_features, numbers
from spikewright.compiler.exchange.conventions import (
    IMPULSES,
    ORDER,
    RESET,
    Reading,
)
from spikewright.compiler.exchange.firing import read_firing, read_surrogate
from spikewright.compiler.exchange.metadata import Carried, unpack
from spikewright.errors import ExchangeError
from spikewright.neurons import IF, LI, LIF, CubaLI, CubaLIF, Integrator, Neuron, Threshold


@dataclass(frozen=True)
class Model:
    """A model that both sides have.

    Args:
        layer: our class. node: NIR's.
        names: our parameters -> NIR's.
        orders: orders of update that it offers; the first one where the wanted one is missing.
        rest: where the membrane starts, in words.
    """

    layer: type[Neuron]
    node: Any
    names: Mapping[str, str]
    orders: tuple[str, ...] = ()
    rest: str = ""

    @property
    def kind(self) -> str:
        """NIR's name."""
        return self.node.__name__

    @property
    def fires_itself(self) -> bool:
        """Whether it has a reset."""
        return "v_reset" in self.names


_LEAK = {"v_leak": "v_leak", "r": "r"}
_FIRE = {"v_threshold": "v_threshold", "v_reset": "v_reset"}
_CUBA = {"tau_mem": "tau_mem", "tau_syn": "tau_syn", **_LEAK}
_MEMBRANE, _CURRENT = ("exact", "euler"), ("exact", "held", "euler")
MODELS = (
    Model(IF, nir.IF, {"r": "r", **_FIRE}, rest="0"),
    Model(Integrator, nir.I, {"r": "r"}, rest="0"),
    Model(LIF, nir.LIF, {"tau_mem": "tau", **_LEAK, **_FIRE}, _MEMBRANE, "v_leak"),
    Model(LI, nir.LI, {"tau_mem": "tau", **_LEAK}, _MEMBRANE, "v_leak"),
    Model(CubaLIF, nir.CubaLIF, {**_CUBA, **_FIRE}, _CURRENT, "v_leak"),
    Model(CubaLI, nir.CubaLI, _CUBA, _CURRENT, "v_leak"),
    Model(Threshold, nir.Threshold, {"v_threshold": "threshold"}),
)
OF_LAYER = {model.layer: model for model in MODELS}
OF_NODE = {model.node: model for model in MODELS}


def read_neurons(name: str, node: Any, shape: tuple[int, ...], reading: Reading) -> Neuron:
    """The layer that a node of neurons stands for.

    Raises:
        ExchangeError: a parameter is out of range or of another shape than the input.
    """
    model = OF_NODE[type(node)]
    where = f"node {name!r} ({model.kind})"
    carried = unpack(where, node)
    options = _options(name, model, carried, reading)
    values = {
        ours: for_features(where, theirs, getattr(node, theirs), shape)
        for ours, theirs in model.names.items()
    }
    values = {
        ours: value * reading.stated.time_unit if ours.startswith("tau") else value
        for ours, value in values.items()
    }
    if "r" in values:
        values["r"] = _drive(name, node, values, shape, options.get("order", ""), reading)
    if model.rest and not carried.values:
        reading.notes.add(name, "assumed", f"v starts at {model.rest}")
    single = [t for t in model.names.values() if numbers(where, t, getattr(node, t)).size == 1]
    if single and math.prod(shape) > 1:
        reading.notes.add(name, "assumed", f"one {', '.join(single)} holds for all neurons")
    for rest in carried.rest():
        reading.notes.add(name, "lost", f"{rest}, unknown here")
    parameters = {ours: reading.tensor(name, value) for ours, value in values.items()}
    return model.layer(**parameters, **options)


def _options(name: str, model: Model, carried: Carried, reading: Reading) -> dict[str, Any]:
    """What beside parameters makes the layer: order, firing, surrogate, refractory and noise."""
    options: dict[str, Any] = {}
    if model.orders:
        options["order"] = _order(name, model, carried, reading)
    if model.fires_itself:
        reset = reading.chosen(name, "reset", carried.text("reset", None), RESET)
        options["firing"] = read_firing(carried, reset)
    if model.layer.spiking:
        options["surrogate"] = read_surrogate(carried)
    for option in ("refractory", "noise"):
        if amount := carried.number(option, 0.0):
            options[option] = amount
    return options


def _order(name: str, model: Model, carried: Carried, reading: Reading) -> str:
    chosen = reading.chosen(name, "order", carried.text("order", None), ORDER)
    if chosen in model.orders:
        return chosen
    if chosen not in _CURRENT:
        raise ExchangeError(
            f"node {name!r}: metadata 'order' must be one of {', '.join(model.orders)}, got "
            f"{chosen!r}. State order as a keyword."
        )
    reading.notes.add(
        name, "assumed", f"order {model.orders[0]!r}, which {chosen!r} is for {model.kind}"
    )
    return model.orders[0]


def _drive(
    name: str,
    node: Any,
    values: Mapping[str, Values],
    shape: tuple[int, ...],
    order: str,
    reading: Reading,
) -> Values:
    """Our ``r``: what reaches the membrane for a unit of input, by the table of this module."""
    kind, dt, r = type(node).__name__, reading.charge_dt, values["r"]
    impulses = IMPULSES if reading.stated.impulses is None else reading.stated.impulses
    impulse = kind in impulses
    if reading.charge_dt != reading.dt or not unpack(name, node).values:
        how = "an impulse" if impulse else "a current of one step"
        said = "by default" if reading.stated.impulses is None else "by keyword"
        reading.notes.add(name, "assumed", f"a sample of the input is {how}, {said}")
    if kind in ("CubaLIF", "CubaLI"):
        w_in = for_features(f"node {name!r} ({kind})", "w_in", node.w_in, shape)
        return r * _near_one(w_in if impulse else w_in * dt / values["tau_syn"])
    if kind in ("IF", "I"):
        return r if impulse else r * dt
    if not impulse:
        return r
    step = reading.dt / values["tau_mem"]
    return r / (step if order == "euler" else -np.expm1(-step))


def _near_one(factor: Values) -> Values:
    """One where the factor is one but for rounding: what we wrote comes back as it was."""
    near = np.abs(factor - 1) <= 4 * np.finfo(np.float64).eps
    return np.where(near, 1.0, factor)


def write_neurons(layer: Neuron, dt: float, metadata: dict[str, str]) -> Any:
    """The node for a layer of neurons that NIR has, each neuron with its own parameters."""
    model = OF_LAYER[type(layer)]
    assert layer.shape is not None
    fields = {
        theirs: _each(layer.parameter_set.value(ours), layer.shape)
        for ours, theirs in model.names.items()
    }
    if "tau_syn" in fields:
        fields["w_in"] = fields["tau_syn"].astype(np.float64) / dt
    return model.node(**fields, metadata=metadata)


def _each(value: Any, shape: tuple[int, ...]) -> Any:
    return np.ascontiguousarray(np.broadcast_to(value.detach().cpu().numpy(), shape))
