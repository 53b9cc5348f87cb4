"""Where synapses keep their weights, and what a pulse does to them.

A learning rule says how many pulses each synapse gets; the store says what becomes of its weight.
Device: Gokmen and Vlasov, "Acceleration of deep neural network training with resistive
cross-point devices", Frontiers in Neuroscience 10:333, 2016 (kinds of imperfection, from memory).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from spikewright.errors import ParameterError

StoreState = dict[str, Any]
"""What a store keeps of an array of weights: tensors and plain values, for a checkpoint."""


class Pulses(NamedTuple):
    """Coincidences at the synapses of an array.

    ``up``, ``down``: how many raise and how many lower each weight, whole numbers of the weight's
    shape; ``change``: by how much each of them should, in units of the weight.
    """

    up: Tensor
    down: Tensor
    change: float


@runtime_checkable
class WeightStore(Protocol):
    """An array of weights in some material; the rule reads them from the parameter itself.

    ``forgets`` says whether weight decay can act.
    """

    forgets: bool

    def init(self, weight: Tensor, key: int) -> StoreState:
        """What the devices of such an array are like; ``weight`` is not changed."""
        ...

    def pulse(self, weight: Tensor, pulses: Pulses, state: StoreState, key: int) -> StoreState:
        """Change ``weight`` in place, as reading it would show from now on.

        Args:
            weight: as it was read last.
            pulses: what to apply.
            state: what `init` or the last call returned.
            key: of what is drawn at random in this call.
        """
        ...


@dataclass(frozen=True)
class FloatStore:
    """Weights as numbers: each pulse has its full effect, w <- w + change (up - down).

    >>> weight = torch.zeros(2)
    >>> pulses = Pulses(torch.tensor([3, 0]), torch.tensor([1, 2]), 0.25)
    >>> _ = FloatStore().pulse(weight, pulses, {}, key=0)
    >>> weight.tolist()
    [0.5, -0.5]
    """

    forgets = True

    def init(self, weight: Tensor, key: int) -> StoreState:
        """Nothing; see `WeightStore.init`."""
        return {}

    def pulse(self, weight: Tensor, pulses: Pulses, state: StoreState, key: int) -> StoreState:
        """See `WeightStore.pulse`."""
        with torch.no_grad():
            weight.add_((pulses.up - pulses.down).to(weight), alpha=pulses.change)
        return state


@dataclass(frozen=True)
class DeviceStore:
    """Weights in resistive devices that a pulse changes by one small step.

    A coincidence reaches a device with probability ``change / dw_min``, or as several pulses
    above 1. Of ``n`` up and ``m`` down pulses, mixed, with steps a and b of the device:

    linear: w <- w + n a - m b;  soft: dw/ds = n a (1 - w / high) - m b (1 - w / low) over s = 0..1
    then noise of ``cycle`` sqrt(n a^2 + m b^2), and w stays within [low, high].

    Args:
        dw_min: mean step of a pulse, in units of the weight.
        low: least weight, below zero.
        high: greatest weight.
        asymmetry: a = dw_min (1 + asymmetry), b = dw_min (1 - asymmetry) on average.
        cycle: spread of a step from pulse to pulse, relative to it.
        variation: spread of a and b over devices, relative to them; drawn once.
        soft: whether steps fade towards the bounds.

    State: ``up``, ``down`` (the devices' steps, of the weight's shape) and ``pulses``, how many
    they have had.

    Raises:
        ParameterError: a value out of range.

    >>> store = DeviceStore(dw_min=0.1, cycle=0.0, variation=0.0)
    >>> weight = torch.tensor([0.0, 0.95])
    >>> pulses = Pulses(torch.tensor([2, 2]), torch.tensor([0, 0]), 0.1)
    >>> state = store.pulse(weight, pulses, store.init(weight, 0), key=0)
    >>> [round(w, 4) for w in weight.tolist()], state["pulses"]
    ([0.2, 1.0], 4)
    """

    dw_min: float = 1e-3
    low: float = -1.0
    high: float = 1.0
    asymmetry: float = 0.0
    cycle: float = 0.3
    variation: float = 0.3
    soft: bool = False

    forgets = False

    def __post_init__(self) -> None:
        self._check("dw_min", 0 < self.dw_min < math.inf, "positive and finite", 1e-3)
        self._check("low", -math.inf < self.low < 0, "below zero and finite", -1.0)
        self._check("high", 0 < self.high < math.inf, "above zero and finite", 1.0)
        self._check("asymmetry", -1 < self.asymmetry < 1, "between -1 and 1", 0.0)
        self._check("cycle", 0 <= self.cycle < math.inf, "zero or positive", 0.3)
        self._check("variation", 0 <= self.variation < math.inf, "zero or positive", 0.3)

    def _check(self, field: str, sound: bool, rule: str, example: float) -> None:
        if not sound:
            raise ParameterError(
                f"DeviceStore: {field} must be {rule}, got {getattr(self, field)!r}. "
                f"Pass for example {field}={example}."
            )

    def init(self, weight: Tensor, key: int) -> StoreState:
        """Draw the steps of the devices; see `WeightStore.init`."""
        random, steps = _random(key), dict[str, Any]()
        for name, sign in (("up", 1), ("down", -1)):
            factor = 1 + self.variation * random.standard_normal(weight.shape)
            mean = self.dw_min * (1 + sign * self.asymmetry)
            steps[name] = torch.from_numpy(mean * np.maximum(factor, 0)).to(weight)
        return {**steps, "pulses": 0}

    def pulse(self, weight: Tensor, pulses: Pulses, state: StoreState, key: int) -> StoreState:
        """See `WeightStore.pulse`."""
        random, ratio = _random(key), pulses.change / self.dw_min
        up, down = (_thin(count, ratio, random) for count in (pulses.up, pulses.down))
        a, b = (state[name].double().cpu().numpy() for name in ("up", "down"))
        before = weight.detach().double().cpu().numpy()
        after = self._drift(before, up * a, down * b)
        if self.cycle:
            spread = self.cycle * np.sqrt(up * a**2 + down * b**2)
            after = after + spread * random.standard_normal(after.shape)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(np.clip(after, self.low, self.high)))
        return {**state, "pulses": state["pulses"] + int(up.sum() + down.sum())}

    def _drift(self, w: Any, up: Any, down: Any) -> Any:
        """Where pulses that sum to these steps leave the weights on average."""
        if not self.soft:
            return w + up - down
        rate = up / self.high - down / self.low
        fade = np.where(rate > 0, -np.expm1(-rate) / np.where(rate > 0, rate, 1.0), 1.0)
        return w + (up - down - rate * w) * fade


def _random(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


def _thin(counts: Tensor, ratio: float, random: np.random.Generator) -> Any:
    """Pulses that reach each device, if each coincidence sends ``ratio`` on average."""
    given = counts.detach().cpu().numpy().astype(np.int64)
    whole = math.floor(ratio)
    return given * whole + random.binomial(given, ratio - whole)
