"""Connections: what lies between neurons. One kind a file."""

from spikewright.connections.conv import Conv1d, Conv2d
from spikewright.connections.delay import Delay
from spikewright.connections.delayed_linear import DelayedLinear
from spikewright.connections.dropout import Dropout
from spikewright.connections.flatten import Flatten
from spikewright.connections.fold import Fold
from spikewright.connections.linear import Linear
from spikewright.connections.norm import BatchNorm
from spikewright.connections.pool import AvgPool2d, MaxPool2d, RateMaxPool2d, SumPool2d
from spikewright.connections.recurrent import Recurrent
from spikewright.connections.scale import Scale
from spikewright.connections.step_dropout import StepDropout, StepDropoutState
from spikewright.connections.store import DeviceStore, FloatStore, WeightStore

__all__ = [
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "Delay",
    "DelayedLinear",
    "DeviceStore",
    "Dropout",
    "Flatten",
    "FloatStore",
    "Fold",
    "Linear",
    "MaxPool2d",
    "RateMaxPool2d",
    "Recurrent",
    "Scale",
    "StepDropout",
    "StepDropoutState",
    "SumPool2d",
    "WeightStore",
]
