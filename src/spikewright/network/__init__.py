"""Layers joined into a network, in sequence or as a graph, with their state threaded through."""

from spikewright.network.base import COUNTS, INPUT, Network, NetworkState, Run, sum_inputs
from spikewright.network.graph import Graph
from spikewright.network.sequential import Sequential

__all__ = [
    "COUNTS",
    "INPUT",
    "Graph",
    "Network",
    "NetworkState",
    "Run",
    "Sequential",
    "sum_inputs",
]
