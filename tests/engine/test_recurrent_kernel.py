"""A recurrent layer in one kernel equals the eager loop over its steps."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from cases import CASES, F32, F64, Case, Result, distance, nan_memory, threads
from engine.quadratic import QuadraticIF
from spikewright.engine import surrogate as s
from spikewright.engine import threads as engine_threads
from spikewright.engine.layer import Layer
from spikewright.engine.products.events import active_of, events_for, events_in, events_of
from spikewright.errors import BackendError, ShapeError
from spikewright.neurons import IF, LI, LIF, AdaptiveLIF, CubaLIF, MultiSynapseLIF

WINDOW = s.SuperSpike(width=0.2, window=0.3)
PLAIN = Case(LIF, {}, F64, False, s.SuperSpike(width=0.2))
WINDOWED = Case(LIF, {}, F64, False, WINDOW)


def pick(model: type, dtype: torch.dtype, **options: Any) -> Case:
    """The first case of the table for that model, dtype and options."""
    return next(
        case
        for case in CASES
        if case.model is model
        and case.dtype is dtype
        and options.items() <= dict(case.options).items()
    )


MODELS = [
    pick(IF, F64),  # counts up to 3, a reset that passes gradients
    pick(CubaLIF, F64, noise=2.0),  # and a refractory period
    pick(AdaptiveLIF, F32),  # a derivative that vanishes
    Case(MultiSynapseLIF, {}, F64, True, WINDOW),
    pick(LI, F64),  # what comes back is graded
]


def recurrent(
    case: Case, neurons: int, backend: str, connection: Layer | None = None
) -> sw.Recurrent:
    """A layer of the case with weights that do not depend on the backend."""
    cells = case.layer(neurons, backend)
    back = connection or sw.Linear(neurons, neurons * case.synapses)
    layer = sw.Recurrent(cells, back)
    layer.build((neurons * case.synapses,), 1e-3)
    random = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for p in back.parameters():
            drawn = torch.rand(p.shape, generator=random, dtype=F64) - 0.4
            p.copy_(drawn * (3 / neurons) ** 0.5)
    return layer.to(case.dtype)


def run(layer: sw.Recurrent, x: Tensor, record: tuple[str, ...] = ()) -> Result:
    """Outputs, traces, last state, and gradients of a random function of all of them."""
    torch.manual_seed(2)
    x = x.detach().clone().requires_grad_()
    y, last, traces = layer.run(x, None, record)
    ends = [e for e in torch.utils._pytree.tree_leaves(last) if e is not None]
    values = {"output": y, **traces, **{f"state {i}": e for i, e in enumerate(ends)}}
    random = torch.Generator().manual_seed(2)
    loss = torch.zeros((), dtype=y.dtype, device=y.device)
    for value in values.values():
        weight = torch.rand(value.shape, generator=random, dtype=F64).to(value)
        loss = loss + (weight * value).sum()
    wanted = {"x": x, **dict(layer.named_parameters())}
    grads = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    gradients = {n: torch.zeros(()) if g is None else g for n, g in zip(wanted, grads, strict=True)}
    return Result({name: value.detach() for name, value in values.items()}, gradients)


def check(found: Result, expected: Result, case: Case) -> None:
    """Spikes are equal; the product adds up in another order, so the rest is but close."""
    tight = 1e-10 if case.dtype is F64 else 1e-5
    if case.model.spiking:
        assert torch.equal(found.values["output"], expected.values["output"])
    assert set(found.values) == set(expected.values)
    for name, value in expected.values.items():
        assert found.values[name].dtype == value.dtype, name
        assert distance(found.values[name], value) <= tight, name
    for name, value in expected.gradients.items():
        assert distance(found.gradients[name], value) <= tight, name


def compare(
    case: Case, sizes: tuple[int, int, int], connection: Callable[[], Layer] | None = None
) -> Result:
    """Both backends on the same input; returns what the kernel gave."""
    steps, batch, neurons = sizes
    x = case.input(steps, batch, neurons)
    results: list[Result] = []
    for backend in ("reference", "cpu"):
        layer = recurrent(case, neurons, backend, connection and connection())
        with nan_memory():
            results.append(run(layer, x, case.record))
    check(results[1], results[0], case)
    return results[1]


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_kernel_equals_reference_in_values_traces_states_and_gradients(case: Case) -> None:
    found = compare(case, (39, 3, 7))
    gradients = found.gradients
    assert bool(gradients["connection.weight"].any())
    assert bool(gradients["connection.bias"].any())
    if case.model is not LI:
        assert 0.01 < float(found.values["output"].mean()) < 0.9 * case.layer(1).firing.max_spikes


@pytest.mark.parametrize("case", [PLAIN, WINDOWED], ids=["full", "window"])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (1, 5, 7), (9, 1, 513), (17, 9, 63), (8, 35, 2)], ids=str
)
def test_odd_sizes_equal_the_reference(case: Case, sizes: tuple[int, int, int]) -> None:
    compare(case, sizes)


@pytest.mark.parametrize("case", [PLAIN, WINDOWED], ids=["full", "window"])
def test_silent_and_all_firing_layers_equal_the_reference(case: Case) -> None:
    for drive in (-1.0, 1e3):
        x = torch.full((17, 9, 63), drive, dtype=F64)
        found, expected = (
            run(recurrent(case, 63, backend), x, case.record) for backend in ("cpu", "reference")
        )
        assert bool((found.values["output"] == (drive > 0)).all())
        check(found, expected, case)


def test_a_window_around_everything_gives_the_gradient_of_no_window() -> None:
    wide = Case(LIF, {}, F64, False, s.SuperSpike(width=0.2, window=1e9))
    x = PLAIN.input(17, 9, 63)
    everywhere = run(recurrent(wide, 63, "cpu"), x, ("v",))
    check(everywhere, run(recurrent(PLAIN, 63, "cpu"), x, ("v",)), PLAIN)


def axons() -> Layer:
    return sw.DelayedLinear(7, 7, [[0.0, 1e-3, 3e-3, 2e-3, 0.0, 4e-3, 1e-3]])


def synapses() -> Layer:
    random = torch.Generator().manual_seed(6)
    delays = torch.randint(0, 5, (7, 7), generator=random) * 1e-3
    return sw.DelayedLinear(7, 7, delays, maximum=8e-3)


def rounded() -> Layer:
    random = torch.Generator().manual_seed(6)
    return sw.DelayedLinear(7, 7, torch.rand(7, 7, generator=random) * 4e-3, rounded=True)


def fibres() -> Layer:
    return sw.Delay([0.0, 1e-3, 3e-3, 2e-3, 0.0, 4e-3, 1e-3])


DELAYS = [axons, synapses, rounded, fibres]


@pytest.mark.parametrize(
    ("connection", "case"), [*((d, WINDOWED) for d in DELAYS), (synapses, PLAIN)]
)
def test_whole_delays_equal_the_reference(connection: Callable[[], Layer], case: Case) -> None:
    found = compare(case, (39, 3, 7), connection)
    assert 0.01 < float(found.values["output"].mean()) < 0.9
    compare(case, (2, 1, 7), connection)  # shorter than the delays


@pytest.mark.parametrize("connection", [lambda: sw.Linear(7, 7), *DELAYS])
def test_run_in_two_chunks_equals_one_run(connection: Callable[[], Layer]) -> None:
    layer, x = recurrent(WINDOWED, 7, "cpu", connection()), WINDOWED.input(37, 3, 7)
    whole, end, traces = layer.run(x, None, ("v",))
    state, parts = None, []
    for chunk in x.split([2, 15, 1, 19]):
        y, state, trace = layer.run(chunk, state, ("v",))
        parts.append((y, trace["v"]))
    assert torch.equal(torch.cat([y for y, _ in parts]), whole)
    assert torch.equal(torch.cat([v for _, v in parts]), traces["v"])
    assert torch.equal(state.spikes, end.spikes)
    if end.connection is not None:
        assert torch.equal(state.connection, end.connection)


@pytest.mark.parametrize("connection", [lambda: sw.Linear(7, 7), *DELAYS])
def test_gradients_pass_from_chunk_to_chunk(connection: Callable[[], Layer]) -> None:
    x = WINDOWED.input(12, 3, 7)
    wanted: list[list[Tensor]] = []
    for chunks in (x.split(12), x.split([5, 1, 6])):
        layer, state, loss = recurrent(WINDOWED, 7, "cpu", connection()), None, 0.0
        for chunk in chunks:
            y, state, trace = layer.run(chunk, state, ("v",))
            loss = loss + (y + trace["v"]).square().sum()
        loss.backward()
        wanted.append([p.grad for p in layer.parameters()])
    for whole, cut in zip(*wanted, strict=True):
        assert distance(cut, whole) <= 1e-12


def test_spikes_and_history_before_the_first_step_get_the_reference_gradient() -> None:
    x, found = WINDOWED.input(6, 2, 7), []
    for backend in ("reference", "cpu"):
        layer = recurrent(WINDOWED, 7, backend, synapses())
        _, state = layer(x)
        past = state.connection.clone().requires_grad_()
        last = torch.rand(2, 7, dtype=F64, generator=torch.Generator().manual_seed(1))
        last.requires_grad_()
        y, _, trace = layer.run(x, state._replace(spikes=last, connection=past), ("v",))
        loss = (y + trace["v"]).square().sum()
        found.append(torch.autograd.grad(loss, [last, past, layer.connection.weight]))
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert bool(theirs.any())
        assert distance(ours, theirs) <= 1e-10


@pytest.mark.parametrize("case", [PLAIN, WINDOWED], ids=["full", "window"])
def test_number_of_threads_changes_no_bit(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_threads, "WORTH_A_THREAD", 1)
    layer, x = recurrent(case, 63, "cpu"), case.input(11, 37, 63)
    with threads(1):
        expected = run(layer, x, ("v",))
    for number in (2, 3):
        with threads(number):
            found = run(layer, x, ("v",))
        for name, value in (expected.values | expected.gradients).items():
            assert torch.equal((found.values | found.gradients)[name], value), (number, name)


@pytest.mark.parametrize("case", [PLAIN, WINDOWED], ids=["full", "window"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_spoil_what_they_spoil_in_the_reference(
    case: Case, bad: float
) -> None:
    x, results = case.input(9, 2, 7), []
    for backend in ("reference", "cpu"):
        layer = recurrent(case, 7, backend)
        with torch.no_grad():
            layer.connection.weight[2, 4] = bad
        results.append(run(layer, x, ("v",)))
    expected, found = results
    assert not bool(expected.values["v"].isfinite().all())
    for name, value in (expected.values | expected.gradients).items():
        ours = (found.values | found.gradients)[name]
        assert torch.equal(ours.isnan(), value.isnan()), name
        assert distance(ours.nan_to_num(), value.nan_to_num()) <= 1e-10, name


@pytest.mark.parametrize("case", [PLAIN, WINDOWED], ids=["full", "window"])
def test_a_gradient_that_is_not_a_number_goes_where_it_goes_in_the_reference(case: Case) -> None:
    x, found = case.input(9, 2, 7), []
    for backend in ("reference", "cpu"):
        layer = recurrent(case, 7, backend)
        leaf = x.clone().requires_grad_()
        y, _ = layer(leaf)
        seed = torch.ones_like(y)
        seed[7, 1, 3] = math.nan
        y.backward(seed)
        found.append((leaf.grad, layer.connection.weight.grad))
    for ours, theirs in zip(*reversed(found), strict=True):
        assert bool(theirs.isnan().any())
        assert torch.equal(ours.isnan(), theirs.isnan())


def test_a_neuron_that_a_user_wrote_recurs_in_a_kernel() -> None:
    x = 4 * torch.rand(25, 3, 7, generator=torch.Generator().manual_seed(1), dtype=F64)
    results = []
    for backend in ("reference", "cpu"):
        layer = sw.Recurrent(QuadraticIF(backend=backend, tau_mem=sw.learnable(10e-3)))
        torch.manual_seed(0)
        layer.build((7,), 1e-3)
        results.append(run(layer.double(), x, ("v", "a")))
    assert 0.01 < float(results[0].values["output"].mean()) < 0.9
    check(results[1], results[0], PLAIN)


def test_spikes_carry_their_events_and_where_a_gradient_is_of_use() -> None:
    layer = recurrent(WINDOWED, 63, "cpu")
    with events_for(reader=True):
        y, _ = layer(WINDOWED.input(17, 3, 63))
    carried, searched = events_of(y), events_in(y)
    assert carried.number > 0
    for name in ("indptr", "index", "count"):
        assert getattr(carried, name).tolist() == getattr(searched, name).tolist()
    assert 0 < active_of(y).density < 0.9


def test_frozen_weights_and_no_gradient_give_the_same_spikes() -> None:
    layer, x = recurrent(WINDOWED, 7, "cpu"), WINDOWED.input(17, 3, 7)
    expected, _ = layer(x)
    with torch.no_grad():
        assert torch.equal(layer(x)[0], expected)
    layer.requires_grad_(False)
    leaf = x.clone().requires_grad_()
    y, _ = layer(leaf)
    y.sum().backward()
    assert torch.equal(y, expected)
    assert bool(leaf.grad.any())
    assert layer.connection.weight.grad is None


def test_a_second_derivative_is_refused() -> None:
    layer, x = recurrent(PLAIN, 7, "cpu"), PLAIN.input(5, 2, 7).requires_grad_()
    y, _ = layer(x)
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(BackendError, match="must be differentiated at most once"):
        gradient.sum().backward()


REASONS = {
    "its delays are learnable": lambda: sw.DelayedLinear(7, 7, 2e-3, learnable=True),
    "its delays are not whole steps": lambda: sw.DelayedLinear(7, 7, 2.5e-3),
    "its connection is a Fold": lambda: sw.Fold(torch.nn.Linear(7, 7)),
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_cannot_go_into_a_kernel_says_why(reason: str) -> None:
    layer = sw.Recurrent(LIF(), REASONS[reason]())
    layer.build((7,), 1e-3)
    x = torch.zeros(4, 2, 7)
    assert str(layer.choice(x)) == f"reference ({reason})"
    layer(x)
    layer.neuron.backend = "cpu"
    with pytest.raises(BackendError) as caught:
        layer(x)
    assert str(caught.value) == (
        "engine.scan: a recurrent layer with backend 'cpu' must have a Linear or a connection "
        f"with fixed delays of whole steps, got one that cannot go into a kernel: {reason}. "
        "Use backend='auto', which takes the reference for it."
    )


@pytest.mark.parametrize("connection", [lambda: sw.Linear(7, 7), axons, synapses, fibres])
def test_choice_names_the_kernel(connection: Callable[[], Layer]) -> None:
    layer = sw.Recurrent(LIF(), connection())
    layer.build((7,), 1e-3)
    expected = "cpu (float32 on the CPU, recurrence inside the kernel)"
    assert str(layer.choice(torch.zeros(4, 2, 7))) == expected
    half = str(layer.double().choice(torch.zeros(4, 2, 7).half()))
    assert half == expected.replace("float32", "float64")


def test_state_of_another_batch_is_refused() -> None:
    layer = recurrent(PLAIN, 7, "cpu")
    _, state = layer(PLAIN.input(5, 2, 7))
    with pytest.raises(ShapeError, match="must be of the input's batch size 3, got 2"):
        layer(PLAIN.input(5, 3, 7), state)
    with pytest.raises(ShapeError, match="must be of the input's batch size 2, got 1"):
        layer(PLAIN.input(5, 2, 7), state._replace(spikes=state.spikes[:1]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_after_kernels_ran_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_threads, "WORTH_A_THREAD", 1)
    layer, x = recurrent(WINDOWED, 7, "cpu"), WINDOWED.input(17, 9, 7)
    with threads(2), torch.no_grad():
        expected, _ = layer(x)
        child = os.fork()
        if child == 0:
            os._exit(0 if torch.equal(layer(x)[0], expected) else 1)
        assert os.waitpid(child, 0)[1] == 0
