"""Pair-based spike-timing-dependent plasticity."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.text import SumOfProducts

_TEXT = """\
dw = A_plus * max(w_max - w, 0)^mu * x1 * y0 - A_minus * max(w - w_min, 0)^mu * y1 * x0
"""


@dataclass(frozen=True)
class PairSTDP(PlasticityRule):
    """Spike-timing-dependent plasticity of pairs of spikes.

    At a postsynaptic spike dw = A_plus (w_max - w)^mu x1, at a presynaptic spike
    dw = -A_minus (w - w_min)^mu y1, with traces x1 and y1 of tau_plus and tau_minus. A lone pair
    of lag s = t_post - t_pre so gives A_plus exp(-s / tau_plus) for s >= 0 and
    -A_minus exp(s / tau_minus) for s < 0, times the bound's factor.

    Args:
        A_plus: size of potentiation, in units of the weight (to the power 1 - mu).
        A_minus: size of depression, likewise.
        tau_plus: of potentiation, s.
        tau_minus: of depression, s.
        mu: 0 for changes that do not depend on the weight, 1 for soft (multiplicative) bounds.
        nearest: only the last spike of the other side counts, not all.
        bounds: least and greatest weight.

    Raises:
        ParameterError: an option is outside its range.

    Source: Song, Miller and Abbott, Nature Neuroscience 3 (2000), all pairs and additive; Gütig,
    Aharonov, Rotter and Sompolinsky, Journal of Neuroscience 23 (2003), the exponent.

    >>> print(PairSTDP(A_plus=0.25, A_minus=0.5).program())
    dw = 0.25 * x1 * y0 - 0.5 * y1 * x0
    """

    A_plus: float = 0.01
    A_minus: float = 0.0105
    tau_plus: float = 20e-3
    tau_minus: float = 20e-3
    mu: float = 0.0
    nearest: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        self.check_options(("tau_plus", "tau_minus"), ("A_plus", "A_minus", "mu"))

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        return SumOfProducts(
            _TEXT,
            tau={"x1": self.tau_plus, "y1": self.tau_minus},
            constants={
                **{name: getattr(self, name) for name in ("A_plus", "A_minus", "mu")},
                "w_min": self.bounds[0],
                "w_max": self.bounds[1],
            },
            nearest=("x1", "y1") if self.nearest else (),
            bounds=self.bounds,
        )
