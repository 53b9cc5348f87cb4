"""Spike-timing-dependent plasticity of triplets of spikes."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.text import SumOfProducts

_TEXT = """\
dw = x1 * (A2_plus + A3_plus * y2) * y0 - y1 * (A2_minus + A3_minus * x2) * x0
"""


@dataclass(frozen=True)
class TripletSTDP(PlasticityRule):
    """Spike-timing-dependent plasticity of pairs and triplets of spikes.

    At a postsynaptic spike dw = x1 (A2_plus + A3_plus y2), at a presynaptic spike
    dw = -y1 (A2_minus + A3_minus x2). The slow traces x2 and y2 are those just before the spike,
    so that a spike makes no triplet with itself.

    Args:
        A2_plus: of a pair, pre before post, in units of the weight.
        A3_plus: of a triplet post, pre, post.
        A2_minus: of a pair, post before pre.
        A3_minus: of a triplet pre, post, pre.
        tau_plus: of x1, s.
        tau_x: of x2, s.
        tau_minus: of y1, s.
        tau_y: of y2, s.
        nearest: only the last spike of each side counts, not all.
        bounds: least and greatest weight.

    Raises:
        ParameterError: an option is outside its range.

    Source: Pfister and Gerstner, Journal of Neuroscience 26 (2006). The defaults are their fit of
    the minimal model, all pairs, to visual cortex, from memory; `hippocampal` gives the other.

    >>> TripletSTDP().plasticity().updates.pre  # depression is by pairs alone
    Operation(name='*', arguments=(Number(value=-0.0071), Symbol(name='y1')))
    """

    A2_plus: float = 0.0
    A3_plus: float = 6.5e-3
    A2_minus: float = 7.1e-3
    A3_minus: float = 0.0
    tau_plus: float = 16.8e-3
    tau_x: float = 101e-3
    tau_minus: float = 33.7e-3
    tau_y: float = 114e-3
    nearest: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def hippocampal(cls) -> TripletSTDP:
        """Their fit of the minimal model, all pairs, to hippocampal culture, from memory."""
        return cls(
            A2_plus=5.3e-3, A3_plus=8.0e-3, A2_minus=3.5e-3, tau_x=946e-3, tau_y=40e-3
        )  # fmt: skip

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        sizes = ("A2_plus", "A3_plus", "A2_minus", "A3_minus")
        self.check_options(("tau_plus", "tau_x", "tau_minus", "tau_y"), sizes)

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        sizes = ("A2_plus", "A3_plus", "A2_minus", "A3_minus")
        return SumOfProducts(
            _TEXT,
            tau={"x1": self.tau_plus, "x2": self.tau_x, "y1": self.tau_minus, "y2": self.tau_y},
            constants={name: getattr(self, name) for name in sizes},
            nearest=("x1", "x2", "y1", "y2") if self.nearest else (),
            bounds=self.bounds,
        )
