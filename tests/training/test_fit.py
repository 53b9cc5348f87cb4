from __future__ import annotations

import json
import math
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.errors import CheckpointError, DataError, RuleError, SettingsError
from spikewright.training import FitSettings, fit, load_weights, read_metrics
from training.fakes import (
    FakeData,
    FakeNetwork,
    FakeSplit,
    GradientRule,
    HebbianNetwork,
    HebbianRule,
)

OPTIONS: dict[str, Any] = {"batch_size": 5, "progress": False}


def bits(network: nn.Module) -> dict[str, bytes]:
    return {name: t.numpy().tobytes() for name, t in network.state_dict().items()}


def untimed(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: v for key, v in record.items() if key != "seconds"} for record in history]


def test_training_lowers_the_loss_and_counts_epochs_and_batches() -> None:
    result = fit(FakeNetwork(), FakeData(), GradientRule(), epochs=8, **OPTIONS)
    losses = [r["loss"] for r in result.history if r["kind"] == "train"]
    assert losses[-1] < 0.8 * losses[0]
    assert (result.stopped, result.epochs, result.steps) == ("epochs", 8, 40)


def test_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    networks = [FakeNetwork(), FakeNetwork(), FakeNetwork()]
    for network, seed in zip(networks, (0, 0, 1), strict=True):
        torch.rand(seed + 7)  # the caller's stream must not matter
        fit(network, FakeData(), GradientRule(), epochs=2, seed=seed, **OPTIONS)
    assert bits(networks[0]) == bits(networks[1])
    assert bits(networks[0]) != bits(networks[2])


def test_the_callers_random_streams_and_layer_modes_are_left_alone() -> None:
    network = FakeNetwork()
    network.dropout.eval()
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    expected = (random.random(), np.random.rand(), torch.rand(1))  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    fit(network, FakeData(), GradientRule(), epochs=1, **OPTIONS)
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected  # noqa: NPY002
    assert network.training
    assert not network.dropout.training


def test_stopping_at_any_epoch_and_resuming_equals_one_run(tmp_path: Path) -> None:
    whole, parts = FakeNetwork(), FakeNetwork()
    expected = fit(whole, FakeData(), GradientRule(), epochs=4, **OPTIONS)
    for epochs in (1, 3, 4):
        parts = FakeNetwork(seed=epochs - 1)  # what a resumed run starts with does not matter
        result = fit(parts, FakeData(), GradientRule(), epochs=epochs, folder=tmp_path, **OPTIONS)
    assert bits(parts) == bits(whole)
    assert untimed(result.history) == untimed(expected.history)
    assert untimed(read_metrics(tmp_path)) == untimed(expected.history)


