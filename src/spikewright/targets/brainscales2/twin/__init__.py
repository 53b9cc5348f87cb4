"""The twin of the chip: every circuit's codes, rows, columns, converters and link."""

from spikewright.targets.brainscales2.twin.converter import Converter
from spikewright.targets.brainscales2.twin.link import Link
from spikewright.targets.brainscales2.twin.twin import Twin

__all__ = ["Converter", "Link", "Twin"]
