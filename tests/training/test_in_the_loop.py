"""Training and measuring with a device in the forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from engine.devices import Itself, Scripted
from spikewright.engine.forward import Observation, forward_by
from spikewright.errors import CheckpointError, DeviceError, SettingsError
from spikewright.learning import Batch, Surrogate, processes
from spikewright.training import FitResult, evaluate, fit
from training.fakes import FakeData, FakeNetwork, GradientRule

BATCHES, VALIDATIONS = 6, 1


def network(seed: int = 0, noise: float = 0.0, dropout: float = 0.2) -> sw.Network:
    torch.manual_seed(seed)
    first = sw.LIF(tau_mem=3e-3, v_threshold=0.1, noise=noise, backend="reference")
    layers = [sw.Linear(4, 8), first, sw.Dropout(dropout), sw.Linear(8, 2)]
    return sw.Sequential(*layers, sw.LI(backend="reference"), dt=1e-3)


@dataclass
class Mortal(Itself):
    """A device equal to the model that dies at one of its batches, and may come back."""

    dies_at: int | None = field(default=None, repr=False)

    def observe(self, network: sw.Network, x: Tensor) -> Mapping[str, Observation]:
        if self.calls == self.dies_at:
            raise DeviceError("device: the chip must answer, got silence. Look at the cable.")
        torch.rand(3)  # a device draws from the process's streams as it likes
        return super().observe(network, x)


class Restless(Surrogate):
    """Runs each batch twice and has changed weights and its own state in between."""

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> Any:
        return {"count": torch.zeros(()), "inner": super().init(network)}

    def train_batch(self, network: Any, batch: Batch, rule_state: Any) -> Any:
        for _ in range(2):
            rule_state["count"] += 1
            metrics, inner = super().train_batch(network, batch, rule_state["inner"])
            rule_state["inner"] = inner
        return metrics, dict(rule_state)


def train(net: sw.Network, program: Any = None, rule: Any = None, **options: Any) -> FitResult:
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 4, "progress": False, **options}
    return fit(net, FakeData(), rule or Surrogate(learning_rate=1e-2), forward=program, **settings)


def records(result: FitResult) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in result.history]


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_device_equal_to_the_model_trains_the_same_network() -> None:
    soft, hard, fresh = (network(dropout=0.0).double() for _ in range(3))
    train(soft, precision="64-true")
    train(hard, Itself(), precision="64-true")
    weights, before = dict(hard.named_parameters()), dict(fresh.named_parameters())
    for name, value in soft.named_parameters():
        assert not torch.equal(before[name], value), name
        assert torch.allclose(weights[name], value, rtol=1e-9), name


def test_every_batch_is_run_by_the_device_once_in_training_and_validation() -> None:
    device = Itself()
    result = train(network(), device)
    assert result.steps == 3 * BATCHES
    assert device.calls == 3 * (BATCHES + VALIDATIONS)


def test_without_a_program_nothing_is_run_by_a_device() -> None:
    device, plain, inside = Itself(), network(), network()
    train(plain)
    with forward_by(device):
        train(inside)
        evaluate(inside, FakeData().test, Surrogate())
    assert device.calls == 0
    assert_same(inside, plain)


def right_answers(network: sw.Network, x: Tensor) -> dict[str, Observation]:
    """A readout that knows the classes by the rates of the input."""
    output = x[..., :2].mean(0, keepdim=True).expand(len(x), -1, -1)
    return {"4_li": Observation(output=output)}


def test_evaluation_measures_what_the_device_gives() -> None:
    net, split = network(), FakeData().test
    software = evaluate(net, split, Surrogate())
    device = evaluate(net, split, Surrogate(), forward=Scripted(right_answers))
    assert device.metrics["accuracy"] > 0.85
    assert software.metrics["accuracy"] < 0.8
    assert device.metrics["loss"] != software.metrics["loss"]


# -- a device that dies ----------------------------------------------------------------------------


@pytest.mark.parametrize("dies_at", [0, 3, BATCHES, BATCHES + VALIDATIONS + 1])
def test_a_run_resumed_after_a_death_equals_an_uninterrupted_one(
    tmp_path: Path, dies_at: int
) -> None:
    """In the first batch, inside an epoch, in its validation, and in the next epoch."""
    whole = network(noise=0.1)
    expected = train(whole, Mortal(), folder=tmp_path / "whole")
    with pytest.raises(DeviceError, match="got silence"):
        train(network(noise=0.1), Mortal(dies_at=dies_at), folder=tmp_path / "cut")
    resumed = network(seed=1, noise=0.1)
    result = train(resumed, Mortal(), folder=tmp_path / "cut")
    assert_same(resumed, whole)
    assert records(result) == records(expected)


def test_what_a_rule_had_changed_when_the_device_died_is_put_back(tmp_path: Path) -> None:
    whole, resumed = network(), network()
    expected = train(whole, Mortal(), Restless(), folder=tmp_path / "whole")
    with pytest.raises(DeviceError):
        train(network(), Mortal(dies_at=5), Restless(), folder=tmp_path / "cut")
    result = train(resumed, Mortal(), Restless(), folder=tmp_path / "cut")
    assert_same(resumed, whole)
    assert float(result.rule_state["count"]) == float(expected.rule_state["count"]) == 36


def test_the_error_says_that_nothing_is_lost_and_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        train(network(), Mortal(dies_at=9), folder=tmp_path)
    assert str(caught.value) == (
        "device: the chip must answer, got silence. Look at the cable. Nothing is lost: run the "
        f"same command when the device is back; it resumes from {tmp_path / 'last'}, after 8 "
        "batches."
    )
    with pytest.raises(DeviceError, match="run the same command, with resume='auto', when the"):
        train(network(), Mortal(dies_at=2), folder=tmp_path, resume=False)


def test_without_a_folder_the_network_is_as_before_the_batch_and_the_error_says_so() -> None:
    net, before = network(), network()
    train(before, Mortal(), epochs=1)
    with pytest.raises(DeviceError, match=r"nothing was saved. Give fit a folder"):
        train(net, Mortal(dies_at=BATCHES + VALIDATIONS), Surrogate(learning_rate=1e-2))
    assert_same(net, before)


# -- what is refused -------------------------------------------------------------------------------


@dataclass
class Other(Itself):
    """Another kind of device."""

    kind = "another chip"


def test_a_run_is_not_resumed_with_another_kind_of_program(tmp_path: Path) -> None:
    train(network(), Itself(), folder=tmp_path, epochs=1)
    for other, got in ((None, "None"), (Other(), "another chip")):
        with pytest.raises(CheckpointError, match=rf"forward must be that of the run.*got .?{got}"):
            train(network(), other, folder=tmp_path, epochs=2)
    assert train(network(), Itself(), folder=tmp_path, epochs=2).epochs == 2


def test_a_run_in_software_is_not_resumed_with_a_program(tmp_path: Path) -> None:
    train(network(), folder=tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="forward must be that of the run in"):
        train(network(), Itself(), folder=tmp_path, epochs=2)


def test_what_is_no_program_or_no_network_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"forward must be a program .* got str, which has no"):
        train(network(), "brainscales2")
    with pytest.raises(SettingsError, match="got it for a FakeNetwork, which is no"):
        fit(FakeNetwork(), FakeData(), GradientRule(), forward=Itself(), epochs=1)
    with pytest.raises(SettingsError, match="evaluate: forward must be a program"):
        evaluate(network(), FakeData().test, Surrogate(), forward=object())  # type: ignore[arg-type]


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    with pytest.raises(SettingsError, match="got it in 2 processes, which would share one device"):
        train(network(), Itself())
