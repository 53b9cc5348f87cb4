"""Sequences that are run again in the backward pass, or cut for it, against those that are not."""

from __future__ import annotations

import copy
import functools
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.tasks import batch, network, same, weights
from network import nets
from spikewright.coding import Max
from spikewright.engine import segments
from spikewright.engine.segments import part_length, segment_length, spans
from spikewright.errors import NetworkError, OutOfMemory, ParameterError
from spikewright.learning import Surrogate
from spikewright.learning.regularisers import LowerRate, UpperRate
from spikewright.learning.shortage import shortage_explained

STEPS = 37


def results(net: sw.Network, **options: Any) -> list[Tensor | None]:
    """Output, traces, and the gradients of a loss that reads everything a run gives."""
    net = copy.deepcopy(net)
    x = nets.spikes(STEPS, 3, *(net.shape or ())).double().requires_grad_()
    torch.manual_seed(5)
    run = net.run(x, record=("spikes", "counts", "v"), **options)
    traces = [t for record in run.records.values() for t in record.values()]
    last = [leaf for leaf in nets.leaves(run.state) if leaf.is_floating_point()]
    sum(t.square().sum() for t in (run.output, *traces, *last)).backward()
    return [run.output, *traces, x.grad, *(p.grad for p in net.parameters()), torch.rand(1)]


