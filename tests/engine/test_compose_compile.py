from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import spikewright as sw
from engine.composed import KINDS, gradients, make, spikes

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(net: torch.nn.Module, backend: Any = "aot_eager") -> Any:
    return torch.compile(net, backend=backend, fullgraph=True)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_network_equals_eager_to_the_last_bit(kind: str) -> None:
    net = make(kind)
    graph = compiled(net)
    x = spikes(net)
    expected, found = gradients(net, x, net), gradients(net, x, graph)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_graph_serves_sequences_of_any_length(kind: str) -> None:
    net = make(kind)
    graph = torch.compile(net, backend="aot_eager", fullgraph=True, dynamic=True)
    for steps in (12, 17, 30):
        x = spikes(net, steps)
        expected, found = gradients(net, x, net), gradients(net, x, graph)
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_run_in_two_chunks_equals_one_run(backend: str) -> None:
    net = make("recurrent")
    graph, x = compiled(net, backend), spikes(net)
    whole, last = net(x)
    first, state = graph(x[:5])
    assert type(state["1_recurrent"]) is type(last["1_recurrent"])
    second, after = graph(x[5:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(after["1_recurrent"].neuron.v, last["1_recurrent"].neuron.v)


def test_state_of_an_eager_run_goes_into_a_compiled_one() -> None:
    net = make("current_based")
    x = spikes(net)
    _, state = net(x[:5])
    assert torch.equal(compiled(net)(x[5:], state)[0], net(x[5:], state)[0])


def test_graph_is_made_of_registered_operations() -> None:
    from torch._dynamo.backends.common import aot_autograd
    from torch._functorch.aot_autograd import make_boxed_func

    seen: list[str] = []

    def note(graph: torch.fx.GraphModule, _: Any) -> Any:
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return make_boxed_func(graph.forward)

    net = make("convolutional")
    backend = aot_autograd(fw_compiler=note, bw_compiler=note)
    gradients(net, spikes(net), compiled(net, backend))
    for name in ("conv", "scan", "pool", "linear"):
        assert f"spikewright.{name}.default" in seen
        assert f"spikewright.{name}_backward.default" in seen


def test_recorded_traces_of_a_compiled_run_take_part_in_the_gradient() -> None:
    net = make("dense")
    x = spikes(net)

    def traces(x: torch.Tensor) -> Any:
        return net.run(x, record=("v", "spikes", "counts")).records["1_lif"]

    expected, found = traces(x), torch.compile(traces, backend="aot_eager", fullgraph=True)(x)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    weight = net.layers["0_linear"].weight
    ours, theirs = (torch.autograd.grad(t["v"].sum(), weight)[0] for t in (found, expected))
    assert torch.equal(ours, theirs)


def test_windowed_gradient_visits_the_same_neurons_when_compiled() -> None:
    torch.manual_seed(0)
    window = sw.surrogate.SuperSpike(window=0.05)
    wide = sw.Sequential(
        sw.Linear(60, 300), sw.LIF(surrogate=window), sw.Linear(300, 80), sw.LI(), dt=1e-3
    )
    x = spikes(wide) * 6
    expected, found = gradients(wide, x, wide), gradients(wide, x, compiled(wide))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_layers_with_masks_noise_and_running_means_run_compiled() -> None:
    torch.manual_seed(0)
    layers = sw.BatchNorm(), sw.Dropout(0.3), sw.LIF(noise=20.0, refractory=2e-3), sw.Delay(3e-3)
    net = sw.Sequential(sw.Linear(60, 20), *layers, sw.LI(backend="reference"), dt=1e-3)
    again = copy.deepcopy(net)
    x, results = spikes(net, 8) * 6, []
    for one, run in ((net, net), (again, compiled(again))):
        torch.manual_seed(1)
        _, state = run(x)
        results.append([run(x, state)[0], *one.buffers()])
    assert results[0][0].any()
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_copy_of_a_compiled_network_has_a_graph_of_its_own() -> None:
    net = make("dense")
    x = spikes(net)
    compiled(net)(x)
    other = copy.deepcopy(net)
    other.layers["1_lif"].options_of_step["firing"] = sw.Firing(reset="subtract")
    expected = other(x)[0]
    assert not torch.equal(expected, net(x)[0])
    assert torch.equal(compiled(other)(x)[0], expected)


def test_rule_in_force_when_a_graph_runs_gives_the_derivative() -> None:
    from spikewright.engine.spike import learning_surrogate

    net = make("dense")
    x = spikes(net)
    graph = compiled(net)
    own = gradients(net, x, graph)
    with learning_surrogate(sw.surrogate.Triangular()):
        expected, found = gradients(net, x, net), gradients(net, x, graph)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not torch.equal(found[1], own[1])


def test_network_of_unknown_shape_is_refused_in_a_graph() -> None:
    net = sw.Sequential(sw.Linear(None, 4), sw.LIF(), dt=1e-3)
    with pytest.raises(Exception, match=r"net\.build\(shape\)"):
        compiled(net)(torch.zeros(5, 2, 3))
    assert net(torch.zeros(5, 2, 3))[0].shape == (5, 2, 4)


def test_checkpoints_are_refused_in_a_graph() -> None:
    net = make("dense")
    run = torch.compile(
        lambda x: net.run(x, memory="checkpoint").output, backend="aot_eager", fullgraph=True
    )
    with pytest.raises(Exception, match="memory must be 'full'"):
        run(spikes(net))


def test_exported_network_equals_eager() -> None:
    net = make("recurrent")
    x = spikes(net)
    program = torch.export.export(net, (x,))
    assert torch.equal(program.module()(x)[0], net(x)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("kind", KINDS)
def test_inductor_is_within_rounding_of_eager(kind: str) -> None:
    net = make(kind)
    x = spikes(net)
    pairs = zip(gradients(net, x, net), gradients(net, x, compiled(net, "inductor")), strict=True)
    for expected, found in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.norm()))


def test_error_in_a_graph_leaves_the_network_usable() -> None:
    net = make("dense")
    with pytest.raises(Exception, match="network: input must be"):
        compiled(net)(torch.zeros(5, 2, 7))
    assert net(spikes(net))[0].shape == (12, 3, 4)