def test_hebbian_rule_without_loss_or_optimiser_trains_and_resumes(tmp_path: Path) -> None:
    def stop(step: int) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    class Stopping(HebbianRule):
        def train_batch(self, network: Any, batch: Any, rule_state: Any) -> Any:
            stop(rule_state[1]["steps"] // 5)
            return super().train_batch(network, batch, rule_state)

    Stopping.__name__ = "HebbianRule"
    whole, parts = HebbianNetwork(), HebbianNetwork()
    with pytest.warns(UserWarning, match="'hebbian' must stay below"):
        expected = fit(whole, FakeData(), HebbianRule(), epochs=2, **OPTIONS)
    first = fit(parts, FakeData(), Stopping(), epochs=2, folder=tmp_path, **OPTIONS)
    assert (first.stopped, first.steps) == ("interrupted", 4)
    with pytest.warns(UserWarning, match="'hebbian' must stay below"):
        result = fit(parts, FakeData(), HebbianRule(), epochs=2, folder=tmp_path, **OPTIONS)
    assert not torch.equal(whole.weight, HebbianNetwork().weight)
    assert bits(parts) == bits(whole)
    assert torch.equal(result.rule_state[0], expected.rule_state[0])
    assert result.rule_state[1] == {"steps": 50}
    assert "loss" not in result.history[0]
    assert result.best is None


def test_first_ctrl_c_saves_and_resuming_equals_one_run(tmp_path: Path) -> None:
    def interrupt(step: int) -> None:
        if step == 7:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    whole, parts = FakeNetwork(), FakeNetwork()
    fit(whole, FakeData(), GradientRule(), epochs=3, **OPTIONS)
    rule = GradientRule(before=interrupt)
    result = fit(parts, FakeData(), rule, epochs=3, folder=tmp_path, **OPTIONS)
    assert (result.stopped, result.epochs, result.steps) == ("interrupted", 1, 8)
    assert signal.getsignal(signal.SIGINT) is before
    again = FakeNetwork(seed=9)
    fit(again, FakeData(), GradientRule(), epochs=3, folder=tmp_path, **OPTIONS)
    assert bits(again) == bits(whole)


def test_second_ctrl_c_stops_at_once() -> None:
    def interrupt(step: int) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(FakeNetwork(), FakeData(), GradientRule(before=interrupt), epochs=3, **OPTIONS)


def test_time_budget_stops_inside_an_epoch_and_validates(tmp_path: Path) -> None:
    rule = GradientRule(before=lambda step: time.sleep(0.02))
    whole, parts = FakeNetwork(), FakeNetwork()
    fit(whole, FakeData(), GradientRule(), epochs=1, **OPTIONS)
    result = fit(parts, FakeData(), rule, seconds=0.05, folder=tmp_path, **OPTIONS)
    assert result.stopped == "seconds"
    assert 1 <= result.steps < 5
    assert result.history[-1]["kind"] == "validation"
    resumed = fit(parts, FakeData(), rule, epochs=1, folder=tmp_path, **OPTIONS)
    assert resumed.steps == 5
    assert bits(parts) == bits(whole)


def test_patience_stops_when_nothing_gets_better() -> None:
    result = fit(
        FakeNetwork(), FakeData(), GradientRule(learning_rate=0.0), epochs=50, patience=3, **OPTIONS
    )
    assert (result.stopped, result.epochs) == ("patience", 4)
    assert result.best is not None
    assert result.best["epoch"] == 1


@pytest.mark.parametrize("on_disk", [True, False])
def test_keep_best_leaves_the_network_of_the_best_validation(tmp_path: Path, on_disk: bool) -> None:
    network = FakeNetwork()
    seen: list[dict[str, bytes]] = []
    result = fit(
        network,
        FakeData(),
        GradientRule(learning_rate=2.0),
        epochs=6,
        monitor="loss",
        keep="best",
        folder=tmp_path if on_disk else None,
        on_record=lambda r: seen.append(bits(network)) if r["kind"] == "validation" else None,
        **OPTIONS,
    )
    losses = [r["loss"] for r in result.history if r["kind"] == "validation"]
    assert result.best is not None
    assert result.best["loss"] == min(losses) < losses[-1]
    assert bits(network) == seen[losses.index(min(losses))] != seen[-1]


def test_best_and_last_checkpoints_hold_what_their_names_say(tmp_path: Path) -> None:
    network = FakeNetwork()
    rule = GradientRule(learning_rate=2.0)
    result = fit(network, FakeData(), rule, epochs=6, monitor="loss", folder=tmp_path, **OPTIONS)
    best, last = FakeNetwork(seed=3), FakeNetwork(seed=4)
    assert load_weights(best, tmp_path / "best")["status"]["best"] == result.best
    assert load_weights(last, tmp_path / "last")["settings"]["batch_size"] == 5
    assert bits(last) == bits(network) != bits(best)


def test_resume_from_best_repeats_what_came_after_it(tmp_path: Path) -> None:
    rule = GradientRule(learning_rate=2.0)
    first, again = FakeNetwork(), FakeNetwork(seed=1)
    options = {**OPTIONS, "epochs": 6, "monitor": "loss", "folder": tmp_path}
    expected = fit(first, FakeData(), rule, **options)
    result = fit(again, FakeData(), rule, resume="best", **options)
    assert bits(again) == bits(first)
    assert untimed(read_metrics(tmp_path)) == untimed(expected.history) == untimed(result.history)


def test_resume_false_starts_anew_and_leaves_nothing_of_the_old_run(tmp_path: Path) -> None:
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=3, folder=tmp_path, **OPTIONS)
    fit(
        FakeNetwork(),
        replace(FakeData(), validation=None),
        GradientRule(),
        epochs=1,
        folder=tmp_path,
        resume=False,
        **OPTIONS,
    )
    assert [r["kind"] for r in read_metrics(tmp_path)] == ["train"]
    assert not (tmp_path / "best" / "checkpoint.json").exists()


