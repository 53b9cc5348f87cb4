"""The interpreter in NumPy against the networks, in float64."""

from __future__ import annotations

import pytest
import torch

import spikewright as sw
from compiler.programs import ALL, eager, ready
from network.nets import low, spikes
from spikewright import seeding
from spikewright.compiler.discrete import DiscreteProgram, Edge, MatrixProduct, Node
from spikewright.compiler.formats import Real
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.software.neurons import ProgramNeurons
from spikewright.compiler.software.reference import run_reference
from spikewright.compiler.software.runnable import network_of, run_program
from spikewright.errors import CompileError

STEPS, BATCH = 25, 2


def noise_of(program: DiscreteProgram) -> dict[str, torch.Tensor]:
    """The random numbers that a run draws after `torch.manual_seed`, by node."""
    found: dict[str, torch.Tensor] = {}
    for name, layer in network_of(program).layers.items():
        neurons = layer.neuron if isinstance(layer, sw.Recurrent) else layer
        if isinstance(neurons, ProgramNeurons) and neurons.noise:
            place = neurons.initial_state(BATCH).sample, 0, STEPS, neurons.features
            found[name] = seeding.normal(0, *place, torch.float64)
    return found


@pytest.mark.parametrize("name", ALL)
def test_the_interpreter_gives_what_the_network_gives(name: str) -> None:
    net = ready(ALL[name]).double()
    assert net.shape is not None
    program = discretise(net)
    torch.manual_seed(5)
    noise = {key: xi.numpy() for key, xi in noise_of(program).items()}
    x = spikes(STEPS, BATCH, *net.shape).double()
    got = run_reference(program, x.numpy(), noise)
    torch.manual_seed(5)
    with torch.no_grad():
        wanted = eager(net).run(x)
    output = torch.from_numpy(got.outputs[program.output])
    torch.testing.assert_close(output, wanted.output, rtol=1e-12, atol=1e-12)
    for layer, found in wanted.records.items():
        assert torch.equal(torch.from_numpy(got.outputs[layer]), found["spikes"])


def test_a_loop_over_two_layers_runs_in_the_reference_alone() -> None:
    """Two layers that excite each other: spikes go to and fro, a step apart each way."""
    net = sw.Sequential({"a": low(sw.IF), "b": low(sw.IF)}, dt=1e-3, shape=(1,)).eval()
    first, second = discretise(net).nodes
    back = Node("back", MatrixProduct(torch.tensor([[100.0]]), None), (Edge("b", 1),), (1,))
    first = Node("a", first.operation, (*first.edges, Edge("back")), (1,))
    second = Node("b", second.operation, (Edge("out"),), (1,))
    out = Node("out", MatrixProduct(torch.tensor([[100.0]]), None), (Edge("a"),), (1,))
    program = DiscreteProgram(1e-3, (1,), Real(), (back, first, out, second), "b")
    x = torch.zeros(6, 1, 1)
    x[1] = 100.0
    outputs = run_reference(program, x.numpy()).outputs
    assert outputs["a"].ravel().tolist() == [0, 1, 1, 1, 1, 1]
    assert outputs["back"].ravel().tolist() == [0, 0, 100, 100, 100, 100]
    with pytest.raises(CompileError, match=r"come from neurons and lead back to them alone.*'b'"):
        run_program(program, x)
