"""Recurrent layers in one launch, in Triton's interpreter and on a GPU where there is one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from cases import F32, F64, Case, Result, distance, nan_memory, walk
from engine.gpu_compile import compiled
from engine.test_gpu import HALF, SLOTS
from engine.test_recurrent_kernel import DELAYS, PLAIN, WINDOWED, check, recurrent, run, synapses
from engine.test_trace import functions, leaky
from spikewright.engine.gpu import recurrent as gpu
from spikewright.engine.layer import Layer
from spikewright.engine.reference import Feedback
from spikewright.engine.scan import choose_recurrent_backend, scan_feedback
from spikewright.engine.wiring import Wiring
from spikewright.errors import BackendError, ShapeError
from spikewright.neurons import LIF

pytest.importorskip("triton", reason="Triton is not installed")

DRIVE = 2
"""So that some neurons have fired twice when a few steps are over."""
Connection = Callable[[], Layer]


def found_on(
    device: torch.device, case: Case, x: Tensor, connection: Connection | None = None
) -> Result:
    """What the kernels give, on the CPU."""
    layer = recurrent(case, x.shape[2] // case.synapses, "gpu", connection and connection())
    with nan_memory():
        found = run(layer.to(device), x.to(device), case.record)
    cpu = [{name: v.cpu() for name, v in part.items()} for part in (found.values, found.gradients)]
    return Result(*cpu)


def expected_of(case: Case, x: Tensor, connection: Connection | None = None) -> Result:
    layer = recurrent(case, x.shape[2] // case.synapses, "reference", connection and connection())
    return run(layer, x, case.record)


def compare(
    device: torch.device,
    case: Case,
    sizes: tuple[int, int, int],
    connection: Connection | None = None,
) -> Result:
    x = DRIVE * case.input(*sizes)
    found = found_on(device, case, x, connection)
    check(found, expected_of(case, x, connection), case)
    return found


@walk()
def test_every_neuron_equals_the_reference_in_values_and_gradients(
    case: Case, device: torch.device
) -> None:
    found = compare(device, case, (10, 2, 4))
    assert bool(found.gradients["connection.weight"].any())
    assert bool(found.gradients["connection.bias"].any())


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 5, 7), (9, 1, 2), (3, 1, 130)], ids=str)
def test_odd_sizes_equal_the_reference(
    sizes: tuple[int, int, int], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "MOST_LANES", 64)  # so that 130 neurons take three turns
    compare(device, PLAIN, sizes)


def test_silent_and_all_firing_layers_equal_the_reference(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "MOST_LANES", 64)
    for drive in (-1.0, 1e3):
        x = torch.full((4, 1, 130), drive, dtype=F64)
        found = found_on(device, PLAIN, x)
        assert bool((found.values["output"] == (drive > 0)).all())
        check(found, expected_of(PLAIN, x), PLAIN)


@pytest.mark.parametrize("connection", DELAYS)
def test_whole_delays_equal_the_reference(connection: Connection, device: torch.device) -> None:
    found = compare(device, WINDOWED, (19, 2, 7), connection)
    assert 0.01 < float(found.values["output"].mean()) < 0.9
    compare(device, PLAIN, (2, 1, 7), connection)  # shorter than the delays


@pytest.mark.parametrize("connection", [lambda: sw.Linear(7, 7), synapses])
def test_runs_and_gradients_in_chunks_equal_those_of_one_run(
    connection: Connection, device: torch.device
) -> None:
    x, results = PLAIN.input(12, 2, 7).to(device), []
    for chunks in (x.split(12), x.split([5, 1, 6])):
        layer = recurrent(PLAIN, 7, "gpu", connection()).to(device)
        state, parts = None, []
        for chunk in chunks:
            y, state, trace = layer.run(chunk, state, ("v",))
            parts.append(y + trace["v"])
        whole = torch.cat(parts)
        whole.square().sum().backward()
        results.append([whole, state.spikes, *(p.grad for p in layer.parameters())])
    assert torch.equal(results[1][0], results[0][0])
    assert torch.equal(results[1][1], results[0][1])
    for cut, one in zip(results[1][2:], results[0][2:], strict=True):
        assert distance(cut, one) <= 1e-12


def test_spikes_and_history_before_the_first_step_get_the_reference_gradient(
    device: torch.device,
) -> None:
    x, found = PLAIN.input(6, 2, 7), []
    for backend, place in (("reference", torch.device("cpu")), ("gpu", device)):
        layer = recurrent(PLAIN, 7, backend, synapses()).to(place)
        past = (torch.rand(2, 9, 7, generator=torch.Generator().manual_seed(1)) < 0.3).double()
        past = past.to(place).requires_grad_()
        state = layer.initial_state(2)
        state = state._replace(spikes=past[:, 8], connection=past[:, :8])
        y, _, trace = layer.run(x.to(place), state, ("v",))
        loss = (y + trace["v"]).square().sum()
        found.append(torch.autograd.grad(loss, [past, layer.connection.weight]))
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert bool(theirs.any())
        assert distance(ours.cpu(), theirs) <= 1e-10


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_spoil_what_they_spoil_in_the_reference(
    bad: float, device: torch.device
) -> None:
    x, results = PLAIN.input(6, 2, 7), []
    for backend, place in (("reference", torch.device("cpu")), ("gpu", device)):
        layer = recurrent(PLAIN, 7, backend)
        with torch.no_grad():
            layer.connection.weight[2, 4] = bad
        found = run(layer.to(place), x.to(place), ("v",))
        results.append({n: v.cpu() for n, v in (found.values | found.gradients).items()})
    assert not bool(results[0]["v"].isfinite().all())
    for name, value in results[0].items():
        ours = results[1][name]
        assert torch.equal(ours.isnan(), value.isnan()), name
        assert distance(ours.nan_to_num(), value.nan_to_num()) <= 1e-10, name


def test_a_gradient_that_is_not_a_number_goes_where_it_goes_in_the_reference(
    device: torch.device,
) -> None:
    found = []
    for backend, place in (("reference", torch.device("cpu")), ("gpu", device)):
        layer = recurrent(PLAIN, 7, backend).to(place)
        leaf = PLAIN.input(6, 2, 7).to(place).requires_grad_()
        y, _ = layer(leaf)
        seed = torch.ones_like(y)
        seed[4, 1, 3] = math.nan
        y.backward(seed)
        found.append((leaf.grad.cpu(), layer.connection.weight.grad.cpu()))
    for ours, theirs in zip(*reversed(found), strict=True):
        assert bool(theirs.isnan().any())
        assert torch.equal(ours.isnan(), theirs.isnan())


@pytest.mark.parametrize("kind", HALF, ids=str)
def test_input_of_half_precision_is_computed_in_float32(
    kind: torch.dtype, device: torch.device
) -> None:
    case = Case(sw.CubaLIF, {}, F32)
    x = case.input(12, 2, 5).to(kind)
    found, expected = found_on(device, case, x), expected_of(case, x.float())
    assert found.gradients["x"].dtype is kind
    theirs = expected.gradients.pop("x")
    assert distance(found.gradients["x"], theirs) < 2 * torch.finfo(kind).eps
    check(found, expected, case)


@pytest.mark.parametrize("kind", HALF, ids=str)
def test_layer_of_half_precision_keeps_state_and_sums_in_float32(
    kind: torch.dtype, device: torch.device
) -> None:
    case = Case(LIF, {}, F32)
    layer = recurrent(case, 9, "gpu").to(device, kind)
    x = case.input(15, 2, 9).to(device, kind)
    y, last, traces = layer.run(x, None, ("v",))
    weight, bias = (p.float() for p in layer.connection.parameters())

    def connect(spikes: Tensor, state: Any) -> tuple[Tensor, Any]:
        return torch.nn.functional.linear(spikes, weight, bias), state

    c = layer.neuron.bound_coefficients()
    start = type(last.neuron)(layer.neuron.initial_state(2).v.float())
    (spikes, v), end, _ = scan_feedback(
        layer.neuron.bound_step(("v",)), x.float(), start, type(c)(*(value.float() for value in c)),
        Feedback(connect, torch.zeros_like(x[0], dtype=F32), None), features=(9,),
        backend="reference",
    )  # fmt: skip
    assert 0.01 < float(y.detach().float().mean()) < 0.9
    assert torch.equal(y, spikes.to(kind))
    torch.testing.assert_close(traces["v"].float(), v, rtol=torch.finfo(kind).eps, atol=1e-6)
    torch.testing.assert_close(last.neuron.v, end.v, rtol=1e-5, atol=1e-6)
    traces["v"].float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype is kind for p in layer.parameters())


def test_two_runs_give_the_same_bits(device: torch.device) -> None:
    case = Case(LIF, {}, F32)
    first, second = (found_on(device, case, case.input(9, 2, 20)) for _ in range(2))
    for name, value in (first.values | first.gradients).items():
        assert torch.equal((second.values | second.gradients)[name], value), name


def test_frozen_weights_and_no_gradient_give_the_same_spikes(device: torch.device) -> None:
    layer, x = recurrent(PLAIN, 7, "gpu").to(device), PLAIN.input(9, 2, 7).to(device)
    expected, _ = layer(x)
    with torch.no_grad(), nan_memory():
        assert torch.equal(layer(x)[0], expected)
    layer.requires_grad_(False)
    leaf = x.clone().requires_grad_()
    y, _ = layer(leaf)
    y.sum().backward()
    assert torch.equal(y, expected)
    assert bool(leaf.grad.any())
    assert layer.connection.weight.grad is None


def test_gradients_that_come_in_are_left_as_they_are(device: torch.device) -> None:
    layer, x = recurrent(PLAIN, 5, "gpu").to(device), PLAIN.input(3, 2, 5).to(device)
    _, last = layer(x.requires_grad_())
    seed = torch.ones_like(last.neuron.v)
    torch.autograd.grad(last.neuron.v, x, seed)
    assert bool((seed == 1).all())


def test_a_second_derivative_is_refused(device: torch.device) -> None:
    layer, x = recurrent(PLAIN, 5, "gpu").to(device), PLAIN.input(3, 2, 5).to(device)
    y, _ = layer(x.requires_grad_())
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(BackendError, match=r"engine\.gpu: a fused kernel must be differentiated"):
        gradient.sum().backward()


def test_state_of_another_batch_is_refused(device: torch.device) -> None:
    layer = recurrent(PLAIN, 5, "gpu").to(device)
    _, state = layer(PLAIN.input(3, 2, 5).to(device))
    with pytest.raises(ShapeError, match="must be of the input's batch size 2, got 1"):
        layer(PLAIN.input(3, 2, 5).to(device), state._replace(spikes=state.spikes[:1]))


def test_auto_takes_it_on_a_gpu_and_says_why_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    x: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda", 0))
    wiring = Wiring(torch.zeros(3, 3), None, None, torch.zeros(1, 2, 3))
    choice = choose_recurrent_backend(x, F32, "auto", wiring)
    assert str(choice) == "gpu (float32 on the GPU, recurrence inside the kernel)"
    choice = choose_recurrent_backend(x, F32, "auto", "its delays are learnable")
    assert str(choice) == "reference (its delays are learnable)"
    with pytest.raises(BackendError, match="with backend 'gpu' must have a Linear or a connection"):
        choose_recurrent_backend(x, F32, "gpu", "its delays are learnable")


@pytest.mark.parametrize("delayed", [False, True])
def test_compiled_threads_keep_to_their_lanes_and_wait_for_each_other(
    delayed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = compiled(
        leaky(functions), SLOTS, "cuda", torch.bfloat16, ("forward", "backward"), delayed
    )
    for kernel, barriers in zip(kernels, (2, 1), strict=True):
        code, steps = kernel.asm["ptx"], kernel.asm["ttir"]
        assert not re.findall(r"fma\.|mad\.f|div\.full|approx|\.ftz|cp\.async", code)
        assert not re.findall(r"tt\.addptr .*i32>?$|arith\.muli .*i32", steps, re.MULTILINE)
        # One layout, of one lane a thread: what a thread stores, no other has to load.
        layouts = set(re.findall(r"#ttg\.blocked<(.*)>", kernel.asm["ttgir"]))
        assert layouts == {
            "{sizePerThread = [1], threadsPerWarp = [32], warpsPerCTA = [2], order = [0]}"
        }
        assert len(re.findall(r"ttg\.barrier all", kernel.asm["ttgir"])) == barriers
        assert code.count("bar.sync") >= barriers


def test_kernels_compile_for_another_maker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    names = ("forward", "backward")
    for kernel in compiled(leaky(functions), SLOTS, "hip", F32, names, delayed=True):
        assert kernel.asm["hsaco"]
