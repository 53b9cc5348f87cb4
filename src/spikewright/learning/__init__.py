"""Learning rules, one a file; losses, regularisers, initialisation, diagnosis and profile."""

from spikewright.learning.doctor import Diagnosis, doctor
from spikewright.learning.initialisation import aim_rates
from spikewright.learning.memory import MemoryEstimate, estimate_memory
from spikewright.learning.profile import Profile, profile
from spikewright.learning.rule import Batch, Rule
from spikewright.learning.surrogate import Optimisation, Surrogate
from spikewright.learning.window import WindowSchedule

__all__ = [
    "Batch",
    "Diagnosis",
    "MemoryEstimate",
    "Optimisation",
    "Profile",
    "Rule",
    "Surrogate",
    "WindowSchedule",
    "aim_rates",
    "doctor",
    "estimate_memory",
    "profile",
]
