"""Local plasticity: rules as text, and those of the literature."""

from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.pair_stdp import PairSTDP
from spikewright.learning.plasticity.reward_stdp import RewardSTDP
from spikewright.learning.plasticity.rule import Labels, Local
from spikewright.learning.plasticity.stdp_window import DrivenMembrane, STDPWindow, stdp_window
from spikewright.learning.plasticity.target_stdp import TargetSTDP
from spikewright.learning.plasticity.text import SumOfProducts
from spikewright.learning.plasticity.triplet_stdp import TripletSTDP
from spikewright.learning.plasticity.vdsp import MEMRISTORS, VDSP, Memristor, MemristorVDSP

__all__ = [
    "MEMRISTORS",
    "VDSP",
    "DrivenMembrane",
    "Labels",
    "Local",
    "Memristor",
    "MemristorVDSP",
    "PairSTDP",
    "PlasticityRule",
    "RewardSTDP",
    "STDPWindow",
    "SumOfProducts",
    "TargetSTDP",
    "TripletSTDP",
    "stdp_window",
]
