"""What cannot run under a program is refused by name, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from engine.devices import Itself, Scripted
from spikewright.engine.forward import Observation, forward_by
from spikewright.errors import BackendError, ProgramError, TraceError
from spikewright.neurons.lif import LIFState, lif_coefficients, lif_integrate

STEPS, BATCH = 6, 2


def network(cells: sw.Neuron | None = None) -> sw.Network:
    torch.manual_seed(0)
    cells = cells or sw.LIF(backend="reference")
    last = sw.LI(backend="reference")
    return sw.Sequential(sw.Linear(4, 5), cells, sw.Linear(5, 2), last, dt=1e-3)


def drive() -> Tensor:
    return torch.ones(STEPS, BATCH, 4)


def shown(*shape: int) -> Tensor:
    return torch.zeros(shape or (STEPS, BATCH, 5))


def with_gap() -> Tensor:
    spikes = shown()
    spikes[2, 1, 3] = torch.nan
    return spikes


@pytest.mark.parametrize(
    ("shows", "message"),
    [
        (
            {"1_lif": Observation(spikes=shown(STEPS - 1, BATCH, 5))},
            r"Scripted: layer '1_lif': spikes must be \(time, batch, \*n\) = \(6, 2, 5\), got "
            r"\(5, 2, 5\). A program observes each step of its input, and no other.",
        ),
        (
            {"1_lif": Observation(v=shown(STEPS + 1, BATCH, 5))},
            r"v must be \(time, batch, \*n\) = \(6, 2, 5\), got \(7, 2, 5\)",
        ),
        (
            {"3_li": Observation(output=shown())},
            r"layer '3_li': output must be \(time, batch, \*n\) = \(6, 2, 2\), got \(6, 2, 5\)",
        ),
        (
            {"1_lfi": Observation(v=shown())},
            "Scripted: what is observed must be layers of the network, got '1_lfi'. "
            "Did you mean '1_lif'?",
        ),
        ({"1_lif": Observation(spikes=with_gap())}, "spikes must be numbers at each step, got NaN"),
        (
            {"0_linear": Observation(v=shown())},
            "layer '0_linear': what is observed must be what its neurons have, got Linear, which "
            "is no layer of neurons. End the network in neurons, a readout",
        ),
        (
            {"3_li": Observation(spikes=shown(STEPS, BATCH, 2))},
            "got spikes of LI, which does not spike",
        ),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    shows: dict[str, Observation], message: str
) -> None:
    with pytest.raises(ProgramError, match=message), forward_by(Scripted(shows)):
        network()(drive())


class NoMembrane(sw.Neuron):
    """A unit without a field v."""

    Params, coefficients = sw.LIF.Params, staticmethod(lif_coefficients)
    State = type("State", (tuple,), {"_fields": ()})
    spiking = False

    @staticmethod
    def step(x: Tensor, state: Any, c: Any) -> tuple[Tensor, Any]:
        return x, state


def test_a_membrane_of_neurons_that_have_none_is_refused() -> None:
    program = Scripted({"1_nomembrane": Observation(v=shown())})
    with (
        pytest.raises(ProgramError, match="v of NoMembrane, whose state has no membrane v"),
        forward_by(program),
    ):
        network(NoMembrane())(drive())


class Twice(sw.LIF):
    """Fires at a threshold above and at one below."""

    @staticmethod
    def step(x: Tensor, state: Any, c: Any) -> tuple[Tensor, Any]:
        v = lif_integrate(x, state.v, c)
        return sw.spike(v - c.v_threshold) - sw.spike(-v - c.v_threshold), LIFState(v)


class Nowhere(sw.LIF):
    """Hands its membrane on as if it were a spike."""

    @staticmethod
    def step(x: Tensor, state: Any, c: Any) -> tuple[Tensor, Any]:
        v = lif_integrate(x, state.v, c)
        return v, LIFState(v)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(("model", "how"), [(Twice, "several times"), (Nowhere, "nowhere")])
def test_a_step_that_does_not_fire_in_one_place_is_refused(
    model: type[sw.LIF], how: str, backend: str
) -> None:
    program = Scripted({f"1_{model.__name__.lower()}": Observation(spikes=shown())})
    with pytest.raises(TraceError, match=f"got one that calls them {how}"), forward_by(program):
        network(model(backend=backend))(drive())  # type: ignore[arg-type]


def test_a_state_to_go_on_from_is_refused() -> None:
    net = network()
    _, state = net(drive())
    with pytest.raises(BackendError, match="a state to go on from"), forward_by(Itself()):
        net(drive(), state)


def in_vmap(net: sw.Network) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.func.vmap(lambda one: net(one)[0])(x[None])[0]


def compiled(net: sw.Network) -> Callable[[Tensor], Tensor]:
    return torch.compile(lambda x: net(x)[0], backend="aot_eager", fullgraph=True)


@pytest.mark.parametrize("around", [in_vmap, compiled])
def test_a_network_inside_a_compiler_or_transform_is_refused(
    around: Callable[[sw.Network], Callable[[Tensor], Tensor]],
) -> None:
    net = sw.Sequential(sw.Linear(4, 5), sw.LIF(), dt=1e-3, shape=(4,))
    with pytest.raises(Exception, match="must run by itself"), forward_by(Itself()):
        around(net)(drive())


def test_a_graph_that_was_compiled_before_does_not_run_in_software_unnoticed() -> None:
    net = sw.Sequential(sw.Linear(4, 5), sw.LIF(), dt=1e-3, shape=(4,))
    ready = compiled(net)
    ready(drive())
    with pytest.raises(BackendError, match="a graph made by torch"), forward_by(Itself()):
        ready(drive())


def test_what_a_program_runs_itself_stays_in_software() -> None:
    net = sw.Sequential(sw.Linear(4, 5), dt=1e-3, shape=(4,))
    calls: list[sw.Network] = []

    def show(network: sw.Network, x: Tensor) -> dict[str, Observation]:
        calls.append(network)
        network(x)
        return {}

    with forward_by(Scripted(show)):
        net(drive())
    assert calls == [net]
