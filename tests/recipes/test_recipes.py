"""Every recipe is whole, and what all share does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.learning.rule import Rule
from spikewright.network import Network
from spikewright.recipes import RECIPES, Figure, recipe
from spikewright.recipes.core.run import build
from spikewright.recipes.core.run import run as run_recipe
from spikewright.settings import Source

OWN_DATA = "folder"
"""A user's own recordings: no figure to meet, and nothing without them; see test_sound.py."""
FROM_DATA = "babi"
"""Its network has an input for each word of the data."""


@pytest.mark.parametrize("name", sorted({*RECIPES.names()} - {OWN_DATA}))
def test_a_recipe_has_all_that_the_verbs_need(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == FROM_DATA:
        monkeypatch.setenv("SPIKEWRIGHT_DATA", str(request.getfixturevalue("shared_data")))
    found = recipe(name)
    assert found.name == name
    assert RECIPES.summary(name)
    assert set(found.sizes) == set(found.seeds) == {"small", "full"}
    assert found.figures
    for size in found.sizes:
        settings = found.settings(size)
        assert isinstance(found.network(settings), Network)
        assert isinstance(found.rule(settings), Rule)
        assert any(size in figure.sizes for figure in found.figures)
    described = type(settings).model_fields.values()
    assert all(field.description for field in described)


def test_the_networks_are_those_of_the_figures() -> None:
    names = (
        "yin-yang",
        "yin-yang-brainscales2",
        "fashion-mnist",
        "sparse-fashion",
        "sparse-nmnist",
    )
    sizes = {name: [layer.out_features for layer in _linear(recipe(name))] for name in names}
    assert sizes["yin-yang"] == sizes["yin-yang-brainscales2"] == [120, 3]
    assert sizes["fashion-mnist"] == [256, 10]
    assert sizes["sparse-fashion"] == sizes["sparse-nmnist"] == [200, 200, 10]


def _linear(found: Any) -> list[Any]:
    layers = found.network(found.settings()).layers.values()
    return [layer for layer in layers if hasattr(layer, "out_features")]


def test_building_twice_gives_the_same_first_weights_and_keeps_the_callers_stream() -> None:
    found = recipe("yin-yang")
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    one, two = (build(found, found.settings()).first_weights for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = found.settings(sources=[Source("test", {"seed": 1})])
    assert not torch.equal(
        build(found, other).first_weights["nodes.0_linear.weight"], one["nodes.0_linear.weight"]
    )


def test_the_first_weights_of_fashion_mnist_aim_at_the_rate_asked_for(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
    found = recipe("fashion-mnist")
    values = {"images": 512, "validation": 100, "rate": 0.2}
    settings = found.settings(sources=[Source("test", values)])
    parts = build(found, settings)
    with torch.no_grad():
        run = parts.network.run(found.first_batch(parts.data, settings))
    assert float(run.records["1_cubalif"]["spikes"].mean()) == pytest.approx(0.2, abs=0.01)


def test_fashion_mnist_learns_from_few_images(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
    found = recipe("fashion-mnist")
    values = {"images": 2000, "epochs": 4, "hidden": 64}
    settings = found.settings(sources=[Source("test", values)])
    outcome = run_recipe(found, settings, tmp_path, progress=False)
    metrics = outcome.metrics()
    assert metrics["test accuracy, %"] > 70
    assert set(metrics) >= {figure.metric for figure in found.figures}
    assert outcome.test.samples == 2000


def test_a_run_leaves_the_number_of_threads_as_it_was(tmp_path: Path) -> None:
    found = recipe("yin-yang")
    settings = found.settings(
        sources=[Source("test", {"epochs": 1, "threads": 2, "hidden": 30, "target": "software"})]
    )
    before = torch.get_num_threads()
    run_recipe(found, settings, tmp_path, progress=False)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("better", "value", "met"),
    [("higher", 97.0, True), ("higher", 96.99, False), ("lower", 97.0, True), ("lower", 98, False)],
)
def test_a_figure_is_met_at_its_reference_and_beyond(better: Any, value: float, met: bool) -> None:
    assert Figure("x", 97.0, "a paper", better).met(value) is met
