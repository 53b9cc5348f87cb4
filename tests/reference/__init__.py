"""Models in NumPy float64, written from the equations of the literature and not from our code.

Each is called ``model(x, dt, parameters..., **options) -> dict`` with ``x`` (time, neurons) and
gives traces of the same shape. Exact orders go through the matrix exponential of the differential
equation, so no coefficient is worked out by hand.
"""

from reference.adaptive_lif import adaptive_lif
from reference.adex import adex
from reference.ahp_lif import ahp_lif
from reference.cuba import cuba
from reference.integrate_and_fire import integrate_and_fire
from reference.lif import lif
from reference.multi_synapse_lif import multi_synapse_lif

__all__ = [
    "adaptive_lif",
    "adex",
    "ahp_lif",
    "cuba",
    "integrate_and_fire",
    "lif",
    "multi_synapse_lif",
]
