"""Exact spikes by Triton kernels, in the interpreter and on a GPU where there is one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import F64, nan_memory
from engine.gpu_compile import TARGETS, compile_kernel
from events.gpu_cases import CPU, TAUS, Inputs, check_equal, draw, leaves, place, slopes
from spikewright.errors import BackendError, EventError
from spikewright.events.current import Current
from spikewright.events.exact import Exact
from spikewright.events.gpu import synapses as gpu_synapses
from spikewright.events.gpu.fire import fire
from spikewright.events.gpu.load import load
from spikewright.events.solver import Fired, Limits

pytest.importorskip("triton", reason="Triton is not installed")

FREE = Limits()


def check(device: torch.device, inputs: Inputs, current: Current, limits: Limits = FREE) -> Fired:
    """The kernels give what the CPU gives, values and gradients."""
    ours, theirs = leaves(inputs), leaves(inputs)
    with nan_memory():
        found = fire(*place(ours, current, device), None, limits)
        gradients = slopes(parts(found), ours)
    expected = Exact().fire(*place(theirs, current, CPU), None, limits)
    assert found.spikes.units.tolist() == expected.spikes.units.tolist()
    assert found.spikes.offsets.tolist() == expected.spikes.offsets.tolist()
    assert found.truncated == expected.truncated
    check_equal(parts(found), parts(expected))
    check_equal(gradients, slopes(parts(expected), theirs))
    return found


def parts(fired: Fired) -> tuple[Tensor, Tensor, Tensor]:
    return 100 * fired.spikes.times, fired.counts, fired.last


CASES = [*((kind, False) for kind in TAUS), ("double", True)]


@pytest.mark.parametrize(("kind", "sparse"), CASES)
def test_spikes_and_gradients_equal_those_of_the_cpu(
    kind: str, sparse: bool, device: torch.device
) -> None:
    fired = check(device, *draw(TAUS[kind], sparse))
    assert fired.counts.max() >= 2  # a test of several spikes of a neuron
    assert fired.counts[1].sum() == 0  # and of a sample of none


def test_neurons_may_have_taus_of_their_own(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"])
    inputs[2] = inputs[2] * torch.tensor([1, 0.5, 2, 0.7, 0.5], dtype=F64)
    check(device, inputs, current)


def test_spikes_without_room_are_found_in_a_second_run(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikewright.events.gpu.fire.ROOM", 1)
    assert check(device, *draw(TAUS["double"])).counts.max() > 1


@pytest.mark.parametrize("most", [1, 2])
def test_a_limit_stops_neurons_and_counts_them(most: int, device: torch.device) -> None:
    fired = check(device, *draw(TAUS["double"]), Limits(spikes=most))
    assert fired.counts.max() == most
    assert fired.truncated > 0


def test_gradients_do_not_depend_on_the_parts_of_a_batch(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_synapses, "PART", 1)
    check(device, *draw(TAUS["double"]))
    check(device, *draw(TAUS["double"], sparse=True))


def test_no_arrival_at_all_is_silence(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"])
    none = torch.zeros(4, dtype=torch.int64)
    empty = current._replace(rows=none[:0], offsets=none)
    fired = check(device, [inputs[0][:0], *inputs[1:]], empty)
    assert len(fired.spikes) == 0


def test_a_neuron_that_fires_without_end_is_an_error(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"])
    with pytest.raises(EventError, match="fewer than 3 times in a trial, got as many from"):
        fire(*place(inputs, current, device), None, Limits(bound=3))


def test_what_cannot_run_on_a_gpu_is_refused(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, current = draw(TAUS["double"])
    with pytest.raises(BackendError, match="gradient must be 'adjoint' on a GPU, got 'chain'"):
        fire(*place(inputs, current, device), None, FREE, "chain")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError, match="tensors on cpu"):
        fire(*place(inputs, current, CPU), None, FREE)


def test_the_solver_sends_what_lies_on_a_gpu_there(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, current = draw(TAUS["double"])
    there = SimpleNamespace(is_cuda=True)
    call = (current._replace(times=there), place(inputs, current, CPU)[1])  # type: ignore[arg-type]
    for name in ("fire.fire", "membrane.sample", "membrane.integrate", "membrane.peak"):
        monkeypatch.setattr(f"spikewright.events.gpu.{name}", lambda *call, n=name: (n, call))
    solver = Exact("chain")
    assert solver.fire(*call, None, FREE) == ("fire.fire", (*call, None, FREE, "chain"))
    assert solver.sample(*call) == ("membrane.sample", call)
    assert solver.integrate(*call, None) == ("membrane.integrate", (*call, None))  # type: ignore[arg-type]
    assert solver.peak(*call) == ("membrane.peak", call)


COMPILED = {
    "fire forward": {"LISTED": False, "KIND": "any"},
    "fire forward listed": {"LISTED": True, "KIND": "same"},
    "fire backward": {"LISTED": False, "CELLS": True},
    "fire backward listed": {"LISTED": True, "CELLS": False},
    "recurrent forward": {"KIND": "double"},
    "recurrent backward": {"LEAST": 1e-3},
    "membrane forward": {},
    "membrane backward": {},
}


@pytest.mark.parametrize("which", COMPILED)
@pytest.mark.parametrize("backend", TARGETS)
def test_kernels_compile_for_each_device(
    backend: str, which: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kinds = {"rows": "*i64", "offsets": "*i64", "sources": "*i64", "lengths": "*i64"}
    kinds |= dict.fromkeys(("counts", "stopped", "full", "delivered"), "*i32")
    kinds |= dict.fromkeys(("log_rows", "log_numbers"), "*i32")
    kinds |= dict.fromkeys(("neurons", "blocks", "slots", "most"), "i32")
    kinds |= dict.fromkeys(("links", "external", "room"), "i32")
    kernel = load(*which.split()[:2])
    constants: dict[str, Any] = {**COMPILED[which], "LANES": 64}
    if "CELLS" in constants:
        constants |= {"SYNAPSES": True, "ARRIVALS": True, "LEAST": 1e-3}
    signature = {arg: kinds.get(arg, "*fp64") for arg in kernel.arg_names}
    made = compile_kernel(kernel, signature, backend, **constants)
    assert ("ld.global" if backend == "cuda" else "global_load") in str(made.asm)
