"""Spike-timing-dependent plasticity that waits for a reward."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.text import SumOfProducts

_TEXT = "de = A_plus * x1 * y0 - A_minus * y1 * x0; dw = lr * r * e"


@dataclass(frozen=True)
class RewardSTDP(PlasticityRule):
    """Spike-timing-dependent plasticity modulated by a reward.

    Pairs of spikes change the synapse's eligibility e as `PairSTDP` changes a weight; e decays
    with tau_e, and dw = lr r e in each step. Nothing is multiplied by dt: a reward that lasts n
    steps counts n times.

    Args:
        lr: change of the weight for reward 1 and eligibility 1, in units of the weight.
        A_plus: eligibility from a spike before a postsynaptic one.
        A_minus: that taken away by a postsynaptic spike before a presynaptic one.
        tau_plus: of potentiation, s.
        tau_minus: of depression, s.
        tau_e: how long a synapse waits for the reward, s.
        bounds: least and greatest weight.

    Raises:
        ParameterError: an option is outside its range.

    Source: Florian, Neural Computation 19 (2007); Izhikevich, Cerebral Cortex 17 (2007), whose
    eligibility decays in 1 s (from memory).

    >>> rule = RewardSTDP(A_plus=1.0, A_minus=1.0).plasticity()
    >>> rule.updates.modulated, rule.eligibility.tau
    (True, 1.0)
    """

    lr: float = 1e-3
    A_plus: float = 1.0
    A_minus: float = 1.05
    tau_plus: float = 20e-3
    tau_minus: float = 20e-3
    tau_e: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        self.check_options(("lr", "tau_plus", "tau_minus", "tau_e"), ("A_plus", "A_minus"))

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        return SumOfProducts(
            _TEXT,
            tau={"x1": self.tau_plus, "y1": self.tau_minus, "e": self.tau_e},
            constants={name: getattr(self, name) for name in ("lr", "A_plus", "A_minus")},
            bounds=self.bounds,
        )
