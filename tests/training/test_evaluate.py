from __future__ import annotations

import pytest
import torch

from spikewright.errors import DataError, RuleError, SettingsError
from spikewright.learning.rule import Rule
from spikewright.training import evaluate, fit
from training.fakes import FakeData, FakeNetwork, FakeSplit, GradientRule, HebbianNetwork
from training.fakes import HebbianRule as Hebbian


def test_fakes_are_rules() -> None:
    assert isinstance(GradientRule(), Rule)
    assert isinstance(Hebbian(), Rule)


def test_means_do_not_depend_on_how_batches_are_cut() -> None:
    class Steady(FakeSplit):
        def batch(self, index, generator=None):  # type: ignore[no-untyped-def]
            return self.rates[index].expand(5, -1, -1), self.targets[index]

    network, split = FakeNetwork(), Steady(23, 1)
    whole = evaluate(network, split, GradientRule(), batch_size=23)
    for batch_size in (1, 4, 22, 100):
        parts = evaluate(network, split, GradientRule(), batch_size=batch_size)
        assert parts.metrics == pytest.approx(whole.metrics, rel=1e-5)
        assert torch.equal(parts.confusion, whole.confusion)


def test_confusion_counts_targets_in_rows_and_predictions_in_columns() -> None:
    class Fixed(GradientRule):
        def evaluate(self, network, batch, rule_state):  # type: ignore[no-untyped-def]
            return {"predictions": torch.ones_like(batch.y)}

    result = evaluate(FakeNetwork(), FakeSplit(9, 1), Fixed(), batch_size=2, classes=3)
    assert result.confusion is not None
    assert result.confusion.tolist() == [[0, 5, 0], [0, 4, 0], [0, 0, 0]]
    assert result.samples == 9


def test_confusion_and_accuracy_agree_and_seed_decides_the_spikes() -> None:
    network, data = FakeNetwork(), FakeData()
    fit(network, data, GradientRule(), epochs=3, batch_size=5, progress=False)
    first, again = (evaluate(network, data.test, GradientRule()) for _ in range(2))
    other = evaluate(network, data.test, GradientRule(), seed=1)
    assert first.confusion is not None
    share = first.confusion.trace().item() / first.confusion.sum().item()
    assert first.metrics["accuracy"] == pytest.approx(share)
    assert first.predictions is not None
    right = (first.predictions == data.test.targets).double().mean()
    assert first.metrics["accuracy"] == pytest.approx(float(right))
    assert first.metrics == again.metrics
    assert first.metrics["loss"] != other.metrics["loss"]


def test_evaluation_changes_neither_network_nor_random_stream_nor_mode() -> None:
    network = FakeNetwork()
    weights = {name: t.clone() for name, t in network.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    result = evaluate(network, FakeSplit(9, 1), GradientRule())
    assert torch.rand(1) == expected
    assert network.training
    assert all(torch.equal(t, weights[name]) for name, t in network.state_dict().items())
    assert result.metrics == evaluate(network, FakeSplit(9, 1), GradientRule()).metrics


def test_rule_without_predictions_gives_no_confusion() -> None:
    result = evaluate(HebbianNetwork(), FakeSplit(9, 1), Hebbian())
    assert result.confusion is None
    assert set(result.metrics) == {"drive"}


def test_bad_requests_are_refused() -> None:
    with pytest.raises(DataError, match="split must have at least one sample, got 0"):
        evaluate(FakeNetwork(), FakeSplit(0, 1), GradientRule())
    with pytest.raises(SettingsError, match="batch_size must be a whole number"):
        evaluate(FakeNetwork(), FakeSplit(3, 1), GradientRule(), batch_size=0)
    with pytest.raises(RuleError, match="network must suit Hebbian"):
        evaluate(FakeNetwork(), FakeSplit(3, 1), Hebbian())
