"""Proxy learning: the rule, the ReLU twin, and what shows how far the two networks agree."""

from spikewright.learning.proxy.agreement import Agreement, LayerAgreement, agreement
from spikewright.learning.proxy.as_torch import as_torch
from spikewright.learning.proxy.output import choose, substitute, tied
from spikewright.learning.proxy.over_time import OverTime, accuracy_over_time
from spikewright.learning.proxy.rule import Proxy
from spikewright.learning.proxy.twin import Twin

__all__ = [
    "Agreement",
    "LayerAgreement",
    "OverTime",
    "Proxy",
    "Twin",
    "accuracy_over_time",
    "agreement",
    "as_torch",
    "choose",
    "substitute",
    "tied",
]
