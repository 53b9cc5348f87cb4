"""How much memory training takes is a setting: what acts, what is recorded, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.errors import CheckpointError, SettingsError
from spikewright.learning import Surrogate
from spikewright.training import fit, load_checkpoint
from training import real
from training.fakes import FakeData, FakeNetwork, GradientRule

MODES: dict[str, dict[str, Any]] = {
    "as the rule": {},
    "full": {"memory": "full"},
    "checkpoint": {"memory": "checkpoint"},
    "truncated": {"truncate": 2},
    "checkpoint and truncated": {"memory": "checkpoint", "truncate": 2},
    "not truncated": {"truncate": 0},
}


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    """What two epochs in each mode make of the same network, in double precision."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, options in MODES.items():
        net = real.network(chance=False).double()
        real.train(net, epochs=2, precision="64-true", **options)
        found[name] = {key: value.clone() for key, value in net.state_dict().items()}
    return found


@pytest.mark.parametrize("name", ["full", "not truncated"])
def test_settings_that_say_what_the_rule_says_change_no_bit(weights: Any, name: str) -> None:
    for key, value in weights["as the rule"].items():
        assert torch.equal(weights[name][key], value)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("checkpoint", "full"), ("checkpoint and truncated", "truncated")],
)
def test_segments_that_run_again_train_the_same_network(
    weights: Any, ours: str, theirs: str
) -> None:
    for key, value in weights[theirs].items():
        torch.testing.assert_close(weights[ours][key], value, rtol=1e-9, atol=1e-11)


def test_truncation_trains_another_network(weights: Any) -> None:
    pairs = [(weights["truncated"][key], value) for key, value in weights["full"].items()]
    assert not all(torch.allclose(a, b, rtol=1e-6) for a, b in pairs)


def test_both_are_in_the_checkpoint_and_a_run_goes_on_with_its_own_only(tmp_path: Path) -> None:
    options = {"folder": tmp_path, "memory": "checkpoint", "truncate": 2}
    real.train(real.network(chance=False), epochs=1, **options)
    recorded = load_checkpoint(tmp_path / "last").meta["run"]["rule_settings"]
    assert "memory='checkpoint', truncate=2" in recorded
    with pytest.raises(CheckpointError, match="fit: rule_settings must be that of the run"):
        real.train(real.network(chance=False), epochs=2, **(options | {"truncate": 3}))


def test_wrong_values_are_refused_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match="memory must be one of full, checkpoint, got 'half'"):
        fit(FakeNetwork(), FakeData(), Surrogate(), epochs=1, memory="half")
    with pytest.raises(SettingsError, match="truncate must be a whole number of at least 1"):
        fit(FakeNetwork(), FakeData(), Surrogate(), epochs=1, truncate=-1)


def test_a_rule_that_does_not_know_them_is_named() -> None:
    with pytest.raises(SettingsError, match="memory must be left out with GradientRule"):
        fit(FakeNetwork(), FakeData(), GradientRule(), epochs=1, memory="checkpoint")
