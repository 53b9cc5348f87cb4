"""Learning rules, one a file; losses, regularisers, initialisation, diagnosis and profile."""

from spikewright.learning import augmentation, event_losses, silent
from spikewright.learning.credit import CreditReport, diagnose
from spikewright.learning.doctor import Diagnosis, doctor
from spikewright.learning.eventprop import EventProp
from spikewright.learning.initialisation import aim_rates
from spikewright.learning.memory import MemoryEstimate, estimate_memory
from spikewright.learning.optimisation import Optimisation
from spikewright.learning.profile import Profile, profile
from spikewright.learning.rule import Batch, Rule
from spikewright.learning.spike_time import SpikeTime
from spikewright.learning.spread import SpreadSchedule
from spikewright.learning.surrogate import Surrogate
from spikewright.learning.window import WindowSchedule

__all__ = [
    "Batch",
    "CreditReport",
    "Diagnosis",
    "EventProp",
    "MemoryEstimate",
    "Optimisation",
    "Profile",
    "Rule",
    "SpikeTime",
    "SpreadSchedule",
    "Surrogate",
    "WindowSchedule",
    "aim_rates",
    "augmentation",
    "diagnose",
    "doctor",
    "estimate_memory",
    "event_losses",
    "profile",
    "silent",
]