def test_metrics_are_exact_means_over_batches_of_unequal_size() -> None:
    network, data = FakeNetwork(dropout=0.0), FakeData()
    result = fit(network, data, GradientRule(learning_rate=0.0), epochs=1, log_every=1, **OPTIONS)
    batches = [r for r in result.history if r["kind"] == "batch"]
    sizes = [5, 5, 5, 5, 3]
    for name in ("loss", "accuracy"):
        mean = sum(r[name] * n for r, n in zip(batches, sizes, strict=True)) / 23
        assert math.isclose(result.history[5][name], mean, rel_tol=1e-12)
    assert result.history[5]["rates"] == {"0_first": pytest.approx(0.1)}


def test_metrics_file_has_one_json_object_a_line_as_promised(tmp_path: Path) -> None:
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=1, folder=tmp_path, **OPTIONS)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    train, validation = map(json.loads, lines)
    keys = {"kind", "epoch", "step", "loss", "accuracy", "seconds"}
    assert set(train) == keys | {"rates"}
    assert set(validation) == keys
    assert (train["kind"], train["epoch"], train["step"]) == ("train", 1, 5)


def test_nan_loss_stops_with_a_clear_error_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    rule = GradientRule(learning_rate=1e30)
    with pytest.raises(RuleError, match=r"loss must be finite, got .* in epoch 1, batch \d") as e:
        fit(
            FakeNetwork(),
            FakeData(),
            rule,
            epochs=3,
            folder=tmp_path,
            checkpoint_steps=1,
            **OPTIONS,
        )
    assert "last is from before that. Lower the learning rate" in str(e.value)
    network = FakeNetwork()
    load_weights(network, tmp_path / "last")
    assert all(not torch.isnan(p).any() for p in network.parameters())


def test_nan_weight_without_a_loss_is_never_saved(tmp_path: Path) -> None:
    class Poison(HebbianRule):
        def train_batch(self, network: Any, batch: Any, rule_state: Any) -> Any:
            network.weight.fill_(math.nan)
            return {}, rule_state

    with pytest.raises(RuleError, match="NaN in 'weight' after batch 5"):
        fit(HebbianNetwork(), FakeData(), Poison(), epochs=1, folder=tmp_path, **OPTIONS)
    network = HebbianNetwork()
    load_weights(network, tmp_path / "last")
    assert torch.equal(network.weight, HebbianNetwork().weight)


def test_silent_layer_is_warned_of_once_even_across_a_resume(tmp_path: Path) -> None:
    class Quiet(HebbianRule):
        def train_batch(self, network: Any, batch: Any, rule_state: Any) -> Any:
            return {"rates": {"hidden": 0.0, "other": 0.2}}, rule_state

    with pytest.warns(UserWarning, match="layer 'hidden' must spike") as caught:
        result = fit(HebbianNetwork(), FakeData(), Quiet(), epochs=9, folder=tmp_path, **OPTIONS)
    assert len(caught) == len(result.warnings) == 1
    again = fit(HebbianNetwork(), FakeData(), Quiet(), epochs=10, folder=tmp_path, **OPTIONS)
    assert again.warnings == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed must be that of the run in"),
        ({"batch_size": 6}, "batch_size must be that of the run in"),
        ({"precision": "64-true"}, "precision must be that of the run in"),
    ],
)
def test_resuming_another_run_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    options: dict[str, Any] = {**OPTIONS, "epochs": 1, "folder": tmp_path}
    fit(FakeNetwork(), FakeData(), GradientRule(), **options)
    with pytest.raises(CheckpointError, match=message):
        fit(FakeNetwork(), FakeData(), GradientRule(), **{**options, **change})


def test_resuming_with_another_network_names_the_tensors_that_differ(tmp_path: Path) -> None:
    options: dict[str, Any] = {**OPTIONS, "epochs": 1, "folder": tmp_path}
    fit(FakeNetwork(), FakeData(), GradientRule(), **options)
    other = FakeNetwork(hidden=7)
    before = bits(other)
    with pytest.raises(CheckpointError, match=r"'first.weight' is float32 \(6, 4\), the network's"):
        fit(other, FakeData(), GradientRule(), **options)
    assert bits(other) == before
    slower = FakeNetwork()
    slower.dt = 2e-3
    with pytest.raises(CheckpointError, match="dt of the checkpoint must be the network's, 2 ms"):
        fit(slower, FakeData(dt=2e-3), GradientRule(), **options)


