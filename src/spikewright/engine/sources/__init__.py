"""Kernels written by hand, as source that `spikewright.engine.cpu.native` compiles for a dtype."""
