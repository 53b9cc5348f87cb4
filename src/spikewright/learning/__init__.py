"""Learning rules, one a file; losses, regularisers, initialisation, diagnosis and profile."""

from spikewright.learning import augmentation, event_losses, silent
from spikewright.learning.conversion import convert
from spikewright.learning.credit import CreditReport, diagnose
from spikewright.learning.desire import Desire
from spikewright.learning.doctor import Diagnosis, doctor
from spikewright.learning.eventprop import EventProp
from spikewright.learning.initialisation import aim_rates
from spikewright.learning.memory import MemoryEstimate, estimate_memory
from spikewright.learning.optimisation import Optimisation
from spikewright.learning.plasticity import (
    MEMRISTORS,
    VDSP,
    DrivenMembrane,
    Labels,
    Local,
    Memristor,
    MemristorVDSP,
    PairSTDP,
    PlasticityRule,
    RewardSTDP,
    STDPWindow,
    SumOfProducts,
    TargetSTDP,
    TripletSTDP,
    stdp_window,
)
from spikewright.learning.profile import Profile, profile
from spikewright.learning.proxy import (
    Proxy,
    Twin,
    accuracy_over_time,
    agreement,
    as_torch,
    substitute,
)
from spikewright.learning.rewiring import DeepR
from spikewright.learning.rule import Batch, Rule
from spikewright.learning.spike_time import SpikeTime
from spikewright.learning.spread import SpreadSchedule
from spikewright.learning.stochastic import Stochastic, StochasticLimit
from spikewright.learning.surrogate import Surrogate
from spikewright.learning.tempotron import Tempotron
from spikewright.learning.window import WindowSchedule

__all__ = [
    "MEMRISTORS",
    "VDSP",
    "Batch",
    "CreditReport",
    "DeepR",
    "Desire",
    "Diagnosis",
    "DrivenMembrane",
    "EventProp",
    "Labels",
    "Local",
    "MemoryEstimate",
    "Memristor",
    "MemristorVDSP",
    "Optimisation",
    "PairSTDP",
    "PlasticityRule",
    "Profile",
    "Proxy",
    "RewardSTDP",
    "Rule",
    "STDPWindow",
    "SpikeTime",
    "SpreadSchedule",
    "Stochastic",
    "StochasticLimit",
    "SumOfProducts",
    "Surrogate",
    "TargetSTDP",
    "Tempotron",
    "TripletSTDP",
    "Twin",
    "WindowSchedule",
    "accuracy_over_time",
    "agreement",
    "aim_rates",
    "as_torch",
    "augmentation",
    "convert",
    "diagnose",
    "doctor",
    "estimate_memory",
    "event_losses",
    "profile",
    "silent",
    "stdp_window",
    "substitute",
]