def test_resume_true_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="last must hold a checkpoint to resume, got none"):
        fit(
            FakeNetwork(),
            FakeData(),
            GradientRule(),
            epochs=1,
            folder=tmp_path,
            resume=True,
            **OPTIONS,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "got 'epoch'. Did you mean 'epochs'?"),
        ({}, "epochs or seconds must be given, got neither"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 1, "batch_size": 2.5}, "batch_size must be a whole number"),
        ({"seconds": -1.0}, "seconds must be a time in seconds above 0, got -1.0"),
        ({"seconds": math.inf}, "seconds must be a time in seconds above 0, got inf"),
        ({"epochs": 1, "keep": "beast"}, "Did you mean 'best'?"),
        ({"epochs": 1, "precision": "16-mixed"}, "Did you mean 'bf16-mixed'?"),
        ({"epochs": 1, "seed": -1}, "seed must be a whole number"),
        ({"epochs": 1, "tensorboard": True}, "folder must be given with tensorboard=True"),
        ({"epochs": 1, "resume": True}, "folder must be given with resume=True"),
        ({"epochs": 1, "device": "abacus"}, "device must be one that torch has here"),
        ({"epochs": 1, "monitor": "f1"}, "(loss, accuracy), got 'f1'"),
    ],
)
def test_wrong_option_is_refused_with_its_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        fit(FakeNetwork(), FakeData(), GradientRule(), progress=False, **options)
    assert message in str(error.value)


def test_settings_object_and_options_are_joined() -> None:
    settings = FitSettings(epochs=5, batch_size=23, progress=False)
    result = fit(FakeNetwork(), FakeData(), GradientRule(), settings=settings, epochs=2)
    assert result.steps == 2


def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="dt of the data must be the network's, 1 ms, got 2 ms"):
        fit(FakeNetwork(), FakeData(dt=2e-3), GradientRule(), epochs=1, **OPTIONS)
    with pytest.raises(DataError, match="training data must have at least one sample, got 0"):
        fit(FakeNetwork(), FakeData(train=FakeSplit(0, 1)), GradientRule(), epochs=1, **OPTIONS)
    data = FakeData(validation=None)
    with pytest.raises(SettingsError, match="patience must be left out"):
        fit(FakeNetwork(), data, GradientRule(), epochs=1, patience=1, **OPTIONS)


@pytest.mark.parametrize("validation", [None, FakeSplit(0, 1)])
def test_data_without_validation_trains_and_has_no_best(validation: FakeSplit | None) -> None:
    data = FakeData(validation=validation)
    result = fit(FakeNetwork(), data, GradientRule(), epochs=2, **OPTIONS)
    assert [r["kind"] for r in result.history] == ["train", "train"]
    assert result.best is None


def test_network_that_the_rule_does_not_support_is_refused_by_layer() -> None:
    with pytest.raises(RuleError, match="network must suit HebbianRule, got 'network' has no"):
        fit(FakeNetwork(), FakeData(), HebbianRule(), epochs=1, **OPTIONS)


def test_metric_that_is_not_one_number_is_refused() -> None:
    class Vector(HebbianRule):
        def train_batch(self, network: Any, batch: Any, rule_state: Any) -> Any:
            return {"loss": torch.zeros(3)}, rule_state

    with pytest.raises(RuleError, match=r"metric 'loss' must be one number, got a tensor \(3,\)"):
        fit(HebbianNetwork(), FakeData(), Vector(), epochs=1, **OPTIONS)


@pytest.mark.parametrize(
    ("precision", "weights", "inputs"),
    [
        ("64-true", torch.float64, torch.float64),
        ("32-true", torch.float32, torch.float32),
        ("bf16-mixed", torch.float32, torch.bfloat16),
    ],
)
def test_precision_reaches_the_network(
    precision: str, weights: torch.dtype, inputs: torch.dtype
) -> None:
    network = FakeNetwork().double() if precision == "32-true" else FakeNetwork()
    seen: set[torch.dtype] = set()
    network.second.register_forward_hook(lambda module, x, y: seen.add(y.dtype))
    fit(network, FakeData(), GradientRule(), epochs=1, precision=precision, **OPTIONS)
    assert network.first.weight.dtype == weights
    assert seen == {inputs}
