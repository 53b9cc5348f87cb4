"""Sound: recordings read block by block, and front ends that turn them into spikes.

A `FrontEnd` maps samples to frames of spike counts on a time grid, as they come.
"""

from __future__ import annotations

from spikewright.audio.augment import Augment, Equaliser, Gain, Noise, Shift
from spikewright.audio.filter_bank import FilterBank
from spikewright.audio.front_end import FrontEnd
from spikewright.audio.log_energy import LogEnergy
from spikewright.audio.mixing import Foreground
from spikewright.audio.modulation import Modulation
from spikewright.audio.recording import Recording, load, open_recording
from spikewright.audio.resampling import Resampler
from spikewright.audio.xylo_front_end import Mismatch, XyloFrontEnd

__all__ = [
    "Augment",
    "Equaliser",
    "FilterBank",
    "Foreground",
    "FrontEnd",
    "Gain",
    "LogEnergy",
    "Mismatch",
    "Modulation",
    "Noise",
    "Recording",
    "Resampler",
    "Shift",
    "XyloFrontEnd",
    "load",
    "open_recording",
]
