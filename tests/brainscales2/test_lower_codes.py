"""Weights as codes in the synapses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spikewright as sw
from brainscales2.designs import (
    TAU,
    design,
    feed_forward,
    ideal,
    laid,
    on_chip,
    spikes,
    with_biases,
    with_weights,
)
from spikewright.compiler.formats import Fixed, integers
from spikewright.errors import ParameterError
from spikewright.targets.brainscales2.lowering.codes import signed_codes
from spikewright.targets.brainscales2.lowering.plan import Plan
from spikewright.targets.brainscales2.lowering.scale import SCALES
from spikewright.targets.brainscales2.lowering.wiring import projections


def heard(plan: Plan, run: int, source: str, target: str) -> np.ndarray:
    """(targets, sources): the sum of codes, with signs, that reach each circuit of a layer."""
    configuration, seat = plan.runs[run].configuration, plan.runs[run].seats[target]
    addresses = next(r.addresses for r in plan.runs[run].routes if r.source == source)
    found = np.zeros((len(seat.circuits), len(addresses)), dtype=int)
    for n, circuit in enumerate(seat.circuits):
        block, column = divmod(int(circuit), 256)
        for row in range(256):
            where = np.flatnonzero(addresses == configuration.row_address[block, row])
            sign = int(configuration.row_sign[block, row])
            found[n, where] += sign * int(configuration.weights[block, row, column])
    return found


def test_codes_are_rounded_to_the_nearest_with_halves_away_from_zero() -> None:
    codes, beyond = signed_codes(np.array([0.49, 0.5, -0.5, -1.5, 2.5, -0.49, 63.4]), 1.0)
    assert codes.tolist() == [0, 1, -1, -2, 3, 0, 63]
    assert beyond == 0


def test_codes_beyond_the_range_are_clipped_and_counted() -> None:
    codes, beyond = signed_codes(np.array([31.7, 31.8, -40.0]), 2.0)
    assert codes.tolist() == [63, 63, -63]
    assert beyond == 2


@pytest.mark.parametrize(
    ("sizes", "repeat"), [((5, 30, 3), 1), ((5, 30, 3), 2), ((100, 120, 60, 4), 1), ((20, 600), 2)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_what_reaches_a_circuit_is_what_the_network_says(
    sizes: tuple[int, ...], repeat: int, bias: bool
) -> None:
    spread = {f"w{k}": (0.2, 0.5) for k in range(len(sizes) - 1)}
    network = with_weights(feed_forward(*sizes, bias=bias), 0, **spread)
    if bias:
        with_biases(network, 1, **dict.fromkeys(spread, 0.4))
    x = spikes(20, 2, sizes[0])
    artefact, found = on_chip(network, x, repeat=repeat)
    scales = found.extra[SCALES]
    for p in projections(found.program):
        repeats = repeat if p.source == "input" or p.source.endswith(".bias") else 1
        scale = scales[p.target].weight / repeats
        expected = repeats * np.sign(p.weight) * np.floor(np.abs(p.weight) * scale + 0.5)
        shown = np.zeros(p.weight.shape)
        for k, run in enumerate(artefact.plan.runs):
            if p.target in run.seats:
                shown[run.seats[p.target].neurons] = heard(artefact.plan, k, p.source, p.target)
        np.testing.assert_array_equal(shown, expected)


def test_the_format_of_the_program_gives_the_codes_of_the_chip() -> None:
    network = with_weights(feed_forward(6, 20, 3), 1, w0=(0.3, 0.6), w1=(0.0, 0.4))
    artefact, found = on_chip(network, spikes(20, 2, 6))
    for name, source, target in (("w0", "input", "n0"), ("w1", "n0", "out")):
        node = found.program.node(name)
        assert isinstance(node.weight_format, Fixed)
        codes = integers(network.layers[name].weight.detach(), node.weight_format)  # type: ignore[arg-type]
        np.testing.assert_array_equal(codes.numpy(), heard(artefact.plan, 0, source, target))


@pytest.mark.parametrize("repeat", [1, 2])
def test_the_format_of_a_bias_gives_the_codes_of_its_rows(repeat: int) -> None:
    network = with_weights(feed_forward(6, 20, 3, bias=True), 1, w0=(0.3, 0.6), w1=(0.0, 0.4))
    with_biases(network, 2, w0=0.4, w1=0.3)
    artefact, found = on_chip(network, spikes(20, 2, 6), repeat=repeat)
    for name, target in (("w0", "n0"), ("w1", "out")):
        form, bias = found.program.node(name).bias_format, network.layers[name].bias
        assert isinstance(form, Fixed)
        codes = integers(bias.detach(), form)[:, None].numpy()  # type: ignore[union-attr]
        np.testing.assert_array_equal(
            repeat * codes, heard(artefact.plan, 0, f"{target}.bias", target)
        )


def test_biases_on_several_ways_and_behind_products_are_added_up() -> None:
    torch.manual_seed(0)
    branches = {
        "a": sw.Conv2d(1, 2, 3, padding=1), "pool": sw.AvgPool2d(2), "flat": sw.Flatten(),
        "w": sw.Linear(8, 3), "straight": sw.Flatten(), "u": sw.Linear(16, 3),
        "out": sw.CubaLI(**TAU),
    }  # fmt: skip
    sources = {
        "a": ("input",), "pool": ("a",), "flat": ("pool",), "w": ("flat",),
        "straight": ("input",), "u": ("straight",), "out": ("w", "u"),
    }  # fmt: skip
    network = sw.Network(branches, sources, dt=1e-6)
    network.build((1, 4, 4))
    program = design(network).program
    (bias,) = (p for p in projections(program) if p.source == "out.bias")
    nothing = torch.zeros(1, 1, 1, 4, 4)
    expected = 0.0
    for way in (("a", "pool", "flat", "w"), ("straight", "u")):
        value = nothing
        for name in way:
            value, _ = network.layers[name](value)
        expected = expected + value.flatten().detach().double().numpy()
    np.testing.assert_allclose(bias.weight[:, 0], expected, rtol=1e-5)
    found, _ = laid(network, spikes(10, 2, 1, 4, 4))
    assert all(node.bias_format is None for node in found.program.nodes)  # none is a code itself


def test_the_largest_weight_of_a_layer_has_the_largest_code() -> None:
    network = with_weights(feed_forward(6, 20, 3), 1, w0=(0.3, 0.6), w1=(0.0, 0.4))
    found, _ = laid(network, spikes(20, 2, 6))
    for name, target in (("w0", "n0"), ("w1", "out")):
        largest = float(network.layers[name].weight.detach().abs().max())  # type: ignore[union-attr]
        assert found.extra[SCALES][target].weight == pytest.approx(63 / largest, rel=1e-6)


def test_weights_too_large_for_the_synapses_bring_the_threshold_nearer_and_are_clipped() -> None:
    network = with_weights(feed_forward(6, 20, 3), 1, w0=(0.0, 4.0), w1=(0.0, 0.4))
    found, target = laid(network, spikes(20, 2, 6))
    scale = found.extra[SCALES]["n0"]
    assert scale.per_unit == pytest.approx(30.0)
    assert any("clipped" in note and "'n0'" in note for note in found.notes)
    artefact = target.lower(found)
    weight = network.layers["w0"].weight.detach().double()  # type: ignore[union-attr]
    clipped = int((weight.abs() * scale.weight >= 63.5).sum())
    assert clipped > 0
    assert artefact.saturations()["n0"] == clipped


def test_repeated_rows_make_room_for_larger_weights() -> None:
    network = with_weights(feed_forward(6, 20, 3), 1, w0=(0.0, 2.5), w1=(0.0, 0.4))
    once, twice = (
        laid(network, spikes(20, 2, 6), repeat=repeat)[0].extra[SCALES]["n0"] for repeat in (1, 2)
    )
    assert once.per_unit < 50.0
    assert twice.per_unit > once.per_unit


def test_a_fixed_weight_scale_is_taken_over_and_refused_where_no_synapse_reaches_it() -> None:
    network = with_weights(feed_forward(6, 20, 3), 1, w0=(0.3, 0.3), w1=(0.0, 0.4))
    x = spikes(20, 2, 6)
    found, target = laid(network, x, weight_scale={"n0": 40.0})
    assert found.extra[SCALES]["n0"].weight == 40.0
    assert target.check(found) == []
    found, target = laid(network, x, weight_scale=0.5)
    limits = {(broken.layer, broken.limit) for broken in target.check(found)}
    assert ("n0", "gain") in limits or ("n0", "potentials") in limits


def test_a_weight_scale_for_a_layer_that_there_is_not_is_refused() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'n0'"):
        laid(feed_forward(6, 20, 3), spikes(20, 2, 6), weight_scale={"n00": 40.0})


def test_a_convolution_and_a_pool_are_unrolled_into_synapses() -> None:
    torch.manual_seed(0)
    network = sw.Sequential(
        {
            "conv": sw.Conv2d(1, 2, 3, stride=2, padding=1, bias=False), "n": sw.CubaLIF(**TAU),
            "pool": sw.AvgPool2d(2), "flat": sw.Flatten(), "w": sw.Linear(8, 3, bias=False),
            "out": sw.CubaLI(**TAU),
        },
        dt=1e-6, shape=(1, 8, 8),
    )  # fmt: skip
    x = spikes(20, 2, 1, 8, 8)
    artefact, found = on_chip(network, x)
    image = torch.rand(1, 1, 1, 8, 8)
    conv, _ = network.layers["conv"](image)
    codes = heard(artefact.plan, 0, "input", "n") / found.extra[SCALES]["n"].weight
    unrolled = codes @ image.flatten().double().numpy()
    assert np.abs(unrolled - conv.flatten().detach().numpy()).max() < 0.5 * 9 / 63
    second = next(p for p in projections(found.program) if p.target == "out")
    values = torch.rand(1, 1, 2, 4, 4)
    through = values
    for name in ("pool", "flat", "w"):
        through, _ = network.layers[name](through)
    expected = through.flatten().detach().double().numpy()
    np.testing.assert_allclose(
        second.weight @ values.flatten().double().numpy(), expected, rtol=1e-5
    )


def test_a_chip_is_not_needed_to_lay_a_network_out() -> None:
    network = with_weights(feed_forward(6, 20, 3), 1, w0=(0.3, 0.6), w1=(0.0, 0.4))
    one, _ = laid(network, spikes(20, 2, 6), chip=ideal())
    other, _ = laid(network, spikes(20, 2, 6), chip=ideal(latency=1e-6))
    assert [p.units.tolist() for p in one.places] == [p.units.tolist() for p in other.places]
