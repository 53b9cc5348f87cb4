"""Voltage-dependent synaptic plasticity, and its form for memristors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.text import SumOfProducts

_LARGEST = 20.0
"""Exponents stop here, so that a membrane far outside its range cannot make a weight infinite."""
_U = "((w - w_min) / span)"
_TEXT = (
    "dw = lr * span * y0 * (exp(min(abs(x_v), largest)) - 1) * ("
    f"(x_v < 0) * exp(-alpha * {_U}) * (1 - {_U}) - (x_v > 0) * exp(alpha * ({_U} - 1)) * {_U})"
)
_DEVICE_TEXT = (
    "dw = span * y0 * ("
    "lr_plus * (scale * x_v < -theta_plus)"
    f" * max(1 - {_U}, 0)^gamma_plus"
    " * (exp(min(-alpha_plus * (scale * x_v + theta_plus), largest)) - 1)"
    " - lr_minus * (scale * x_v > theta_minus)"
    f" * max({_U}, 0)^gamma_minus"
    " * (exp(min(alpha_minus * (scale * x_v - theta_minus), largest)) - 1))"
)


@dataclass(frozen=True)
class VDSP(PlasticityRule):
    """Voltage-dependent synaptic plasticity: a postsynaptic spike reads presynaptic membranes.

    At each postsynaptic spike, for a presynaptic membrane v and u = (w - w_min)/(w_max - w_min),

        v < 0, the input has just fired:  du = lr exp(-alpha u) (1 - u) (exp(-v) - 1)
        v > 0, it is silent or about to:  du = -lr exp(alpha (u - 1)) u (exp(v) - 1)

    The presynaptic neurons' v must lie within -1 and 1: ``LIF(v_reset=-1)``. The bounds hold
    without clipping for lr (e - 1) < 1. v codes the time since the last spike: with drive J and
    time constant tau, a lag of tau ln(1 + 1/J) gives no change.

    Args:
        lr: change at |v| = ln 2, as a share of the range.
        alpha: exponent of the bounds; 0 leaves the factors 1 - u and u.
        bounds: least and greatest weight.

    Raises:
        ParameterError: an option is outside its range.

    Source: Garg et al., Frontiers in Neuroscience 16:983950 (2022). The exponent of the bounds is
    that of the authors' first public code, alpha = 0 that of their later one.

    >>> print(VDSP(lr=0.5).program())
    dw = 0.5 * y0 * (exp(min(abs(x_v), 20)) - 1) * ((x_v < 0) * (1 - w) - (x_v > 0) * w)
    """

    lr: float = 3e-3
    alpha: float = 0.0
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        self.check_options(("lr",), ("alpha",))

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        return SumOfProducts(
            _TEXT,
            constants={"lr": self.lr, "alpha": self.alpha, **_of_range(self.bounds)},
            bounds=self.bounds,
        )


@dataclass(frozen=True)
class Memristor:
    """How a memristor's conductance answers to a voltage, fitted to measurements.

    Args:
        gamma_plus: exponent of the upper bound.
        gamma_minus: exponent of the lower bound.
        alpha_plus: steepness of potentiation, 1/V.
        alpha_minus: steepness of depression, 1/V.
        theta_plus: voltage below whose negative it grows, V.
        theta_minus: voltage above which it falls, V.
    """

    gamma_plus: float
    gamma_minus: float
    alpha_plus: float
    alpha_minus: float
    theta_plus: float
    theta_minus: float


MEMRISTORS: Mapping[str, Memristor] = {
    "TiO2": Memristor(1.680, 1.680 * 0.944, 0.679, 0.679 * 1.125, 1.432, 1.432 * 1.092),
    "HZO": Memristor(1.068, 1.068 * 1.580, 1.159, 1.159 * 0.474, 0.412, 0.412 * 0.944),
    "HfO2": Memristor(1.017, 1.017, 0.961, 0.961, 0.804, 0.804),
}
"""Fits of the authors' public simulator, by material; that of HfO2 taken as the same both ways."""


@dataclass(frozen=True)
class MemristorVDSP(PlasticityRule):
    """Voltage-dependent synaptic plasticity of a memristor that sees the membrane as a voltage.

    At each postsynaptic spike, with V = scale v and u = (w - w_min)/(w_max - w_min),

        V < -theta_plus:   du =  lr_plus (1 - u)^gamma_plus (exp(-alpha_plus (V + theta_plus)) - 1)
        V > theta_minus:   du = -lr_minus u^gamma_minus (exp(alpha_minus (V - theta_minus)) - 1)

    Args:
        device: the memristor, such as ``MEMRISTORS["TiO2"]``.
        lr_plus: of potentiation.
        lr_minus: of depression.
        scale: voltage of a membrane of 1, V. Membranes between -1 and 1 switch a device only
            where it is above the device's thresholds.
        bounds: least and greatest weight.

    Raises:
        ParameterError: an option is outside its range.

    Source: Garg et al., Frontiers in Neuroscience 16:983950 (2022), and the authors' simulator;
    ``scale`` is ours.

    >>> updates = MemristorVDSP(MEMRISTORS["HZO"]).plasticity().updates
    >>> updates.pre, updates.post is None
    (None, False)
    """

    device: Memristor
    lr_plus: float = 1e-3
    lr_minus: float = 1e-3
    scale: float = 2.0
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        self.check_options(("scale",), ("lr_plus", "lr_minus"))

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        rates = {name: getattr(self, name) for name in ("lr_plus", "lr_minus", "scale")}
        return SumOfProducts(
            _DEVICE_TEXT,
            constants={**asdict(self.device), **rates, **_of_range(self.bounds)},
            bounds=self.bounds,
        )


def _of_range(bounds: tuple[float, float]) -> dict[str, float]:
    return {"w_min": bounds[0], "span": bounds[1] - bounds[0], "largest": _LARGEST}
