from __future__ import annotations

import pytest
import torch

import spikewright as sw
from network.nets import spikes
from spikewright.errors import NetworkError, ParameterError


def test_layers_are_named_by_place_and_kind() -> None:
    net = sw.Sequential(sw.Flatten(), sw.Linear(None, 5), sw.CubaLIF(), dt=1e-3)
    assert list(net.layers) == ["0_flatten", "1_linear", "2_cubalif"]
    assert net.sources == {
        "0_flatten": ("input",),
        "1_linear": ("0_flatten",),
        "2_cubalif": ("1_linear",),
    }


def test_names_can_be_given_for_all_layers_or_for_some() -> None:
    net = sw.Sequential({"w": sw.Linear(6, 5), "hidden": sw.LIF()}, sw.Linear(5, 2), dt=1e-3)
    assert list(net.layers) == ["w", "hidden", "1_linear"]


def test_the_output_is_that_of_the_layers_called_one_after_the_other() -> None:
    net = sw.Sequential(sw.Linear(6, 5), sw.LIF(v_threshold=0.05), sw.Linear(5, 2), dt=1e-3)
    x = spikes(12, 3, 6)
    expected = x
    net.build((6,))
    for layer in net.layers.values():
        expected, _ = layer(expected)
    assert expected.any()
    assert torch.equal(net(x)[0], expected)


def test_open_sizes_are_taken_from_the_first_sample() -> None:
    net = sw.Sequential(
        sw.Conv2d(None, 4, 3), sw.LIF(), sw.Flatten(), sw.Linear(None, 2), sw.LI(), dt=1e-3
    )
    assert net.shape is None
    out, _ = net(torch.rand(3, 2, 1, 5, 5))
    assert net.shape == (1, 5, 5)
    assert net.layers["0_conv2d"].weight.shape == (4, 1, 3, 3)
    assert net.layers["3_linear"].weight.shape == (2, 36)
    assert out.shape == (3, 2, 2)


def test_sizes_that_are_given_are_bound_at_once_so_an_optimiser_may_follow() -> None:
    named = sw.Sequential(sw.Linear(6, 5), sw.Linear(None, 2), dt=1e-3)
    shaped = sw.Sequential(sw.Flatten(), sw.Linear(None, 2), dt=1e-3, shape=(2, 3))
    assert named.layers["1_linear"].weight.shape == (2, 5)
    assert shaped.layers["1_linear"].weight.shape == (2, 6)
    assert named.build((6,)) == (2,)


def message(*layers: object, **options: object) -> str:
    with pytest.raises((NetworkError, ParameterError)) as caught:
        sw.Sequential(*layers, **{"dt": 1e-3, **options})
    return str(caught.value)


def test_no_layers_at_all_are_refused() -> None:
    assert message() == (
        "Sequential: layers must be at least one, got none. Pass Linear(5, 3), say."
    )


def test_a_torch_module_is_refused_with_the_way_to_wrap_it() -> None:
    assert message(sw.Linear(3, 3), torch.nn.ReLU()) == (
        "Sequential: layer '1_relu' must be a spikewright Layer, got ReLU. "
        "Wrap it: Fold(module) applies a torch module at each step."
    )
    assert message(sw.LIF).endswith("must be a spikewright Layer, got type. Pass layers.")


@pytest.mark.parametrize("name", ["input", "a.b", ""])
def test_a_name_that_state_dicts_or_edges_cannot_hold_is_refused(name: str) -> None:
    assert message({name: sw.LIF()}) == (
        "Sequential: a layer's name must be non-empty, without '.', and not 'input', got "
        f"{name!r}. Rename it."
    )


def test_a_name_given_twice_is_refused_instead_of_dropping_a_layer() -> None:
    assert message({"a": sw.Linear(3, 3)}, {"a": sw.LIF()}) == (
        "Sequential: a layer's name must be used once, got 'a' twice. Rename one of them."
    )


def test_layers_that_do_not_fit_are_named() -> None:
    assert message(sw.Linear(6, 5), sw.LIF(), sw.Linear(4, 2)) == (
        "network: layer '2_linear': Linear: input features must be (4,), got (5,). "
        "Set in_features to 5, or to None to infer it."
    )


@pytest.mark.parametrize("dt", [0, -1e-3, float("nan"), float("inf")])
def test_a_time_step_that_is_none_is_refused(dt: float) -> None:
    assert message(sw.LIF(), dt=dt) == (
        f"Sequential: dt must be a positive, finite time in seconds, got {dt!r}. "
        "Pass for example dt=1e-3 for a step of 1 ms."
    )


def test_a_time_constant_far_below_dt_is_refused_with_the_layer() -> None:
    assert message(sw.Linear(6, 5), sw.LIF(tau_mem=1e-6)) == (
        "network: layer '1_lif': LIF: tau_mem must be at least 0.1 dt = 100 µs, got 1 µs. "
        "Use a smaller dt, or a model without this time constant."
    )


def test_dt_is_bound_once() -> None:
    layer = sw.LIF()
    sw.Sequential(layer, dt=1e-3, shape=(3,))
    sw.Sequential(layer, dt=1e-3, shape=(3,))
    assert message(layer, dt=2e-3, shape=(3,)) == (
        "network: layer '0_lif': LIF: dt must be the network's, 1 ms, got 2 ms. "
        "Make a new layer for the other network."
    )


def test_an_input_that_does_not_fit_leaves_the_network_open_for_one_that_does() -> None:
    net = sw.Sequential(sw.Flatten(), sw.Recurrent(sw.LIF()), sw.Linear(16, 3), dt=1e-3)
    with pytest.raises(NetworkError, match=r"layer '2_linear': .* must be \(16,\), got \(25,\)"):
        net(torch.rand(5, 2, 5, 5))
    assert net.shape is None
    assert net(torch.rand(5, 2, 4, 4))[0].shape == (5, 2, 3)
