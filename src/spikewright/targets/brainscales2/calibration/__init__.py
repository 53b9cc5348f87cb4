"""Calibration: from what circuits are meant to do to the codes that make them do it."""

from spikewright.targets.brainscales2.calibration.calibrate import calibrate
from spikewright.targets.brainscales2.calibration.nominal import nominal
from spikewright.targets.brainscales2.calibration.scales import Scales, measure_scales
from spikewright.targets.brainscales2.calibration.stored import load_settings, save_settings

__all__ = ["Scales", "calibrate", "load_settings", "measure_scales", "nominal", "save_settings"]
