"""Plasticity at postsynaptic spikes, towards a target of the presynaptic trace."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.text import SumOfProducts

_TEXT = "dw = lr * (x1 - x_target) * max(w_max - w, 0)^mu * y0"


@dataclass(frozen=True)
class TargetSTDP(PlasticityRule):
    """Plasticity at postsynaptic spikes: inputs that fired of late grow, the others shrink.

    At a postsynaptic spike dw = lr (x1 - x_target) (w_max - w)^mu, x1 a trace of tau.

    Growth and decay both fade towards the greatest weight: for mu > 0 a weight that has reached
    w_max stays there for good. Draw first weights well below it; ``normalise`` of `Local` scales
    them down again where a neuron's sum has grown, and with mu = 0 there are none.

    Args:
        lr: in units of the weight (to the power 1 - mu).
        x_target: trace at which a weight stays; a higher one disconnects more inputs.
        tau: of the presynaptic trace, s.
        mu: how changes fall near the greatest weight; 0 for not at all.
        nearest: a spike sets the trace to 1, else it adds 1.
        bounds: least and greatest weight.

    Raises:
        ParameterError: an option is outside its range.

    Source: Diehl and Cook, Frontiers in Computational Neuroscience 9:99 (2015). The defaults are
    ours.

    >>> print(TargetSTDP(lr=0.5, x_target=0.25, mu=1.0).program())
    dw = 0.5 * (x1 - 0.25) * max(1 - w, 0) * y0
    """

    lr: float = 0.01
    x_target: float = 0.4
    tau: float = 20e-3
    mu: float = 1.0
    nearest: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        self.check_options(("lr", "tau"), ("x_target", "mu"))

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        constants = {name: getattr(self, name) for name in ("lr", "x_target", "mu")}
        return SumOfProducts(
            _TEXT,
            tau={"x1": self.tau},
            constants={**constants, "w_max": self.bounds[1]},
            nearest=("x1",) if self.nearest else (),
            bounds=self.bounds,
        )
