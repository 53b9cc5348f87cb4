"""Kernels of the stochastic rule; see `spikewright.learning.stochastic.streams`."""
