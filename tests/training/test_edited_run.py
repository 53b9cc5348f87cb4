"""A script that was edited between a run and its resumption, and signals as targets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.engine.products.costs import SHIPPED
from spikewright.errors import CheckpointError
from spikewright.learning import Batch, Surrogate
from spikewright.learning.losses import MembraneMSE, VanRossum
from spikewright.training import batches as shared
from spikewright.training import evaluate, fit, load_checkpoint, load_weights
from spikewright.training.batches import draw_batch
from spikewright.training.fabric import Place
from training.fakes import FakeData, FakeNetwork, FakeSplit, GradientRule

OPTIONS: dict[str, Any] = {"batch_size": 8, "progress": False}


def network(dropout: float = 0.1, recurrent: dict[str, Any] | None = None, **neuron: Any) -> Any:
    torch.manual_seed(0)
    given = {"tau_mem": 7e-3, "v_threshold": 0.2, "backend": "reference", **neuron}
    again = sw.Recurrent(sw.LIF(**{"tau_mem": 9e-3, **(recurrent or {})}))
    layers = [sw.Linear(4, 6), sw.BatchNorm(), sw.CubaLIF(**given), sw.Dropout(dropout)]
    net = sw.Sequential(*layers, sw.Linear(6, 5), again, sw.Linear(5, 2), sw.LI(), dt=1e-3)
    net.build((4,))
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    fit(network(), FakeData(), Surrogate(), folder=folder, epochs=1, **OPTIONS)
    return folder


@pytest.mark.parametrize(
    ("edited", "name"),
    [
        ({"tau_mem": 8e-3}, "tau_mem of layer '2_cubalif'"),
        ({"v_threshold": sw.learnable(0.2)}, "v_threshold of layer '2_cubalif'"),
        ({"order": "euler"}, "options_of_step of layer '2_cubalif'"),
        ({"firing": sw.Firing(reset="subtract")}, "firing of layer '2_cubalif'"),
        ({"surrogate": sw.surrogate.Gaussian()}, "surrogate of layer '2_cubalif'"),
        ({"noise": 0.5}, "noise of layer '2_cubalif'"),
        ({"refractory": 2e-3}, "refractory of layer '2_cubalif'"),
        ({"recurrent": {"tau_mem": 8e-3}}, "neuron.tau_mem of layer '5_recurrent'"),
        ({"dropout": 0.2}, "options of layer '3_dropout'"),
    ],
)
def test_resuming_with_an_edited_layer_is_refused(
    folder: Path, edited: dict[str, Any], name: str
) -> None:
    rule, options = Surrogate(), {"folder": folder, "epochs": 2, **OPTIONS}
    with pytest.raises(CheckpointError, match=rf"{name} must be what was saved.*resume=False"):
        fit(network(**edited), FakeData(), rule, **options)


def test_an_edited_value_of_many_neurons_is_told_by_its_digest(tmp_path: Path) -> None:
    def make(last: float) -> sw.Sequential:
        taus = torch.tensor([5e-3] * 9 + [last])
        return sw.Sequential(sw.Linear(4, 10), sw.LIF(tau_mem=taus), sw.Linear(10, 2), dt=1e-3)

    for last in (5e-3, 6e-3):
        net = make(last)
        net.build((4,))
        if last == 5e-3:
            fit(net, FakeData(), Surrogate(), folder=tmp_path, epochs=1, **OPTIONS)
            continue
        with pytest.raises(CheckpointError, match=r"tau_mem .* \(10,\) values, sha256"):
            fit(net, FakeData(), Surrogate(), folder=tmp_path, epochs=2, **OPTIONS)


def test_another_rule_setting_is_refused_and_an_address_in_memory_is_not(tmp_path: Path) -> None:
    @dataclass
    class Named(GradientRule):
        hook: Callable[[], None] = field(default=lambda: None)

    def go(epochs: int, **settings: Any) -> Any:
        rule = Named(hook=lambda: None, **settings)
        return fit(FakeNetwork(), FakeData(), rule, folder=tmp_path, epochs=epochs, **OPTIONS)

    go(1)
    go(2)
    with pytest.raises(CheckpointError, match=r"rule_settings.*0\.05.*0\.5.*resume=False"):
        go(3, learning_rate=0.5)


def test_the_unedited_script_resumes_though_running_statistics_have_changed(
    tmp_path: Path,
) -> None:
    for epochs in (1, 2):
        result = fit(network(), FakeData(), Surrogate(), folder=tmp_path, epochs=epochs, **OPTIONS)
    assert {record["epoch"] for record in result.history} == {1, 2}
    saved = load_checkpoint(tmp_path / "last").network
    assert float(saved["nodes.1_batchnorm.running_mean"].abs().sum()) > 0


def test_loading_weights_refuses_another_time_constant_but_not_another_surrogate(
    folder: Path,
) -> None:
    load_weights(network(surrogate=sw.surrogate.Gaussian()), folder / "last")
    net = network(tau_mem=8e-3)
    with pytest.raises(CheckpointError, match="tau_mem of layer '2_cubalif' must be what was"):
        load_weights(net, folder / "last")
    assert float(net.layers["2_cubalif"].parameter_set.tau_mem) == pytest.approx(8e-3)


class Signals(FakeSplit):
    """The busier inputs' spikes are the output wanted."""

    steps = 5

    def batch(
        self, index: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x, _ = super().batch(index, generator)
        return x, x[:, :, :2].clone()


@pytest.mark.parametrize("loss", [MembraneMSE(), VanRossum(tau=5e-3, dt=1e-3)])
def test_fit_and_evaluate_take_signals_as_targets(loss: Any) -> None:
    torch.manual_seed(0)
    last = sw.LI if isinstance(loss, MembraneMSE) else sw.LIF
    net = sw.Sequential(sw.Linear(4, 2), last(tau_mem=2e-3, backend="reference"), dt=1e-3)
    net.build((4,))
    data, rule = FakeData(train=Signals(23, 1), validation=Signals(9, 2)), Surrogate(loss=loss)
    result = fit(net, data, rule, epochs=1, log_every=1, **OPTIONS)
    losses = [r["loss"] for r in result.history if r["kind"] == "batch"]
    train = next(r for r in result.history if r["kind"] == "train")
    assert train["loss"] == pytest.approx((8 * losses[0] + 8 * losses[1] + 7 * losses[2]) / 23)
    assert "accuracy" not in train
    measured = evaluate(net, data.validation, rule)
    assert measured.confusion is None
    assert measured.metrics["loss"] > 0


@pytest.mark.parametrize("samples", [4, 5])
def test_processes_share_signals_along_the_batch(
    monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    split, index, place = Signals(9, 1), torch.arange(samples), Place(FakeNetwork())
    whole = draw_batch(split, index, (0, 0, 0), place)
    parts: list[Batch] = []
    monkeypatch.setattr(shared.processes, "world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(shared.processes, "rank", lambda rank=rank: rank)
        part = draw_batch(split, index, (0, 0, 0), place)
        assert part is not None
        parts.append(part)
    assert whole is not None
    assert torch.equal(torch.cat([part.y for part in parts], 1), whole.y)
    assert all(torch.equal(part.y, part.x[:, :, :2]) for part in parts)


def test_resuming_with_another_table_of_costs_is_refused(folder: Path, tmp_path: Path) -> None:
    rows = [{"case": name, "ours": 1.0} for name in asdict(SHIPPED)]
    table = tmp_path / "costs.json"
    table.write_text(json.dumps({"bench": "fit-costs", "rows": rows}))
    options = {"folder": folder, "epochs": 2, "costs": table, **OPTIONS}
    with pytest.raises(CheckpointError, match="fit: costs must be that of the run"):
        fit(network(), FakeData(), Surrogate(), **options)
