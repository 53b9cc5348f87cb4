"""Training: `fit` and `evaluate`, checkpoints, metrics and progress."""

from spikewright.training.checkpoint import (
    Checkpoint,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from spikewright.training.evaluate import Evaluation, evaluate
from spikewright.training.fit import FitResult, fit
from spikewright.training.metrics import read_metrics
from spikewright.training.rates import TrainingWarning, rate_warnings
from spikewright.training.settings import FitSettings
from spikewright.training.weights import load_weights

__all__ = [
    "Checkpoint",
    "Evaluation",
    "FitResult",
    "FitSettings",
    "TrainingWarning",
    "evaluate",
    "fit",
    "has_checkpoint",
    "load_checkpoint",
    "load_weights",
    "rate_warnings",
    "read_metrics",
    "save_checkpoint",
]
