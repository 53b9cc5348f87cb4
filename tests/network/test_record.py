from __future__ import annotations

import pytest
import torch

import spikewright as sw
from network.nets import NETS, sequence, skip, spikes
from spikewright.errors import ParameterError


def test_spikes_and_state_fields_are_recorded_by_layer() -> None:
    net, x = NETS["cuba"](), spikes(11, 3, 6)
    run = net.run(x, record=("spikes", "v", "i"))
    assert {name: sorted(traces) for name, traces in run.records.items()} == {
        "1_cubalif": ["i", "spikes", "v"],
        "3_cubali": ["i", "v"],
    }
    assert all(t.shape[:2] == (11, 3) for r in run.records.values() for t in r.values())


@pytest.mark.parametrize("name", ["cuba", "noise and refractory", "recurrent with noise"])
def test_the_last_row_of_a_trace_is_the_state_and_recording_changes_nothing(name: str) -> None:
    net = NETS[name]().eval()
    assert net.shape is not None
    x = spikes(11, 3, *net.shape)
    torch.manual_seed(5)
    plain, _ = net(x)
    torch.manual_seed(5)
    run = net.run(x, record=("v", "spikes"))
    assert torch.equal(run.output, plain)
    checked = 0
    for layer, traces in run.records.items():
        state = run.state[layer]
        while hasattr(state, "neuron"):
            state = state.neuron
        assert torch.equal(traces["v"][-1], state.v)
        checked += 1
    assert checked


def test_a_membrane_trace_is_that_of_a_run_step_by_step() -> None:
    net, x = NETS["cuba"](), spikes(9, 2, 6)
    trace = net.run(x, record=("v",)).records["1_cubalif"]["v"]
    state = None
    for t in range(len(x)):
        _, state = net(x[t : t + 1], state)
        assert torch.equal(trace[t], state["1_cubalif"].v)


@pytest.mark.parametrize("name", ["cuba", "recurrent"])
def test_traces_take_part_in_the_gradient(name: str) -> None:
    net = NETS[name]()
    x = spikes(9, 2, 6)

    def gradient(backend: str) -> torch.Tensor:
        for layer in net.layers.values():
            if hasattr(layer, "backend"):
                layer.backend = backend
        net.zero_grad()
        traces = net.run(x, record=("v", "spikes")).records["1_" + net_kind(net)]
        (traces["v"].square().sum() + traces["spikes"].sum()).backward()
        return net.layers["0_linear"].weight.grad.clone()

    fused = gradient("auto")
    assert fused.any()
    torch.testing.assert_close(fused, gradient("reference"), rtol=1e-5, atol=1e-6)


def net_kind(net: sw.Network) -> str:
    return list(net.layers)[1].split("_")[1]


def test_nothing_is_recorded_on_request_of_nothing() -> None:
    assert skip().run(spikes(4, 2, 6), record=()).records == {}


def test_a_readout_has_no_spikes_to_record() -> None:
    net = sequence(sw.Linear(6, 2), sw.LI())
    assert net.run(spikes(4, 2, 6)).records == {}


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    net = sequence(sw.Linear(6, 2), sw.CubaLIF())
    with pytest.raises(ParameterError) as caught:
        net.run(spikes(4, 2, 6), record=("spike",))
    assert str(caught.value) == (
        "network: record must name 'spikes' or state fields of its layers, got 'spike'. "
        "Did you mean 'spikes'?"
    )


def test_explain_says_for_each_layer_what_runs_it_and_why() -> None:
    net = sequence(
        sw.Linear(6, 9, path="dense"),
        sw.CubaLIF(),
        sw.Linear(9, 4),
        sw.Recurrent(sw.LIF()),
        sw.LI(backend="reference"),
    )
    assert net.explain(spikes(20, 8, 6)).splitlines() == [
        "network      dt 1 ms, input (20, 8, 6)",
        "0_linear     Linear: dense (asked for)",
        "1_cubalif    CubaLIF: cpu (float32 on the CPU)",
        "2_linear     Linear: dense (too few outputs to look for events)",
        "3_recurrent  Recurrent: cpu (float32 on the CPU, recurrence inside the kernel)",
        "4_li         LI: reference (asked for)",
    ]


def test_a_network_shows_its_layers_and_its_time_step() -> None:
    text = repr(sequence(sw.Linear(6, 2), sw.LIF(tau_mem=15e-3)))
    assert "dt=1 ms" in text
    assert "(0_linear): Linear(6, 2, bias=True)" in text
    assert "tau_mem=0.015" in text
