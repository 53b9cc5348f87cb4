"""The losses of peaks: values by a loop in NumPy, gradients by differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.coding import Max, OverThreshold
from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.learning.losses import BinaryPeakLoss, CrossEntropy, PeakLoss
from spikewright.learning.rule import Batch

T, B, C = 9, 5, 3
CLASSES = torch.tensor([0, 2, 1, 2, 0])


def outputs(channels: int = C) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    y = torch.randn(T, B, channels, dtype=torch.float64, generator=generator)
    y[-2, 1] = 5.0  # a peak whose interval ends after the sequence
    return y


def level(trace: np.ndarray[Any, Any], interval: int) -> float:
    """The mean after the peak, from the published description."""
    peak = int(trace.argmax())
    steps = [t if t < len(trace) else peak for t in range(peak, peak + interval)]
    return float(np.mean([trace[t] for t in steps]))


@pytest.mark.parametrize("interval", [1, 4, 20])
def test_it_is_the_published_formula(interval: int) -> None:
    y = outputs()
    expected = 0.0
    for b, c in enumerate(CLASSES.tolist()):
        trace = y[:, b].numpy()
        wrong = [(trace[:, k] ** 2).mean() for k in range(C) if k != c]
        expected += (level(trace[:, c], interval) - 1.5) ** 2 + 0.7 * sum(wrong) / (C - 1)
    loss = PeakLoss(max_interval=interval, target=1.5, others=0.7)
    assert loss(y, Max()(y), CLASSES).item() == pytest.approx(expected / B, rel=1e-12)


def test_the_binary_form_lifts_class_one_and_holds_class_zero() -> None:
    y, targets = outputs(1), torch.tensor([1, 1, 0, 1, 0])
    expected = 0.0
    for b, target in enumerate(targets.tolist()):
        trace = y[:, b, 0].numpy()
        expected += (level(trace, 4) - 1.5) ** 2 if target else 0.7 * (trace**2).mean()
    loss = BinaryPeakLoss(max_interval=4, target=1.5, others=0.7)
    assert loss(y, OverThreshold()(y), targets).item() == pytest.approx(expected / B, rel=1e-12)


def test_gradients_are_exact() -> None:
    y = outputs().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: PeakLoss(4)(y, Max()(y), CLASSES), y)
    y = outputs(1).requires_grad_()
    targets = torch.tensor([1, 1, 0, 1, 0])
    assert torch.autograd.gradcheck(lambda y: BinaryPeakLoss(4)(y, OverThreshold()(y), targets), y)


def test_one_output_is_over_its_threshold_or_not() -> None:
    y = torch.tensor([[[0.2], [0.4]], [[0.6], [0.1]]])
    assert OverThreshold(0.5)(y).tolist() == [[0.5, pytest.approx(0.6)], [0.5, pytest.approx(0.4)]]
    assert OverThreshold(0.5)(y).argmax(-1).tolist() == [1, 0]
    with pytest.raises(ShapeError, match="output must have one neuron, got 3"):
        OverThreshold()(torch.zeros(2, 2, 3))
    with pytest.raises(ParameterError, match="threshold must be finite, got inf"):
        OverThreshold(float("inf"))


def test_the_surrogate_rule_reads_what_the_loss_needs() -> None:
    x, y = torch.ones(20, 4, 2), torch.tensor([0, 1, 1, 0])
    x[:, [0, 3], 1] = 0.0
    for loss, outputs in ((PeakLoss(3), 2), (BinaryPeakLoss(3), 1)):
        torch.manual_seed(0)
        net = sw.Sequential(sw.Linear(2, outputs), sw.LI(tau_mem=3e-3), dt=1e-3)
        rule = sw.learning.Surrogate(loss=loss, learning_rate=0.05)
        assert rule.requirements(net) == []
        state = rule.init(net)
        for _ in range(150):
            _, state = rule.train_batch(net, Batch(x, y), state)
        assert rule.evaluate(net, Batch(x, y), state)["predictions"].tolist() == y.tolist()


def test_another_decoder_than_the_peak_is_refused() -> None:
    net = sw.Sequential(sw.Linear(2, 2), sw.LI(), dt=1e-3)
    rule = sw.learning.Surrogate(loss=PeakLoss(), decoder=sw.coding.Mean())
    assert rule.requirements(net) == [
        "layer '1_li': losses.PeakLoss: decoder must be one of max, got 'mean'. "
        "Choose such a decoder or another loss."
    ]
    with pytest.raises(RuleError, match="got 'over_threshold'"):
        CrossEntropy().check_decoder("over_threshold")


@pytest.mark.parametrize("interval", [0, 2.5])
def test_an_interval_that_is_no_number_of_steps_is_refused(interval: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        PeakLoss(max_interval=interval)
    assert str(caught.value) == (
        f"losses.PeakLoss: max_interval must be a whole number from 1, got {interval!r}. "
        "Pass the steps that a peak should last."
    )


def test_a_single_class_is_refused_with_the_way_out() -> None:
    y = torch.zeros(T, B, 1)
    with pytest.raises(ShapeError) as caught:
        PeakLoss()(y, Max()(y), torch.zeros(B, dtype=torch.int64))
    assert str(caught.value) == (
        "losses.PeakLoss: output must have at least two classes, got 1. "
        "Use BinaryPeakLoss for a single output."
    )
