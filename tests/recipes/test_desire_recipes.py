"""The recipes of desire backpropagation: what they take from the sheet, and that each trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.learning import Batch
from spikewright.learning.desire.chain import chain_of
from spikewright.recipes import recipe
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import Parts, build, run
from spikewright.settings import Source

NAMES = ("desire-mnist", "desire-fashion")
TINY = {"images": 40, "validation": 10, "hidden": [20, 10], "epochs": 1, "batch_size": 20}


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


def parts_of(name: str, size: str = "small", **changed: Any) -> Parts:
    found = recipe(name)
    return build(found, found.settings(size, [Source("test", changed)]))


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
@pytest.mark.parametrize("name", NAMES)
def test_measure_trains_and_gives_every_figure(name: str, tmp_path: Path) -> None:
    found = recipe(name)
    settings = found.settings(sources=[Source("test", TINY)])
    values = found.measure(settings, tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures} <= set(values)
    assert all(torch.tensor(value).isfinite() for value in values.values())


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
def test_a_report_shows_the_run(tmp_path: Path) -> None:
    found = recipe("desire-mnist")
    settings = found.settings(sources=[Source("test", TINY)])
    data = make_report(run(found, settings, tmp_path, resume=False, progress=False)).data
    assert data.subtitle == (
        "Input 784 → IF(784) → Linear → LIF(20) → Dropout → Linear → LIF(10) → Dropout → Linear "
        "→ LIF(10)"
    )
    assert set(data.weights) == {"1_linear", "4_linear", "7_linear"}


@pytest.mark.parametrize(
    ("name", "sizes", "dropout", "epochs"),
    [
        ("desire-mnist", [(1600, 784), (800, 1600), (10, 800)], [0, 0.3, 0.3], 150),
        ("desire-fashion", [(1000, 784), (100, 1000), (10, 100)], [0.05, 0.4, 0.4], 600),
    ],
)
def test_the_full_networks_are_those_of_the_sheet(
    name: str, sizes: Any, dropout: Any, epochs: int
) -> None:
    parts = parts_of(name, "full")
    chain, rule = chain_of(parts.network), parts.rule
    assert isinstance(rule, sw.learning.Desire)
    assert chain.encoder is not None
    assert chain.encoder[1] == (1, 1, 1, 1)
    assert [tuple(stage.weight.shape) for stage in chain.stages] == sizes
    assert [stage.dropout for stage in chain.stages] == dropout
    assert all(stage.cells == (0.75, 1, 1, 1) for stage in chain.stages)
    for stage, (_, inputs) in zip(chain.stages, sizes, strict=True):
        assert float(stage.weight.detach().std()) == pytest.approx((2 / inputs) ** 0.5, rel=0.1)
    assert (rule.margin, rule.output_gate, rule.hidden_gate) == (4, 0.3, 0.05)
    assert rule.learning_rate == 1e-5
    assert rule.rate(55000) == pytest.approx(1e-5 * 0.960789, rel=1e-5)
    assert parts.settings.epochs == epochs


@pytest.mark.slow
def test_ten_thousand_images_teach_nine_of_ten_in_few_epochs() -> None:
    parts = parts_of("desire-mnist", hidden=[200, 100], learning_rate=5e-5, dropout=0.0)
    torch.manual_seed(0)
    rule, train = parts.rule, parts.data.train
    state = rule.init(parts.network)
    for index in [part for _ in range(3) for part in torch.randperm(10000).split(32)]:
        batch = Batch(*train.batch(index))
        _, state = rule.train_batch(parts.network, batch, state)
    test = Batch(*parts.data.validation.batch(range(5000)))
    assert float(rule.evaluate(parts.network, test, state)["unique"]) > 0.9
