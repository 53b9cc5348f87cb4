"""The kernels for a GPU: in Triton's interpreter on the CPU, and on a GPU where there is one."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from cases import CASES, F32, F64, Case, distance, nan_memory, run, walk
from engine.gpu_compile import compiled
from engine.test_trace import elementary, functions, leaky
from spikewright.engine.gpu import backend as gpu
from spikewright.engine.scan import choose_backend, scan
from spikewright.engine.tracing.trace import Slots
from spikewright.errors import BackendError

pytest.importorskip("triton", reason="Triton is not installed")

# (steps, batch, neurons) around blocks of 8 steps and 64 lanes.
SIZES = [(1, 1, 2), (7, 2, 32), (17, 1, 65)]
KERNELS = ("forward", "saving", "backward")
HALF = [torch.bfloat16, torch.float16]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kernels are compiled, and not looked up."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@walk()
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gpu_equals_reference_in_values_and_gradients(
    case: Case, sizes: tuple[int, int, int], device: torch.device
) -> None:
    x = case.input(*sizes).to(device)
    expected = run(case.layer(sizes[2], "reference").to(device), x, case.record)
    with nan_memory():
        found = run(case.layer(sizes[2], "gpu").to(device), x, case.record)
    for name, value in expected.values.items():
        assert case.equal(found.values[name], value), name
        assert found.values[name].dtype == value.dtype, name
    assert set(found.gradients) == set(expected.gradients)
    for name, value in expected.gradients.items():
        assert distance(found.gradients[name], value) <= case.tolerance, name
        assert found.gradients[name].dtype == case.dtype, name


@walk([case for case in CASES if "noise" in case.options or case.synapses == 2][:2])
def test_two_chunks_without_gradients_equal_one_run(case: Case, device: torch.device) -> None:
    layer, x = case.layer(7, "gpu").to(device), case.input(37, 3, 7).to(device)
    with torch.no_grad(), nan_memory():
        torch.manual_seed(5)
        first = layer.initial_state(3)
        whole, end, _ = layer.run(x, first, case.record)
        begun, middle, _ = layer.run(x[:17], first, case.record)
        rest, last, _ = layer.run(x[17:], middle, case.record)
    assert torch.equal(torch.cat([begun, rest]), whole)
    for a, b in zip(leaves(last), leaves(end), strict=True):
        assert torch.equal(a, b)


def test_two_runs_give_the_same_bits(device: torch.device) -> None:
    case = Case(sw.CubaLIF, {}, F32)
    layer, x = case.layer(65, "gpu").to(device), case.input(17, 3, 65).to(device)
    first, second = (run(layer, x, case.record) for _ in range(2))
    for name, value in (first.values | first.gradients).items():
        assert torch.equal((second.values | second.gradients)[name], value), name


@pytest.mark.parametrize("kind", HALF, ids=str)
def test_input_of_half_precision_is_computed_in_float32(
    kind: torch.dtype, device: torch.device
) -> None:
    case = Case(sw.CubaLIF, {}, F32, per_neuron=True)
    layer, x = case.layer(33, "gpu").to(device), case.input(17, 2, 33).to(device, kind)
    found = run(layer, x, case.record)
    layer.backend = "reference"
    expected = run(layer, x.float(), case.record)
    assert 0 < float(expected.values["output"].mean()) < 0.9
    for name, value in expected.values.items():
        assert case.equal(found.values[name], value), name
    gradients = found.gradients
    assert gradients["x"].dtype is kind
    assert distance(gradients["x"], expected.gradients["x"]) < 2 * torch.finfo(kind).eps
    for name in set(gradients) - {"x"}:
        assert distance(gradients[name], expected.gradients[name]) < case.tolerance, name


@pytest.mark.parametrize("kind", HALF, ids=str)
def test_layer_of_half_precision_keeps_its_state_in_float32(
    kind: torch.dtype, device: torch.device
) -> None:
    layer = Case(sw.LIF, {}, F32).layer(9, "gpu").to(device, kind)
    x = Case(sw.LIF, {}, F32).input(21, 2, 9).to(device, kind)
    y, last, traces = layer.run(x, None, ("v",))
    c = layer.bound_coefficients()
    wide = type(c)(*(value.float() for value in c))
    start = type(last)(layer.initial_state(2).v.float())
    (spikes, v), end = scan(
        layer.bound_step(("v",)), x.float(), start, wide, features=(9,), backend="reference"
    )
    assert y.dtype is traces["v"].dtype is kind
    assert torch.equal(y, spikes.to(kind))
    # A device rounds to the nearest; the interpreter cuts off what bfloat16 does not hold.
    torch.testing.assert_close(traces["v"].float(), v, rtol=torch.finfo(kind).eps, atol=1e-7)
    assert last.v.dtype is F32
    assert torch.equal(last.v, end.v)
    begun, middle, _ = layer.run(x[:10])
    rest, later, _ = layer.run(x[10:], middle)
    assert torch.equal(torch.cat([begun, rest]), y)
    assert torch.equal(later.v, last.v)
    traces["v"].float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype is kind for p in layer.parameters())


def test_spikes_of_any_dtype_are_taken_as_they_are(device: torch.device) -> None:
    layer = sw.LIF(v_threshold=0.3, backend="gpu").to(device)
    layer.build((5,), 1e-3)
    spikes = torch.rand(11, 5, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    spikes, c = spikes.transpose(1, 2).to(device), layer.bound_coefficients()
    results = [
        scan(layer.bound_step(), spikes.to(kind), layer.initial_state(4), c, features=(5,),
             backend="gpu")[0]
        for kind in (F32, torch.bool, torch.uint8, torch.int64, torch.float16, F64)
    ]  # fmt: skip
    assert 0 < float(results[0].mean()) < 1
    assert all(torch.equal(y, results[0]) for y in results)


def test_second_derivative_is_refused(device: torch.device) -> None:
    layer = Case(sw.LIF, {}, F32).layer(5, "gpu").to(device)
    x = Case(sw.LIF, {}, F32).input(3, 2, 5).to(device).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    with pytest.raises(BackendError) as caught:
        gradient.sum().backward()
    assert str(caught.value) == (
        "engine.gpu: a fused kernel must be differentiated at most once, got a second derivative. "
        "Run the layer with backend='reference'."
    )


@pytest.mark.parametrize("wanted", ["x", "v", "c"])
def test_each_gradient_alone_equals_the_same_among_all(wanted: str, device: torch.device) -> None:
    random = torch.Generator().manual_seed(0)
    drawn = {"x": (9, 2, 5), "v": (2, 5), "c": (5,)}
    values = {n: torch.rand(shape, generator=random).to(device) for n, shape in drawn.items()}

    def gradients(names: list[str]) -> dict[str, Tensor]:
        own = {n: value.clone().requires_grad_(n in names) for n, value in values.items()}
        y, last = scan(leaky(functions), *own.values(), features=(5,), backend="gpu")
        found = torch.autograd.grad(y.square().sum() + last.sum(), [own[n] for n in names])
        return dict(zip(names, found, strict=True))

    assert torch.equal(gradients([wanted])[wanted], gradients(list(values))[wanted])


def test_parameters_on_another_device_are_refused(device: torch.device) -> None:
    x, v, c = torch.ones(2, 1, 3), torch.zeros(3), torch.tensor(0.5, device="meta")
    with pytest.raises(BackendError, match=r"must be on the input's device, .* some on meta. Move"):
        scan(leaky(functions), x.to(device), v.to(device), c, features=(3,), backend="gpu")


def test_default_device_does_not_enter_the_trace(device: torch.device) -> None:
    def step(x: Tensor, v: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        v = c * v + x * torch.tensor(0.75)
        return v, v

    x, v, c = torch.ones(2, 1, 3), torch.zeros(3), torch.tensor(0.5)
    with torch.device("meta"):
        x, v, c = (value.to(device) for value in (x, v, c))
        y, _ = scan(step, x, v, c, features=(3,), backend="gpu")
    assert y.flatten().tolist() == [0.75] * 3 + [1.125] * 3


def test_on_the_cpu_it_is_refused_without_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError) as caught:
        Case(sw.LIF, {}, F32).layer(5, "gpu")(torch.zeros(3, 2, 5))
    assert str(caught.value) == (
        "engine.scan: backend 'gpu' must be given floating-point tensors on a GPU, with Triton "
        "installed, got tensors on cpu. Move the network and its input there, or use "
        "backend='reference'."
    )


def choice(backend: Any = "auto", dtype: torch.dtype = F32) -> str:
    """What is chosen for a tensor on a GPU, which need not be there."""
    x: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda", 0))
    return str(choose_backend(x, dtype, backend))


def test_auto_takes_it_on_a_gpu_and_says_why_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choice() == "gpu (float32 on the GPU)"
    assert choice("gpu", F64) == "gpu (asked for)"
    assert choice(dtype=torch.bfloat16) == "gpu (bfloat16 on the GPU)"
    assert choice(dtype=torch.complex64) == "reference (gpu cannot run torch.complex64)"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    old = "a device of compute capability (6, 1), older than (7, 0)"
    assert choice() == f"reference (gpu cannot run {old})"
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    missing = "tensors on cuda:0 without Triton (pip install 'spikewright[gpu]')"
    assert choice() == f"reference (gpu cannot run {missing})"
    with pytest.raises(BackendError, match=re.escape(f"got {missing}.")):
        choice("gpu")


LEAF = torch.utils._pytree.tree_structure(0)
SLOTS = Slots(((),), ((),), ((),), (True,), (LEAF, LEAF, LEAF), F32)


@pytest.mark.usefixtures("compiler")
def test_compiled_arithmetic_is_neither_fused_nor_approximate_and_offsets_are_long() -> None:
    for kernel in compiled(leaky(functions), SLOTS, "cuda", torch.bfloat16, KERNELS):
        code = kernel.asm["ptx"]
        assert "mul.f32" in code or "mul.rn.f32" in code
        assert not re.findall(r"fma\.|mad\.f|div\.full|approx|\.ftz", code)
        steps = kernel.asm["ttir"]
        assert len(re.findall(r"tt\.addptr .*i64", steps)) > 8
        assert not re.findall(r"tt\.addptr .*i32>?$|arith\.muli .*i32", steps, re.MULTILINE)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("backend", ["cuda", "hip"])
def test_elementary_functions_are_in_the_library_of_each_device(backend: str) -> None:
    (kernel,) = compiled(leaky(elementary), SLOTS, backend, F32, ("forward",))
    assert kernel.asm["cubin" if backend == "cuda" else "hsaco"]


def leaves(state: Any) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(state)
