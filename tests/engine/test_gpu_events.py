"""Products with listed spikes on a GPU, in Triton's interpreter where there is none."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from cases import F32, F64, distance, nan_memory
from engine.gpu_compile import compile_kernel
from spikewright.engine.gpu import linear as gpu_linear
from spikewright.engine.gpu import products as gpu_events
from spikewright.engine.gpu.linear import DeviceCosts, choose
from spikewright.engine.gpu.products import list_events, product
from spikewright.engine.products import linear
from spikewright.engine.products.costs import Path as Wanted
from spikewright.engine.products.linear import Way
from spikewright.errors import BackendError, ShapeError

pytest.importorskip("triton", reason="Triton is not installed")

# (rows, columns, outputs) around blocks of 128 outputs.
SIZES = [(1, 1, 1), (7, 30, 127), (12, 5, 130)]


def draw(size: tuple[int, int, int], density: float, dtype: torch.dtype) -> list[torch.Tensor]:
    """Counts of up to three spikes, weights and the gradient of the product."""
    rows, columns, outputs = size
    random = torch.Generator().manual_seed(0)
    fires = torch.rand(rows, columns, generator=random) < density
    x = fires * torch.randint(1, 4, (rows, columns), generator=random)
    weight = torch.randn(outputs, columns, generator=random, dtype=F64)
    gradient = torch.randn(rows, outputs, generator=random, dtype=F64)
    return [value.to(dtype) for value in (x, weight, gradient)]


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_product_and_gradients_equal_the_dense_ones(
    size: tuple[int, int, int], density: float, dtype: torch.dtype, device: torch.device
) -> None:
    x, weight, gradient = (value.to(device) for value in draw(size, density, dtype))
    bias = gradient[0].clone()
    wanted = [value.requires_grad_() for value in (weight, bias, x)]
    with nan_memory():
        y = product(list_events(x), weight, bias, x)
        found = torch.autograd.grad(y, wanted, gradient)
    s, w, b, g = (v.detach().cpu().double().numpy() for v in (x, weight, bias, gradient))
    expected = [s @ w.T + b, g.T @ s, g.sum(0), g @ w]
    for ours, theirs in zip((y, *found), expected, strict=True):
        limit = 1e-6 if dtype is F32 else 1e-14
        assert distance(ours.detach().cpu(), torch.from_numpy(theirs)) < limit
        assert ours.dtype is dtype


def test_rows_are_added_in_the_order_of_the_list(device: torch.device) -> None:
    x, weight, _ = (value.to(device) for value in draw((6, 40, 9), 0.5, F32))
    y = product(list_events(x), weight).cpu().numpy()
    counts, rows = x.cpu().numpy(), weight.cpu().numpy().T
    for r in range(len(counts)):
        total = np.zeros(9, np.float32)
        for j in np.flatnonzero(counts[r]):
            total += counts[r, j] * rows[j]
        assert np.array_equal(y[r], total)


def test_weights_of_half_precision_are_added_in_float32(device: torch.device) -> None:
    x, weight, _ = (value.to(device) for value in draw((4, 30, 7), 0.7, torch.float16))
    y = product(list_events(x), weight)
    wide = product(list_events(x.float()), weight.float())
    assert y.dtype is torch.float16
    assert torch.equal(y, wide.half())


def test_lists_turned_twice_are_the_same_lists() -> None:
    x = draw((7, 30, 1), 0.3, F32)[0]
    once, direct = list_events(x).transposed(), list_events(x.t())
    for found, expected in ((once, direct), (once.transposed(), list_events(x))):
        assert (found.rows, found.columns) == (expected.rows, expected.columns)
        for name in ("starts", "index", "count"):
            assert torch.equal(getattr(found, name), getattr(expected, name)), name
            assert getattr(found, name).dtype == getattr(expected, name).dtype, name


@pytest.mark.parametrize("backend", ["cuda", "hip"])
def test_kernel_compiles_for_each_device_without_fusing(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel, language = gpu_events.kernel(interpreted=False)
    kinds = dict(
        zip(kernel.arg_names, ["*i64", "*i32", "*u8", *["*fp32"] * 3, "i32"], strict=False)
    )
    made = compile_kernel(kernel, kinds, backend, REAL=language.float32, BLOCK=128)
    assert not re.findall(r"fma|v_mad_f|v_fmac", made.asm["ptx" if backend == "cuda" else "amdgcn"])


def ways(x: torch.Tensor, weight: torch.Tensor) -> list[str]:
    """What is chosen for a sequence, for each path, and why."""
    paths: tuple[Wanted, ...] = ("auto", "events", "dense")
    return [str(Way(*choose(x, weight, path))) for path in paths]


def test_the_choice_is_one_of_shape_and_density(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = torch.ones(10, 20, device=device)
    x = torch.zeros(5, 2, 20, device=device)
    x[1, 1, :2] = 3
    small = "dense (too small to look for events)"
    assert ways(x, weight) == [small, "events (asked for)", "dense (asked for)"]
    monkeypatch.setattr(gpu_linear, "COSTS", DeviceCosts(start=0, read=0, dense=1, add=20))
    assert ways(x, weight)[0] == "events (1.00% of the inputs are events)"
    x[1] = 1
    assert ways(x, weight)[0] == "dense (20.00% of the inputs are events)"


def test_what_cannot_be_visited_by_events_runs_dense_and_says_why(device: torch.device) -> None:
    weight, x = torch.ones(10, 20, device=device), torch.ones(5, 2, 20, device=device)
    graded = "dense (the input is no sequence of spikes)"
    assert [ways(bad * x, weight)[1] for bad in (0.5, -1.0, 256.0, torch.nan)] == [graded] * 4
    for bad in (torch.nan, torch.inf):
        assert ways(x, bad * weight)[1] == "dense (weights are not finite)"
    assert ways(x, weight.double())[1] == f"dense (torch.float32 on {x.device})"
    with torch.autocast(device.type, torch.bfloat16):
        assert ways(x, weight)[1] == "dense (autocast)"


def test_a_product_that_cannot_gain_is_chosen_without_a_look_at_the_input(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(gpu_linear, "survey")
    x, weight = torch.ones(5, 2, 20, device=device), torch.ones(10, 20, device=device)
    assert choose(x, weight, "auto") == (None, "too small to look for events")
    with pytest.raises(NameError):
        choose(x, weight, "events")


def test_a_layer_takes_it_where_its_input_lies_on_a_gpu(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = sw.Linear(30, 7, path="events").to(device)
    x = draw((12, 30, 1), 0.2, F32)[0].view(4, 3, 30).to(device).requires_grad_()
    if device.type == "cpu":
        monkeypatch.setattr(linear, "choose_way", lambda *call: Way(*choose(*call)))
    results = []
    for path in ("events", "dense"):
        layer.path = path
        y, _ = layer(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        assert distance(ours.detach(), theirs.detach()) < 1e-6


def test_tensors_on_a_gpu_are_asked_about_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_linear, "choose", lambda *call: (None, f"asked {call[2]}"))
    x: Any = SimpleNamespace(is_cuda=True)
    assert str(linear.choose_way(x, x, "events")) == "dense (asked events)"


def test_a_second_derivative_is_refused(device: torch.device) -> None:
    x, weight, gradient = (value.to(device) for value in draw((4, 5, 6), 0.5, F32))
    y = product(list_events(x), weight.requires_grad_())
    (first,) = torch.autograd.grad(y, weight, gradient.requires_grad_(), create_graph=True)
    with pytest.raises(BackendError, match="path='dense'"):
        first.sum().backward()


def test_graded_values_and_other_sizes_are_refused() -> None:
    for value in (0.5, -1.0, 256.0):
        with pytest.raises(ShapeError, match="spikes must be whole numbers from 0 to 255"):
            list_events(torch.tensor([[0.0, value]]))
    with pytest.raises(ShapeError, match=r"weight must be \(outputs, 2\), got shape \(2, 3\)"):
        product(list_events(torch.ones(1, 2)), torch.zeros(2, 3))
