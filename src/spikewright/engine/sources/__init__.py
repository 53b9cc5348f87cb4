"""Kernels written by hand, as source that `spikewright.engine.native` compiles for a dtype."""