def assert_close(ours: list[Tensor | None], theirs: list[Tensor | None]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", nets.NETS)
def test_running_segments_again_gives_the_same_results_gradients_and_random_numbers(
    name: str,
) -> None:
    net = nets.NETS[name]().double()
    full = results(net)
    assert any(g is not None and bool(g.any()) for g in full[-3:-1])
    assert_close(results(net, memory="checkpoint"), full)


@pytest.mark.parametrize("length", [1, 10, 100])
@pytest.mark.parametrize("memory", ["full", "checkpoint"])
def test_truncation_is_what_detaching_the_state_by_hand_gives(length: int, memory: str) -> None:
    net = nets.NETS["cuba"]().double()
    x = nets.spikes(STEPS, 3, 6).double()
    outputs, state = [], None
    for first, last in spans(STEPS, length):
        run = net.run(x[first:last], state)
        state = torch.utils._pytree.tree_map(Tensor.detach, run.state)
        outputs.append(run.output)
    parameters = list(net.parameters())
    by_hand = torch.autograd.grad(torch.cat(outputs).square().sum(), parameters)
    cut = net.run(x, memory=memory, truncate=length)
    ours = torch.autograd.grad(cut.output.square().sum(), parameters)
    assert torch.equal(cut.output, torch.cat(outputs))
    assert_close(list(ours), list(by_hand))
    whole = torch.autograd.grad(net.run(x).output.square().sum(), parameters)
    assert torch.allclose(ours[0], whole[0], rtol=1e-9) == (length >= STEPS)


@pytest.mark.parametrize("decoder", [None, Max()])
def test_the_rule_learns_the_same_in_both_modes(decoder: Any) -> None:
    nets_ = {}
    for memory in ("full", "checkpoint"):
        net = nets_[memory] = network().double()
        parts = (UpperRate(strength=0.1, maximum=1.0), LowerRate(strength=0.1, minimum=9.0))
        rule = Surrogate(decoder=decoder, regularisers=parts, memory=memory, optimiser="sgd")
        state, x_y = rule.init(net), batch()
        for _ in range(3):
            metrics, state = rule.train_batch(net, x_y._replace(x=x_y.x.double()), state)
        assert float(metrics["rates"]["1_cubalif"]) > 0
    full, again = (weights(net) for net in nets_.values())
    assert not same(full, weights(network().double()))
    for name, value in full.items():
        torch.testing.assert_close(again[name], value, rtol=1e-12, atol=1e-14)


def test_the_surrogate_of_the_forward_pass_counts_however_late_the_gradient_comes() -> None:
    narrow = sw.surrogate.Triangular(width=1e-9)
    net = network(surrogate=sw.surrogate.Triangular(width=2.0))
    Surrogate(surrogate=narrow, memory="checkpoint").loss_of(net, batch())[0].backward()
    assert not net.layers["0_linear"].weight.grad.any()


def test_counts_are_spikes_summed_over_time() -> None:
    run = network().run(batch().x, record=("spikes", "counts"))
    record = run.records["1_cubalif"]
    assert record["counts"].any()
    assert torch.equal(record["counts"], record["spikes"].sum(0))


def test_regularisers_make_of_counts_what_they_make_of_spikes() -> None:
    spikes = nets.spikes(20, 3, 5)
    for unit in ("count", "step"):
        term = UpperRate(maximum=0.1, unit=unit)
        assert torch.equal(term({"a": spikes}), term({"a": spikes.sum(0)}, steps=20))


def test_only_states_and_what_the_last_segment_needs_outlive_the_forward_pass() -> None:
    x, kept = batch(steps=400).x, dict[str, int]()
    for memory in ("full", "checkpoint"):
        sizes: list[int] = []
        pack = functools.partial(_note, sizes)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            run = network().run(x, record=("counts",), memory=memory)
        kept[memory] = sum(sizes)
    job = run.output.grad_fn.job if hasattr(run.output.grad_fn, "job") else None
    assert job is not None
    states = sum(leaf.numel() for start in job.starts for leaf in start.state if leaf is not None)
    assert [start.span for start in job.starts] == [(i, i + 100) for i in range(0, 400, 100)]
    assert kept["checkpoint"] + states - x.numel() < kept["full"] / 3


def _note(sizes: list[int], tensor: Tensor) -> Tensor:
    sizes.append(tensor.numel())
    return tensor


def test_parts_grow_in_number_with_the_root_of_the_steps_where_they_are_worth_it() -> None:
    numbers = {16: 4, 100: 4, 400: 10, 1600: 20, 6400: 40}
    for steps, number in numbers.items():
        assert len(spans(steps, segment_length(steps, 64))) == number
    assert segment_length(1600, 1) == 400


@pytest.mark.parametrize("truncate", [None, 16])
def test_a_long_sequence_in_parts_is_the_sequence_in_one_go(
    truncate: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nets.NETS["recurrent"]().double()
    whole = results(net, truncate=truncate)
    monkeypatch.setattr(segments, "MANY", 3 * 8)
    assert part_length(STEPS, 3) == 8
    in_parts = results(net, truncate=truncate)
    assert torch.equal(in_parts[0], whole[0])
    assert_close(in_parts, whole)


def test_outputs_and_spikes_of_both_modes_are_equal_bit_for_bit() -> None:
    x = batch(samples=64, steps=100).x
    runs = [network().run(x, memory=memory) for memory in ("full", "checkpoint")]
    assert runs[0].records["1_cubalif"]["spikes"].any()
    assert torch.equal(runs[0].output, runs[1].output)
    assert torch.equal(*(run.records["1_cubalif"]["spikes"] for run in runs))


def test_the_second_gradient_of_one_run_is_the_first() -> None:
    net = network()
    output = net.run(batch().x, memory="checkpoint").output.square().sum()
    weight = net.layers["0_linear"].weight
    first = torch.autograd.grad(output, weight, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(output, weight)[0], first)


def test_layers_that_look_at_all_steps_are_refused_by_name() -> None:
    net = sw.Sequential(sw.Linear(8, 3), sw.BatchNorm(), sw.LIF(), dt=1e-3)
    net.build((8,))
    with pytest.raises(NetworkError, match="layer '1_batchnorm' must be one that can run"):
        net.run(batch().x, memory="checkpoint")
    found = Surrogate(truncate=5).requirements(net)
    assert found == [
        "layer '1_batchnorm': BatchNorm looks at all steps at once, which neither "
        "memory='checkpoint' nor truncate allows"
    ]
    assert torch.equal(net.eval().run(batch().x, truncate=5).output, net.run(batch().x).output)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ParameterError, match="memory must be one of full, checkpoint, got 'half'"):
        Surrogate(memory="half")  # type: ignore[arg-type]
    for truncate in (0, 2.5):
        with pytest.raises(ParameterError, match="truncate must be a number of steps"):
            network().run(batch().x, truncate=truncate)  # type: ignore[arg-type]


def test_other_errors_than_a_shortage_pass_through() -> None:
    around = Surrogate(), network(), batch().x
    with pytest.raises(RuntimeError, match=r"^other$"), shortage_explained(*around):
        raise RuntimeError("other")
    with pytest.raises(OutOfMemory), shortage_explained(*around):
        raise OSError(12, "Cannot allocate memory")


def test_a_shortage_says_what_was_needed_and_what_each_lever_would_bring_it_to() -> None:
    # Large enough that the tenth of a MB, to which the text is rounded, does not count.
    net, x = network(), batch(samples=640, steps=16).x
    with pytest.raises(OutOfMemory) as caught, shortage_explained(Surrogate(), net, x):
        raise MemoryError
    text = str(caught.value)
    needs = {
        r"By estimate it needs ([\d.]+) MB, and [\d.]+ MB are available": (Surrogate(), 640),
        r"memory='checkpoint' \(some ([\d.]+) MB\)": (Surrogate(memory="checkpoint"), 640),
        r"truncate=4 with memory='checkpoint' \(some ([\d.]+) MB\)": (
            Surrogate(memory="checkpoint", truncate=4),
            640,
        ),
        r"a batch of 320 \(some ([\d.]+) MB\)": (Surrogate(), 320),
    }
    for pattern, (rule, samples) in needs.items():
        said = re.search(pattern, text)
        assert said, (pattern, text)
        peak = sw.estimate_memory(net, 16, samples, rule=rule, x=x).peak
        assert float(said[1]) == pytest.approx(peak / 1e6, rel=0.1)


def test_a_shortage_in_which_nothing_can_be_estimated_still_names_the_levers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("spikewright.learning.memory.estimate_memory", fail)
    around = Surrogate(memory="checkpoint", truncate=8), network(), batch(samples=6).x
    with pytest.raises(OutOfMemory) as caught, shortage_explained(*around):
        raise MemoryError
    assert "Use truncate=2 with memory='checkpoint', a batch of 3, or fewer" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_too_little_memory_is_an_error_that_names_what_to_change() -> None:
    script = """
        import resource
        from learning.tasks import batch, network
        from spikewright.learning import Surrogate
        net, rule = network(), Surrogate()
        state = rule.init(net)
        rule.train_batch(net, batch(), state)
        large = batch(samples=4000, steps=200)
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (16 << 20), resource.RLIM_INFINITY))
        try:
            rule.train_batch(net, large, state)
        except MemoryError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent / "src")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "must fit into memory" in done.stdout
    for lever in ("a batch of 2000", "checkpoint", "truncate=50", "fewer steps than 200"):
        assert lever in done.stdout
