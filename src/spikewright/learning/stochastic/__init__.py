"""Learning with stochastic bit streams: the rule, the limit it approaches, and its quality."""

from spikewright.learning.stochastic.chain import draw_weights
from spikewright.learning.stochastic.examination import Quality, quality
from spikewright.learning.stochastic.limit import StochasticLimit, expected_logits
from spikewright.learning.stochastic.rule import Stochastic

__all__ = [
    "Quality",
    "Stochastic",
    "StochasticLimit",
    "draw_weights",
    "expected_logits",
    "quality",
]
