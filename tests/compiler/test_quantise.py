"""Scales of number formats: against NumPy, against exhaustive search, and on whole programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import spikewright as sw
from spikewright.compiler.design import Design
from spikewright.compiler.discrete import Neurons
from spikewright.compiler.formats import Fixed, Real, Spikes, integers, quantised
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.quantise import Quantise, requantise
from spikewright.compiler.passes.scales import choose_scale, least_squares
from spikewright.compiler.software.observe import observe
from spikewright.compiler.tensors import tensors_of, weight_of
from spikewright.errors import ParameterError

Array = NDArray[np.float64]


def weights(kind: str, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    drawn = {
        "normal": random.normal(size=700),
        "heavy": random.standard_t(2, size=700),
        "uniform": random.uniform(-3, 3, size=700),
        "few": np.array([1.0, 0.5, -0.25, 0.75]),
        "one-sided": np.abs(random.normal(size=300)),
        "sparse": np.where(random.random(500) < 0.9, 0.0, random.normal(size=500)),
    }
    return torch.from_numpy(drawn[kind])


def squared_error(values: Array, scale: float, most: int) -> float:
    """Written from the definition, in NumPy."""
    q = np.clip(np.floor(values / scale + 0.5), -most, most)
    return float(np.mean((q * scale - values) ** 2))


KINDS = ["normal", "heavy", "uniform", "few", "one-sided", "sparse"]


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mse_scale_is_as_good_as_the_best_of_a_fine_grid(kind: str, bits: int) -> None:
    values, most = weights(kind), 2 ** (bits - 1) - 1
    scale = float(choose_scale(values[None], most, "mse"))
    mine = squared_error(values.numpy(), scale, most)
    widest = float(values.abs().max()) / most
    grid = [squared_error(values.numpy(), s * widest, most) for s in np.linspace(0.01, 2, 6000)]
    assert mine <= 1.005 * min(grid) + 1e-15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0, 99.9, 100.0])
def test_the_percentile_is_that_of_numpy(kind: str, percentile: float) -> None:
    values = weights(kind)
    expected = np.percentile(np.abs(values.numpy()), percentile) / 7
    expected = expected or np.abs(values.numpy()).max() / 7
    scale = float(choose_scale(values[None], 7, "percentile", percentile))
    assert scale == pytest.approx(expected, rel=1e-12)


def test_the_range_holds_the_largest_value_exactly() -> None:
    values = weights("normal")
    scale = choose_scale(values[None], 127, "range")[0]
    held = quantised(values, Fixed(8, scale))
    assert float(held.abs().max()) == pytest.approx(float(values.abs().max()), rel=1e-12)
    assert float((held - values).abs().max()) <= float(scale) / 2 * (1 + 1e-12)


def test_rows_are_scaled_each_by_itself() -> None:
    values = torch.stack([weights("normal"), 100 * weights("normal", seed=1)])
    together = choose_scale(values, 7, "mse")
    alone = torch.stack([choose_scale(row[None], 7, "mse")[0] for row in values])
    assert torch.equal(together, alone)


def test_zeros_have_a_scale() -> None:
    for method in ("range", "percentile", "mse"):
        assert float(choose_scale(torch.zeros(1, 5), 7, method)) > 0


def net(seed: int = 0) -> sw.Network:
    torch.manual_seed(seed)
    made = sw.Sequential(
        sw.Conv2d(1, 4, 3), sw.LIF(tau_mem=5e-3), sw.Flatten(), sw.Linear(144, 6),
        sw.CubaLIF(tau_mem=10e-3), sw.Recurrent(sw.LIF(r=20.0)), sw.Linear(6, 3), sw.LI(),
        dt=1e-3, shape=(1, 8, 8),
    )  # fmt: skip
    with torch.no_grad():
        for name, factor in (("0_conv2d", 8.0), ("3_linear", 20.0), ("6_linear", 2.0)):
            made.layers[name].weight.mul_(factor)  # or hardly a neuron fires
        made.layers["5_recurrent"].connection.weight.mul_(8.0)
    return made.eval()


def sample(seed: int = 1, steps: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, 3, 1, 8, 8, generator=generator) < 0.5).float()


def apply(x: torch.Tensor, **options: Any) -> Design:
    return Quantise(x, **options).apply(Design(discretise(net())))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_per_channel_is_never_worse_than_per_layer_by_mse(bits: int) -> None:
    layer = apply(sample(), weights=bits, method="mse", per="layer").program
    channel = apply(sample(), weights=bits, method="mse", per="channel").program
    compared = 0
    for one, other in zip(layer.nodes, channel.nodes, strict=True):
        weight = weight_of(one)
        if weight is None:
            continue
        errors = [
            float((quantised(weight, n.weight_format) - weight).double().square().mean())
            for n in (one, other)
        ]
        assert errors[1] <= errors[0] * (1 + 1e-6)
        compared += 1
    assert compared == 4


def test_per_channel_has_a_scale_for_each_output_and_per_layer_one() -> None:
    for per, sizes in (("layer", [1, 1, 1, 1]), ("channel", [4, 6, 6, 3])):
        program = apply(sample(), per=per).program
        formats = [n.weight_format for n in program.nodes if n.weight_format is not None]
        assert [f.scale.numel() for f in formats] == sizes


def test_weights_in_a_program_are_whole_multiples_of_their_scale() -> None:
    program = apply(sample(), weights=5, per="channel").program
    node = program.node("3_linear")
    form = node.weight_format
    q = integers(weight_of(node), form)
    assert int(q.abs().max()) == 15
    assert torch.equal(quantised(weight_of(node), form), q * form.scale)


def small() -> tuple[sw.Network, torch.Tensor]:
    torch.manual_seed(0)
    made = sw.Sequential(
        sw.Linear(5, 12), sw.CubaLIF(tau_mem=10e-3), sw.Linear(12, 3), sw.LI(), dt=1e-3
    )
    with torch.no_grad():
        made.layers["0_linear"].weight.mul_(8.0)
    return made.eval(), (torch.rand(30, 4, 5) < 0.4).float()


def test_states_hold_what_the_float_program_reaches_on_the_sample() -> None:
    made, x = small()
    source = discretise(made)
    program = Quantise(x, weights=None, states=8).apply(Design(source)).program
    seen = observe(source, x).seen
    assert float(seen["1_cubalif"].spikes.sum()) > 0
    for name in ("1_cubalif", "3_li"):
        node = program.node(name)
        assert isinstance(node.operation, Neurons)
        form = node.operation.formats["v"]
        assert isinstance(form, Fixed)
        most = float(seen[name].v.abs().max())
        assert float(form.scale) == pytest.approx(most / 127, rel=1e-6)


def test_a_program_of_fixed_states_keeps_to_them() -> None:
    made, x = small()
    program = Quantise(x, weights=4, states=8).apply(Design(discretise(made))).program
    for name in ("1_cubalif", "3_li"):
        v = observe(program, x).seen[name].v
        form = program.node(name).operation.formats["v"]
        q = v / form.scale
        assert float((q - q.round()).abs().max()) < 1e-4
        assert float(q.abs().max()) <= 127 + 1e-4


@pytest.mark.parametrize("steps", [1, 5, 200])
def test_a_refractory_period_is_as_long_with_states_in_few_bits(steps: int) -> None:
    made = sw.Sequential(sw.IF(refractory=steps * 1e-3), dt=1e-3, shape=(2,)).eval()
    x = torch.full((450, 1, 2), 1.5)
    design = Quantise(x, weights=None, states=6).apply(Design(discretise(made)))
    assert design.program.node("0_if").operation.formats["remaining"] == Spikes(steps)
    spikes = observe(design.program, x).seen["0_if"].spikes
    assert spikes[:, 0, 0].nonzero().flatten().tolist() == list(range(0, 450, steps + 1))


def test_notes_say_which_biases_stay_floating() -> None:
    design = apply(sample(), weights=4)
    biased = {node.name for node in design.program.nodes if "bias" in tensors_of(node)}
    said = {note.split("'")[1] for note in design.notes if "its bias stays floating" in note}
    assert said == biased != set()


def test_spikes_at_the_input_stay_spikes_and_other_numbers_get_a_scale() -> None:
    x = sample()
    assert apply(x, inputs=4).program.input_format == Spikes(1)
    form = apply(x * 0.7, inputs=4).program.input_format
    assert isinstance(form, Fixed)
    assert float(form.scale) == pytest.approx(0.1)


def test_without_bits_nothing_changes() -> None:
    design = apply(sample(), weights=None)
    assert all(node.weight_format is None for node in design.program.nodes)
    assert isinstance(design.program.input_format, Real)
    assert design.notes == ()


def test_notes_say_how_many_weights_vanish() -> None:
    design = apply(sample(), weights=2)
    weight = net().layers["3_linear"].weight.detach()
    limit = float(weight.abs().max()) / 2
    lost = int((weight.abs() < limit).sum())
    [note] = [n for n in design.notes if "3_linear" in n]
    assert f"{lost:,} of 864 weights become 0" in note


def test_frozen_scales_are_put_on_changed_weights() -> None:
    first = apply(sample(), weights=4, states=8, per="channel").program
    changed = net(seed=5)
    again = requantise(discretise(changed), first)
    for node, model in zip(again.nodes, first.nodes, strict=True):
        assert node.weight_format is model.weight_format
    node = again.node("3_linear")
    expected = changed.layers["3_linear"].weight
    assert torch.equal(weight_of(node), expected)
    held = quantised(expected, node.weight_format)
    scale = first.node("3_linear").weight_format.scale
    assert torch.equal(held, (expected / scale + 0.5).floor().clamp(-7, 7) * scale)


def test_more_bits_come_closer_to_the_float_program() -> None:
    x = sample(steps=30)
    wanted = observe(discretise(net()), x).seen["7_li"].v
    errors = []
    for bits in (4, 8, 14):
        got = observe(apply(x, weights=bits).program, x).seen["7_li"].v
        errors.append(float((got - wanted).square().mean()))
    assert errors[2] < errors[0]
    assert errors[2] <= 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": 1}, "weights must be None or 2 to 32 bits, got 1"),
        ({"states": 40}, "states must be None or 2 to 32 bits, got 40"),
        ({"per": "row"}, "per must be 'layer' or 'channel', got 'row'"),
        ({"method": "precentile"}, "Did you mean 'percentile'?"),
        ({"percentile": 0.0}, "percentile must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message.replace("?", r"\?")):
        Quantise(sample(), **options)


def test_one_more_start_never_makes_the_search_worse() -> None:
    values = weights("heavy")[None]
    widest = choose_scale(values, 7)
    plain = least_squares(values, widest, 7)
    other = least_squares(values, widest, 7, also=plain)
    mine, again = (squared_error(values[0].numpy(), float(s), 7) for s in (plain, other))
    assert again <= mine * (1 + 1e-12)


def test_a_pass_leaves_the_design_that_it_was_given() -> None:
    design = Design(discretise(net()))
    before = replace(design)
    Quantise(sample(), weights=4).apply(design)
    assert design.program is before.program
    assert all(node.weight_format is None for node in design.program.nodes)
