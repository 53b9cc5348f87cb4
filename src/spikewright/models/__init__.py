"""Whole networks of the literature, put together from the layers of the package."""

from spikewright.models.bit_shift import bit_shift, bit_shift_tau
from spikewright.models.relational import RelationalNetwork
from spikewright.models.synnet import SynNet
from spikewright.models.wavesense import WaveSense

__all__ = ["RelationalNetwork", "SynNet", "WaveSense", "bit_shift", "bit_shift_tau"]
