"""`profile` says what each layer costs, by which path, and leaves the network alone."""

from __future__ import annotations

import pytest
import torch

import spikewright as sw
from learning.tasks import same, weights
from spikewright.errors import ParameterError
from spikewright.learning import Surrogate

NEAR = sw.surrogate.SuperSpike(width=0.05, window=0.1)


def spikes(density: float = 0.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(20, 6, 80, generator=generator) < density).float()


def network(path: str = "auto") -> sw.Sequential:
    torch.manual_seed(0)
    return sw.Sequential(
        sw.Linear(80, 60, path=path),
        sw.LIF(v_threshold=0.05),
        sw.Linear(60, 40, path=path),
        sw.LIF(v_threshold=0.05),
        sw.Linear(40, 3, path=path),
        sw.LI(),
        dt=1e-3,
    )


def test_every_layer_has_its_density_its_path_and_its_times() -> None:
    net, x = network(), spikes()
    found = sw.profile(net, x, repeats=1)
    assert [layer.name for layer in found.layers] == list(net.layers)
    records = net.run(x).records
    density = float((records["1_lif"]["spikes"] != 0).double().mean())
    assert found["0_linear"].density == pytest.approx(float(x.double().mean()), rel=1e-6)
    assert found["2_linear"].density == pytest.approx(density, rel=1e-6)
    assert found["0_linear"].path.startswith("events (")
    assert found["1_lif"].path == "cpu (float32 on the CPU)"
    assert all(layer.forward > 0 for layer in found.layers)
    assert all((layer.backward or 0) > 0 for layer in found.layers)
    assert all(layer.active is None for layer in found.layers)


def test_a_window_shows_the_share_that_a_backward_pass_visits() -> None:
    found = sw.profile(network(), spikes(), surrogate=NEAR, repeats=1)
    targets = torch.zeros(6, dtype=torch.long)
    for health in sw.doctor(network(), (spikes(), targets), Surrogate(surrogate=NEAR)).layers:
        assert found[health.name].active == pytest.approx(health.active, rel=1e-9)
        assert 0 < health.active < 1


def test_a_dense_product_keeps_its_input_and_one_of_events_only_their_lists() -> None:
    x = spikes(0.02)
    dense, listed = (sw.profile(network(path), x, repeats=1) for path in ("dense", "events"))
    assert dense["0_linear"].kept == x.numel() * 4
    rows, number = 20 * 6, int(x.sum())
    assert listed["0_linear"].kept == (rows + 1) * 8 + number * 4
    assert dense["0_linear"].path == "dense (asked for)"


def test_the_network_its_gradients_and_the_random_streams_are_left_alone() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(sw.Linear(80, 30), sw.Dropout(0.5), sw.LIF(noise=1.0), dt=1e-3)
    before, stream = weights(net), torch.get_rng_state()
    sw.profile(net, spikes(), repeats=1)
    assert same(weights(net), before)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_branches_and_layers_that_need_no_gradient_are_profiled_too() -> None:
    a, b = sw.LIF(), sw.LIF()
    net = sw.Graph(
        {"flat": sw.Flatten(), "in": sw.Linear(80, 9), "a": a, "b": b, "out": sw.LI()},
        edges=[
            ("input", "flat"), ("flat", "in"), ("in", "a"), ("in", "b"), ("a", "out"), ("b", "out"),
        ],
        dt=1e-3,
    )  # fmt: skip
    found = sw.profile(net, spikes(), repeats=1)
    assert found["flat"].backward is None
    assert all(found[name].backward for name in ("in", "a", "b", "out"))


def test_the_printed_table_has_a_line_for_each_layer_and_the_dict_its_values() -> None:
    found = sw.profile(network(), spikes(), surrogate=NEAR, repeats=1)
    head, *lines = str(found).splitlines()
    assert head.split()[:3] == ["layer", "input", "active"]
    assert [line.split()[0] for line in lines] == [layer.name for layer in found.layers]
    assert found.to_dict()["1_lif"]["active"] == found["1_lif"].active


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(ParameterError, match="profile: repeats must be at least 1, got 0"):
        sw.profile(network(), spikes(), repeats=0)
