"""Windows of surrogates: schedules that let a net start, and who is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from learning.tasks import batch, network, same, weights
from spikewright.errors import ParameterError
from spikewright.learning import Surrogate, WindowSchedule
from spikewright.training import load_checkpoint, save_checkpoint
from spikewright.training.rates import TrainingWarning
from training.fakes import FakeData, FakeNetwork, GradientRule

NEAR = sw.surrogate.SuperSpike(width=0.1, window=0.05)
HIDDEN = "nodes.0_linear.weight"


def quiet(backend: str = "reference") -> sw.Sequential:
    """A network whose neurons stay far below their threshold."""
    net = network(backend=backend)
    with torch.no_grad():
        net.get_parameter(HIDDEN).mul_(1e-3)
        net.get_parameter("nodes.0_linear.bias").zero_()
    return net


def train(net: sw.Network, rule: Surrogate, steps: int, state: Any = None, first: int = 0) -> Any:
    state = rule.init(net) if state is None else state
    for seed in range(first, first + steps):
        _, state = rule.train_batch(net, batch(seed), state)
    return state


def test_a_net_that_never_starts_starts_with_a_wide_window() -> None:
    stuck, started = quiet(), quiet()
    train(stuck, Surrogate(surrogate=NEAR), 2)
    schedule = WindowSchedule(start=1.0, steps=1, stages=1)
    train(started, Surrogate(surrogate=NEAR, window=schedule), 1)
    before = weights(quiet())[HIDDEN]
    assert torch.equal(weights(stuck)[HIDDEN], before)
    assert not torch.equal(weights(started)[HIDDEN], before)


def test_each_stage_is_trained_with_its_own_window() -> None:
    schedule = WindowSchedule(start=0.8, steps=4, stages=2)
    scheduled, by_hand = network(), network()
    train(scheduled, Surrogate(surrogate=NEAR, window=schedule), 6)
    state = None
    for step, window in enumerate((0.8, 0.8, 0.2, 0.2, 0.05, 0.05)):
        rule = Surrogate(surrogate=sw.surrogate.SuperSpike(width=0.1, window=window))
        state = train(by_hand, rule, 1, state, step)
    assert same(weights(scheduled), weights(by_hand))


def test_a_run_resumed_inside_the_schedule_equals_one_without_a_break(tmp_path: Path) -> None:
    rule = Surrogate(surrogate=NEAR, window=WindowSchedule(start=0.8, steps=4, stages=2))
    whole, parts = network(), network()
    train(whole, rule, 6)
    save_checkpoint(tmp_path, parts.state_dict(), train(parts, rule, 3), {})
    stored, other = load_checkpoint(tmp_path), network(seed=1)
    other.load_state_dict(stored.network)
    train(other, rule, 3, stored.rule_state, 3)
    assert not same(weights(parts), weights(whole))
    assert same(weights(other), weights(whole))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0.0}, "start must be positive and finite, got 0.0. Pass start=1.0, say."),
        ({"steps": 0}, "steps must be a whole number from 1, got 0."),
        ({"stages": 1.5}, "stages must be a whole number from 1, got 1.5."),
    ],
)
def test_a_schedule_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match="WindowSchedule: ") as caught:
        WindowSchedule(**{"start": 1.0, "steps": 10, **options})
    assert message in str(caught.value)


@pytest.mark.parametrize("surrogate", [None, sw.surrogate.Arctan()])
def test_a_schedule_needs_a_window_to_end_at(surrogate: Any) -> None:
    with pytest.raises(ParameterError, match="window must come with a surrogate that has one"):
        Surrogate(surrogate=surrogate, window=WindowSchedule(start=1.0, steps=10))


@pytest.mark.parametrize(
    ("recurrent", "how"),
    [(False, {}), (True, {}), (False, {"memory": "checkpoint"}), (False, {"truncate": 7})],
)
def test_the_active_share_of_a_batch_is_that_which_the_doctor_counts(
    recurrent: bool, how: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    cells = sw.LIF(tau_mem=10e-3, v_threshold=0.1, firing=sw.Firing(reset="subtract"))
    hidden = sw.Recurrent(cells) if recurrent else cells
    net = sw.Sequential(sw.Linear(8, 20), hidden, sw.Linear(20, 3), sw.LI(), dt=1e-3)
    net.build((8,))
    rule = Surrogate(surrogate=NEAR, **how)
    (health,) = sw.doctor(net, batch(), Surrogate(surrogate=NEAR)).layers
    metrics, _ = rule.train_batch(net, batch(), rule.init(net))
    assert 0.05 < health.active < 0.95
    assert metrics["active"] == {health.name: pytest.approx(health.active, rel=1e-9)}


def test_without_a_window_nothing_is_noted() -> None:
    net, rule = network(backend="cpu"), Surrogate()
    metrics, _ = rule.train_batch(net, batch(), rule.init(net))
    assert "active" not in metrics


def test_the_doctor_says_that_no_regulariser_can_rescue_a_net_without_active_neurons() -> None:
    found = sw.doctor(quiet(), batch(), Surrogate(surrogate=NEAR))
    assert found.layers[0].active == 0
    assert any("LowerRate cannot rescue a net with no active neuron" in a for a in found.advice)


class NoneActive(GradientRule):
    """Says that no neuron of the layer is active."""

    def train_batch(self, network: Any, batch: Any, rule_state: Any) -> Any:
        metrics, after = super().train_batch(network, batch, rule_state)
        return {**metrics, "active": {"hidden": 0.0, "other": 0.1}}, after


def test_fit_records_what_is_active_and_warns_of_a_layer_where_nothing_is() -> None:
    with pytest.warns(TrainingWarning, match="no active neuron"):
        result = sw.fit(
            FakeNetwork(), FakeData(), NoneActive(), epochs=2, batch_size=5, progress=False
        )
    (line,) = result.warnings
    assert line.startswith("fit: layer 'hidden' must have active neurons to learn, got none")
    train = [record for record in result.history if record["kind"] == "train"]
    assert train[0]["active"] == {"hidden": 0.0, "other": pytest.approx(0.1)}
