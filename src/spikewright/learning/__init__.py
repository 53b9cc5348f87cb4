"""Learning rules, one a file; losses, regularisers, initialisation and diagnosis."""

from spikewright.learning.doctor import Diagnosis, doctor
from spikewright.learning.initialisation import aim_rates
from spikewright.learning.rule import Batch, Rule
from spikewright.learning.surrogate import Optimisation, Surrogate

__all__ = ["Batch", "Diagnosis", "Optimisation", "Rule", "Surrogate", "aim_rates", "doctor"]
