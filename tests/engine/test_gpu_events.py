"""Products with listed spikes on a GPU, in Triton's interpreter where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from cases import F32, F64, distance, nan_memory
from engine.gpu_compile import compile_kernel
from spikewright.engine.gpu import products as gpu_events
from spikewright.engine.gpu.products import list_events, product
from spikewright.errors import ShapeError

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
def test_product_and_gradient_of_weights_equal_the_dense_ones(
    size: tuple[int, int, int], density: float, dtype: torch.dtype, device: torch.device
) -> None:
    x, weight, gradient = (value.to(device) for value in draw(size, density, dtype))
    weight.requires_grad_()
    with nan_memory():
        y = product(list_events(x), weight)
        (found,) = torch.autograd.grad(y, weight, gradient)
    wide = [value.detach().cpu().double().numpy() for value in (x, weight, gradient)]
    limit = 1e-6 if dtype is F32 else 1e-14
    assert distance(y.detach().cpu(), torch.from_numpy(wide[0] @ wide[1].T)) < limit
    assert distance(found.cpu(), torch.from_numpy(wide[2].T @ wide[0])) < limit
    assert y.dtype is found.dtype is dtype


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
        zip(kernel.arg_names, ["*i64", "*i32", "*u8", "*fp32", "*fp32", "i32"], strict=False)
    )
    made = compile_kernel(kernel, kinds, backend, REAL=language.float32, BLOCK=128)
    assert not re.findall(r"fma|v_mad_f|v_fmac", made.asm["ptx" if backend == "cuda" else "amdgcn"])


def test_graded_values_and_other_sizes_are_refused() -> None:
    for value in (0.5, -1.0, 256.0):
        with pytest.raises(ShapeError, match="spikes must be whole numbers from 0 to 255"):
            list_events(torch.tensor([[0.0, value]]))
    with pytest.raises(ShapeError, match=r"weight must be \(outputs, 2\), got shape \(2, 3\)"):
        product(list_events(torch.ones(1, 2)), torch.zeros(2, 3))
