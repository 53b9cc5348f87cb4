"""What users hand in as calibration, and what they are told where it does not serve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright.compiler.modules.sample import module_sample
from spikewright.errors import CompileError, ShapeError

X = torch.rand(300, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(300, dtype=torch.int64)


@pytest.mark.parametrize(
    "given",
    [
        DataLoader(TensorDataset(X, LABELS), batch_size=64),
        DataLoader(X, batch_size=64),  # pyright: ignore[reportArgumentType]
        list(X.split(64)),
        [(X[:64], LABELS[:64]), (X[64:320], LABELS[64:320])],
        X.numpy(),
        np.asfortranarray(X.numpy()),
    ],
    ids=["loader", "loader of inputs", "list", "pairs", "array", "other order"],
)
def test_calibration_comes_as_users_have_it(given: Any) -> None:
    found = module_sample(given, 0)
    assert 256 <= len(found) <= 320
    assert torch.equal(found, X[: len(found)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"DataLoader, got NoneType. Pass some .*DataLoader\(dataset, 256\)"),
        ([X[:3], X[:3, :2]], r"batches .* must be tensors of one shape, .* got \(3, 2\)"),
        (["x"], "batches of calibration .* got str. Pass inputs"),
        ([], r"not empty, got \(0,\)"),
        (torch.full((2, 3), torch.nan), "got 6 values that are NaN or infinite. Pass"),
        (X[0], r"\(samples, \*features\), finite and not empty, got \(4,\)"),
    ],
)
def test_calibration_that_does_not_serve_is_refused_with_what_was_wrong(
    given: Any, said: str
) -> None:
    with pytest.raises(CompileError, match=said):
        module_sample(given, 0)


def test_running_what_is_not_a_number_says_so() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    program = sw.compile(module, "fpga", calibration=DataLoader(TensorDataset(X, LABELS), 64))
    with pytest.raises(ShapeError, match=r"got 4 values that are NaN or infinite. Pass"):
        program.run(torch.full((1, 4), torch.nan))
