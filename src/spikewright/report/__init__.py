"""Reports: one self-contained HTML page that shows a network, its training and its answers."""

from __future__ import annotations

from spikewright.report.compiled import (
    AgreementRow,
    Compiled,
    CostRow,
    LimitRow,
    Occupancy,
)
from spikewright.report.data import (
    Boundary,
    Credit,
    Curve,
    Goal,
    LayerRow,
    Line,
    Listing,
    Membrane,
    ReportData,
    Sample,
    Stage,
    Summary,
    Weights,
)
from spikewright.report.environment import environment
from spikewright.report.page import Report

__all__ = [
    "AgreementRow",
    "Boundary",
    "Compiled",
    "CostRow",
    "Credit",
    "Curve",
    "Goal",
    "LayerRow",
    "LimitRow",
    "Line",
    "Listing",
    "Membrane",
    "Occupancy",
    "Report",
    "ReportData",
    "Sample",
    "Stage",
    "Summary",
    "Weights",
    "environment",
]
