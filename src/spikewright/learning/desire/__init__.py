"""Desire backpropagation: neurons are told whether they should fire, not by how much."""

from spikewright.learning.desire.operations import OperationCount, Operations, count_operations
from spikewright.learning.desire.rule import Desire
from spikewright.learning.desire.statistics import LayerSignal, Statistics

__all__ = [
    "Desire",
    "LayerSignal",
    "OperationCount",
    "Operations",
    "Statistics",
    "count_operations",
]
