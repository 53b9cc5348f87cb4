"""Sparse backward passes side by side: the same network in all, and honest rows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from spikewright.benches import sparse
from spikewright.benches.core.shd import (
    DECAY,
    INDEXED,
    UNBOUND,
    Model,
    first_weights,
    shd_input,
    shd_task,
)

TASK = shd_task(40, 3, (70, 36, 33, 5))
WINDOW = "0.2"
WAYS = (sparse.FULL, sparse.DENSE, WINDOW, UNBOUND, INDEXED)


def gradients(model: Model, part: str) -> list[torch.Tensor]:
    x = shd_input(TASK)
    if part == "layer 2":
        leaf = model.first(x)
        y, wanted = model.second(leaf), [leaf, model.weights[1]]
    else:
        y, wanted = model.whole(x), model.weights
    return [y, *torch.autograd.grad(y, wanted, torch.ones_like(y))]


@pytest.mark.parametrize("part", ["layer 2", "network"])
@pytest.mark.parametrize("way", [sparse.FULL, sparse.DENSE, INDEXED])
def test_every_way_gives_the_values_and_gradients_of_the_loop(way: str, part: str) -> None:
    expected = gradients(sparse.make_model(TASK, UNBOUND), part)
    for got, wanted in zip(gradients(sparse.make_model(TASK, way), part), expected, strict=True):
        assert (got - wanted).norm() <= 1e-4 * wanted.norm()


def test_the_window_leaves_the_gradient_of_the_truncated_surrogate() -> None:
    """Against the sum over active places, in float64, with the spikes replayed."""
    model: Any = sparse.make_model(TASK, WINDOW)
    leaf = model.first(shd_input(TASK))
    y = model.second(leaf)
    (got,) = torch.autograd.grad(y, model.weights[1], torch.ones_like(y))
    s, w = leaf.detach().double(), first_weights(TASK)[1].double()
    v = trace = torch.zeros(())
    expected = torch.zeros_like(w)
    for row, spikes in zip(s, y.detach().double(), strict=True):
        trace = DECAY * trace + row
        v = DECAY * v + row @ w.T
        slope = ((v - 1).abs() < float(WINDOW)) / (100 * (v - 1).abs() + 1) ** 2
        expected += slope.T @ trace
        v = v - spikes
    assert (got.double() - expected).norm() <= 1e-4 * expected.norm()


def test_facts_are_rates_and_with_a_window_active_shares() -> None:
    x = shd_input(TASK)
    rates = sparse.make_model(TASK, UNBOUND).facts(x)
    windowed = sparse.make_model(TASK, WINDOW).facts(x)
    assert windowed[:2] == pytest.approx(rates)
    assert len(windowed) == 4
    assert 0 < windowed[2] < 0.1


def test_first_weights_make_as_many_neurons_active_as_in_the_paper() -> None:
    task = shd_task(200, 8)
    active = sparse.make_model(task, WINDOW).facts(shd_input(task))[2:]
    assert active == [pytest.approx(0.017, rel=0.2), pytest.approx(0.011, rel=0.5)]


@pytest.mark.parametrize("case", sparse.CASES)
@pytest.mark.parametrize("way", WAYS)
def test_each_pass_runs_again_and_again(case: tuple[str, str], way: str) -> None:
    work = sparse.prepare(TASK, "/".join((*case, way)))
    for _ in range(2):
        work.run()
    assert all(0.0 < rate <= 1.0 for rate in work.rates())


def test_rows_set_each_window_beside_all_that_has_none() -> None:
    found = sparse.entries("layer 2", "backward", windows=(0.2, 0.1))
    for number, entry in enumerate(found, 1):
        entry.samples, entry.rates = [float(number)] * 3, [0.01, 0.02]
    for entry in found[:2]:
        entry.rates += [0.03, 0.04]
    rows = list(sparse.to_rows("layer 2", "backward", found, TASK))
    assert [row.ratio for row in rows] == [3.0, 4.0, 5.0, 6.0, 1.5, 2.0, 2.5, 3.0]
    assert rows[0].case == (
        "backward of layer 2, 70-36-33-5, T=40 B=3, window 0.2; active 3 and 4 %"
    )
    assert [row.kind for row in rows[:4]] == ["own", "own", "by hand", "by hand"]
    assert all(math.isfinite(row.ratio or 0.0) for row in rows)


def test_what_fails_stays_in_the_table_with_its_reason() -> None:
    found = sparse.entries("layer 2", "backward", windows=(0.2,))
    for entry in found[1:]:
        entry.samples = [2.0]
    found[0].reason = "failed: it died"
    rows = list(sparse.to_rows("layer 2", "backward", found, TASK))
    assert [row.ours for row in rows] == [None] * 4
    assert all(row.note.startswith("failed: it died") for row in rows)
