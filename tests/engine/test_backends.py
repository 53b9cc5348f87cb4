"""Every backend gives what the reference backend gives, in the cases of the table."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases import CASES, F32, SIZES, Case, distance, nan_memory, run, threads, walk
from spikewright.engine import threads as engine_threads
from spikewright.neurons import IF, LIF, CubaLIF, MultiSynapseLIF

SPIKING = [case for case in CASES if case.model.spiking]


@walk()
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_backend_equals_reference_in_values_and_gradients(
    case: Case, sizes: tuple[int, int, int]
) -> None:
    steps, batch, neurons = sizes
    if case.per_neuron:
        neurons = max(2, neurons)  # of one neuron the parameters are shared, which is another case
    x = case.input(steps, batch, neurons)
    expected = run(case.layer(neurons, "reference"), x, case.record)
    with nan_memory():
        found = run(case.layer(neurons), x, case.record)
    assert set(found.values) == set(expected.values)
    for name, value in expected.values.items():
        assert case.equal(found.values[name], value), name
        assert found.values[name].dtype == value.dtype, name
    assert set(found.gradients) == set(expected.gradients)
    for name, value in expected.gradients.items():
        assert distance(found.gradients[name], value) <= case.tolerance, name
        assert found.gradients[name].dtype == case.dtype, name


@walk(SPIKING)
def test_cases_of_the_table_fire_but_not_always(case: Case) -> None:
    spikes = case.layer(63, "reference")(case.input(37, 3, 63))[0].detach()
    assert 0.005 < float(spikes.mean()) < 0.9 * case.layer(1).firing.max_spikes


@walk(SPIKING)
def test_gradients_of_the_table_are_not_trivial(case: Case) -> None:
    x = case.input(37, 3, 7)
    gradients = run(case.layer(7, "reference"), x, case.record).gradients
    silent = {name for name, value in gradients.items() if not value.any()}
    resets = case.layer(1).firing.reset == "to_value"
    unused = set() if resets else {"parameter_set.v_reset"}
    assert {name for name in silent if not name.startswith("start")} == unused, silent


@walk()
def test_run_in_two_chunks_equals_one_run(case: Case) -> None:
    layer, x = case.layer(7), case.input(37, 3, 7)
    torch.manual_seed(5)
    first = layer.initial_state(3)
    whole, end, traces = layer.run(x, first, case.record)
    parts = [layer.run(x[:17], first, case.record)]
    parts.append(layer.run(x[17:], parts[0][1], case.record))
    assert torch.equal(torch.cat([part[0] for part in parts]), whole)
    for name, trace in traces.items():
        assert torch.equal(torch.cat([part[2][name] for part in parts]), trace), name
    for a, b in zip(leaves(parts[1][1]), leaves(end), strict=True):
        assert torch.equal(a, b)


@walk()
def test_samples_of_a_batch_do_not_meet(case: Case) -> None:
    layer, x = case.layer(63), case.input(17, 4, 63)
    state = layer.initial_state(4)
    together, _, _ = layer.run(x, state, case.record)
    alone, _, _ = layer.run(x[:, 2:3], rows(state, 2), case.record)
    assert torch.equal(alone, together[:, 2:3])


@walk([case for case in CASES if "noise" not in case.options and not case.transcendental])
def test_without_input_nothing_leaves_the_resting_state(case: Case) -> None:
    layer = case.layer(7)
    out, _, traces = layer.run(torch.zeros_like(case.input(37, 2, 7)), None, case.record)
    rest = layer.params().v_leak if hasattr(layer.params(), "v_leak") else torch.zeros(())
    assert torch.equal(out, torch.zeros_like(out) if layer.spiking else rest.expand_as(out))
    for v in (traces[name] for name in ("v",) if name in traces):
        assert torch.equal(v, rest.expand_as(v).to(case.dtype))


@walk([case for case in CASES if case.model is CubaLIF])
def test_number_of_threads_changes_no_bit(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_threads, "WORTH_A_THREAD", 1)
    layer, x = case.layer(513), case.input(18, 3, 513)
    with threads(1):
        expected = run(layer, x, case.record)
    for number in (2, 3):
        with threads(number):
            found = run(layer, x, case.record)
        for name, value in (expected.values | expected.gradients).items():
            assert torch.equal((found.values | found.gradients)[name], value), (number, name)


@walk([case for case in CASES if case.model in (IF, MultiSynapseLIF) and not case.per_neuron][-1:])
def test_one_parameter_for_all_equals_the_same_for_each(case: Case) -> None:
    shared, x = case.layer(7), case.input(17, 2, 7)
    each = case.layer(7)
    for name, value in list(each.parameter_set.named_parameters()):
        many = value.detach().expand(7, *value.shape).clone()
        setattr(each.parameter_set, name, torch.nn.Parameter(many))
    one, many = run(shared, x, case.record), run(each, x, case.record)
    for name, value in one.values.items():
        assert torch.equal(many.values[name], value), name
    for name, value in one.gradients.items():
        total = many.gradients[name]
        total = total.sum(0) if name.startswith("parameter_set") else total
        assert distance(total, value) <= 10 * case.tolerance, name


@walk([case for case in CASES if case.model is LIF][:2])
def test_image_shaped_layers_equal_flat_ones(case: Case) -> None:
    flat, x = case.layer(12), case.input(17, 2, 12)
    image = case.layer(12)
    image.shape = None
    for name, value in list(image.parameter_set.named_parameters()):
        if value.ndim:
            folded = torch.nn.Parameter(value.detach().view(3, 4))
            setattr(image.parameter_set, name, folded)
    image.build((3, 4), image.dt or 0.0)
    expected = run(flat, x, case.record)
    found = run(image, x.view(17, 2, 3, 4), case.record)
    for name, value in (expected.values | expected.gradients).items():
        assert torch.equal((found.values | found.gradients)[name].reshape(value.shape), value), name


def test_non_contiguous_integer_and_boolean_input_equal_plain_floats() -> None:
    layer = LIF(v_threshold=0.3, backend="cpu")
    layer.build((5,), 1e-3)
    x = torch.randint(0, 9, (4, 5, 11), generator=torch.Generator().manual_seed(0))
    plain, _ = layer(x.permute(2, 0, 1).float().contiguous())
    assert torch.equal(layer(x.permute(2, 0, 1).float())[0], plain)
    assert torch.equal(layer(x.permute(2, 0, 1))[0], plain)
    assert 0 < float(plain.mean()) < 1
    spikes = x.permute(2, 0, 1) > 4
    assert torch.equal(layer(spikes)[0], layer(spikes.float())[0])


def test_gradients_reach_layers_behind_a_non_contiguous_output() -> None:
    layer = LIF(backend="cpu")
    layer.build((5,), 1e-3)
    x = torch.rand(11, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.rand(5, 4, 11, generator=torch.Generator().manual_seed(1))
    y, _ = layer(x)
    (found,) = torch.autograd.grad((y.permute(2, 1, 0) * weight).sum(), x)
    layer.backend = "reference"
    (expected,) = torch.autograd.grad((layer(x)[0].permute(2, 1, 0) * weight).sum(), x)
    assert distance(found, expected) < 1e-6


@walk([case for case in CASES if case.model is MultiSynapseLIF or "noise" in case.options][:2])
def test_run_without_gradients_equals_reference(case: Case) -> None:
    x = case.input(18, 2, 300)
    with torch.no_grad(), nan_memory():
        torch.manual_seed(4)
        y, last, traces = case.layer(300).run(x, None, case.record)
        torch.manual_seed(4)
        expected = case.layer(300, "reference").run(x, None, case.record)
    assert torch.equal(y, expected[0])
    for name, trace in expected[2].items():
        assert torch.equal(traces[name], trace), name
    for a, b in zip(leaves(last), leaves(expected[1]), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("wanted", ["input", "parameters", "state"])
def test_each_gradient_alone_equals_the_same_among_all(wanted: str) -> None:
    case = Case(LIF, {}, F32)
    layer, x = case.layer(63), case.input(18, 2, 63)
    expected = run(layer, x, case.record).gradients
    fixed = wanted != "parameters"
    for parameter in layer.parameters():
        parameter.requires_grad_(not fixed)
    x.requires_grad_(wanted == "input")
    state = layer.initial_state(2)
    v = state.v.detach().clone().requires_grad_(wanted == "state")
    y, last, traces = layer.run(x, type(state)(v), case.record)
    random = torch.Generator().manual_seed(2)
    loss = torch.zeros(())
    for value in (y, traces["v"], last.v):
        weight = torch.rand(value.shape, generator=random, dtype=torch.float64).float()
        loss = loss + (weight * value).sum()
    names = {"input": ["x"], "state": ["start 0"]}.get(wanted, list(dict(layer.named_parameters())))
    sources = {"input": [x], "state": [v]}.get(wanted, list(layer.parameters()))
    for name, grad in zip(
        names, torch.autograd.grad(loss, sources, allow_unused=True), strict=True
    ):
        zero = torch.zeros_like(expected[name])
        assert distance(zero if grad is None else grad, expected[name]) < 1e-6, name


def leaves(state: object) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(state)


def rows(state: object, index: int) -> object:
    """The state of one sample."""
    return torch.utils._pytree.tree_map(lambda leaf: leaf[index : index + 1], state)
