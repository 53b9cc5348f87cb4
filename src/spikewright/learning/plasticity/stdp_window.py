"""The change of a weight over the lag between one spike before and one behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from spikewright.engine.plastic.description import Plasticity
from spikewright.errors import ParameterError
from spikewright.learning.checks import Checked
from spikewright.learning.plasticity.algebra import symbols
from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.evaluate import Synapses, Values
from spikewright.units import check_dt


class STDPWindow(NamedTuple):
    """Lags t_post - t_pre, s, and the change of the weight at each."""

    lags: Values
    changes: Values


@dataclass(frozen=True)
class DrivenMembrane(Checked):
    """The membrane of a presynaptic neuron with one spike, driven by a constant current.

    v = J - (J - v_reset) exp(-t / tau) after the spike and v = J - (J - v_threshold) exp(-t / tau)
    before it, held between reset and threshold: it fires no second time.

    Args:
        tau: its time constant, s.
        drive: J, the potential it would settle at.
        v_reset: potential after the spike.
        v_threshold: potential at which it fired.

    Raises:
        ParameterError: tau is not positive, or the potentials are not finite and in order.

    >>> import math
    >>> membrane = DrivenMembrane(tau=30e-3, drive=2.0)
    >>> abs(float(membrane.at(np.array([30e-3 * math.log(1 + 1 / 2)]))[0])) < 1e-12
    True
    """

    tau: float
    drive: float
    v_reset: float = -1.0
    v_threshold: float = 1.0

    def __post_init__(self) -> None:
        self.check_range("tau", 0.0, "positive")
        if not (
            math.isfinite(self.drive) and -math.inf < self.v_reset < self.v_threshold < math.inf
        ):
            raise ParameterError(
                f"{self.where}: potentials must be finite, v_reset below v_threshold, got {self}. "
                "Change them."
            )

    @property
    def where(self) -> str:
        return type(self).__name__

    def at(self, times: Values) -> Values:
        """v at times since the spike, s."""
        start = np.where(times < 0, self.v_threshold, self.v_reset)
        v = self.drive - (self.drive - start) * np.exp(-times / self.tau)
        return np.clip(v, self.v_reset, self.v_threshold)


class _Pair(NamedTuple):
    """What one synapse for each lag sees in each step, (time, lags)."""

    x0: Values
    y0: Values
    r: Values
    x_v: Values


def stdp_window(
    rule: PlasticityRule | Plasticity,
    lags: Sequence[float] | Values | None = None,
    *,
    dt: float = 1e-3,
    w: float = 0.5,
    modulator: float = 1.0,
    membrane: DrivenMembrane | None = None,
) -> STDPWindow:
    """The change of a weight by one presynaptic and one postsynaptic spike, over their lag.

    The rule runs step by step in float64, in the order of
    `spikewright.engine.plastic.description.Plasticity`, until the later of the two spikes.

    Args:
        rule: of a synapse whose two neurons fire once each.
        lags: t_post - t_pre, s; rounded to whole steps. -100 to 100 ms if left out.
        dt: time step, s.
        w: the weight before.
        modulator: r in the step of the later spike; it is 0 in all others.
        membrane: of the presynaptic neuron, for rules that read it.

    Raises:
        ParameterError: the rule reads a membrane that is not given.

    >>> from spikewright.learning import PairSTDP
    >>> window = stdp_window(PairSTDP(A_plus=0.1, A_minus=0.1), [-20e-3, 0.0, 20e-3])
    >>> window.changes.round(4).tolist()  # 0.1 / e is 0.0368
    [-0.0368, 0.1, 0.0368]
    """
    check_dt("stdp_window", dt)
    plasticity = rule if isinstance(rule, Plasticity) else rule.plasticity()
    _check_membranes(plasticity, membrane)
    steps = np.arange(-100, 101) if lags is None else np.round(np.asarray(lags) / dt).astype(int)
    seen = _pair(steps, dt, modulator, membrane)
    synapses = Synapses(plasticity, w, steps.size, dt)
    for at in range(len(seen.x0)):
        synapses.step({name: values[at] for name, values in seen._asdict().items()})
    return STDPWindow(np.asarray(steps * dt, np.float64), synapses.values["w"] - w)


def _pair(steps: Any, dt: float, modulator: float, membrane: DrivenMembrane | None) -> _Pair:
    """Spikes whose later one is in the last step of all."""
    last = int(np.abs(steps).max(initial=0))
    time = np.arange(last + 1)[:, None]
    pre, post = last - np.maximum(steps, 0), last + np.minimum(steps, 0)
    x_v = membrane.at((time - pre) * dt) if membrane else np.zeros((last + 1, steps.size))
    reward = np.where(time == last, modulator, 0.0)
    return _Pair(
        (time == pre).astype(float), (time == post).astype(float), reward * np.ones(steps.size), x_v
    )


def _check_membranes(plasticity: Plasticity, membrane: DrivenMembrane | None) -> None:
    updates = [plasticity.updates]
    if plasticity.eligibility is not None:
        updates.append(plasticity.eligibility.updates)
    expressions = [e for u in updates for e in (u.pre, u.post, u.step) if e is not None]
    named = {name for expression in expressions for name in symbols(expression)}
    if "y_v" in named or ("x_v" in named and membrane is None):
        raise ParameterError(
            "stdp_window: membranes must be given to a rule that reads them, got none for "
            f"{'y_v' if 'y_v' in named else 'x_v'}. The presynaptic one is "
            "membrane=DrivenMembrane(tau=30e-3, drive=2.0), say; the postsynaptic one cannot be."
        )
