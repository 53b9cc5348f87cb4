"""Neuron models, one a file: parameters, state, coefficients and step."""

from spikewright.neurons.adaptive_lif import AdaptiveLIF
from spikewright.neurons.adex import AdEx
from spikewright.neurons.ahp_lif import AHPLIF
from spikewright.neurons.base import Neuron
from spikewright.neurons.cuba_li import CubaLI
from spikewright.neurons.cuba_lif import CubaLIF
from spikewright.neurons.firing import Firing
from spikewright.neurons.integrate_and_fire import IF
from spikewright.neurons.integrator import Integrator
from spikewright.neurons.li import LI
from spikewright.neurons.lif import LIF
from spikewright.neurons.multi_synapse_lif import MultiSynapseLIF
from spikewright.neurons.parameters import Value, learnable, time_constant
from spikewright.neurons.softmax_winner import SoftmaxWinner
from spikewright.neurons.stochastic_relu import StochasticReLU
from spikewright.neurons.threshold import Threshold
from spikewright.neurons.winner_take_all import WinnerTakeAll

__all__ = [
    "AHPLIF",
    "IF",
    "LI",
    "LIF",
    "AdEx",
    "AdaptiveLIF",
    "CubaLI",
    "CubaLIF",
    "Firing",
    "Integrator",
    "MultiSynapseLIF",
    "Neuron",
    "SoftmaxWinner",
    "StochasticReLU",
    "Threshold",
    "Value",
    "WinnerTakeAll",
    "learnable",
    "time_constant",
]
