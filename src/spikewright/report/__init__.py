"""Reports: one self-contained HTML page that shows a network, its training and its answers."""

from __future__ import annotations

from spikewright.report.data import LayerRow, Membrane, ReportData, Sample, Summary, Weights
from spikewright.report.environment import environment
from spikewright.report.page import Report

__all__ = [
    "LayerRow",
    "Membrane",
    "Report",
    "ReportData",
    "Sample",
    "Summary",
    "Weights",
    "environment",
]
