"""The recipes on spoken words: equal sizes, equal pieces, and what they report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.recipes import recipe
from spikewright.recipes.core.run import run as run_recipe
from spikewright.recipes.core.trials import ACCURACY
from spikewright.recipes.core.words import compared
from spikewright.recipes.keywords import DIFFER, averaged, streamed_differences
from spikewright.settings import Source


def settings_of(name: str, size: str = "small", **values: Any) -> Any:
    return recipe(name).settings(size, [Source("test", values)])


@pytest.mark.parametrize("size", ["small", "full"])
@pytest.mark.parametrize("name", ["keywords", "spoken-digits"])
def test_all_models_have_about_as_many_parameters(name: str, size: str) -> None:
    counts = [
        sum(p.numel() for p in recipe(name).network(settings_of(name, size, model=m)).parameters())
        for m in ("wavesense", "lstm", "cnn")
    ]
    assert max(counts) < 1.05 * min(counts)


def test_models_are_compared_point_by_point() -> None:
    done = {"WaveSense": {ACCURACY: 96.0, "x": 1.0}, "LSTM": {ACCURACY: 95.0, "x": 2.0}}
    assert compared(done) == {
        ACCURACY: 96.0,
        "x": 1.0,
        f"LSTM: {ACCURACY}": 95.0,
        "LSTM: x": 2.0,
        "test accuracy, WaveSense minus LSTM, points": 1.0,
    }


def test_folds_are_averaged_and_their_differences_added_up() -> None:
    folds = [{ACCURACY: 90.0, DIFFER: 0.0}, {ACCURACY: 100.0, DIFFER: 2.0}]
    assert averaged(folds) == {ACCURACY: 95.0, DIFFER: 2.0}


def test_outputs_that_depend_on_the_pieces_are_counted() -> None:
    class Forgetful(torch.nn.Module):
        def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, None]:
            return x.cumsum(0), None

    assert streamed_differences(Forgetful(), torch.ones(9, 2, 3)) == 2 * 2 * 3  # type: ignore[arg-type]


def test_a_fold_of_the_keywords_is_learned_and_streams_alike(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
    settings = settings_of("keywords", epochs=2, copies=1, channels=8, dilations=(2, 8))
    outcome = run_recipe(recipe("keywords"), settings, tmp_path, progress=False)
    assert recipe("keywords").explore(outcome)[DIFFER] == 0
    assert 0 <= outcome.metrics()[ACCURACY] <= 100
    assert len(outcome.parts.data.train) == 144
    assert len(outcome.parts.data.test) == 36
