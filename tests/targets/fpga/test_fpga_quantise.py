"""Ranges, scales and weights: the integer network against the float one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import CompileError, ParameterError
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.floats.network import AveragePool, FloatNetwork, FloatStage, ReLU
from spikewright.targets.fpga.inputs import encode, saturated_inputs
from spikewright.targets.fpga.integer import INPUT, Add, Convolution, Dense, SumPool
from spikewright.targets.fpga.quantising.calibrate import calibrate
from spikewright.targets.fpga.quantising.choose_shift import choose_shift
from spikewright.targets.fpga.quantising.histogram import Histogram
from spikewright.targets.fpga.quantising.quantise import quantise
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.quantising.round_weights import rounded, weight_scale
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.saturations import saturations
from targets.fpga.modules import CASES, case


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(4)


FINE = Quantisation(WeightQuantisation(8), bits=8, margin_bits=12)


def outputs(made: Quantised, x: Tensor) -> Tensor:
    sums = made.network.run(encode(made.network, x))
    return sums * made.network.stages[-1].scale


def error(made: Quantised, x: Tensor, wanted: Tensor) -> float:
    """Root mean square, over the spread of what is wanted."""
    return float((outputs(made, x) - wanted).square().mean().sqrt() / wanted.std())


@pytest.mark.parametrize("scales", ["free", "powers"])
@pytest.mark.parametrize("name", CASES)
def test_with_many_bits_the_integer_network_is_the_float_one(name: str, scales: str) -> None:
    module, x = case(name)
    if (name, scales) == ("mixed", "powers"):  # a mean over 9, and weights that cannot meet it
        with pytest.raises(CompileError, match=r"layer 'add.*Use scales='free'"):
            convert(module, x, replace(FINE, scales=scales))
        return
    with torch.no_grad():
        wanted = module(x)
    fine = error(convert(module, x, replace(FINE, scales=scales)), x, wanted)
    coarse = error(convert(module, x, replace(FINE, bits=4, scales=scales)), x, wanted)
    assert fine < 0.06
    assert fine < coarse


@pytest.mark.parametrize("name", CASES)
def test_each_scale_says_what_one_stands_for(name: str) -> None:
    module, x = case(name)
    made = convert(module, x, FINE)
    scales = {INPUT: made.network.scale}
    for stage in made.network.stages:
        given = [scales[source] for source in stage.inputs]
        unit = given[0]
        if stage.name in made.weights:
            real = made.weights[stage.name]
            unit = given[0] * real.scale
            assert math.isclose(unit, real.unit)
        elif isinstance(stage.operation, SumPool):
            unit = given[0] / math.prod(stage.operation.window)
        elif isinstance(stage.operation, Add):
            units = [s / 2**k for s, k in zip(given, stage.operation.shifts, strict=True)]
            assert max(units) / min(units) < 1 + 1e-9
            unit = units[0]
        shift = stage.requantise.shift if stage.requantise else 0
        assert math.isclose(stage.scale, unit * 2.0**shift, rel_tol=1e-9)
        scales[stage.name] = stage.scale


def test_the_calibrated_data_does_not_saturate_and_larger_does() -> None:
    module, x = case("images")
    made = convert(
        module, x, Quantisation(WeightQuantisation(8, "maximum"), bits=8, margin_bits=12)
    )
    near = saturations(made.network, encode(made.network, x))
    assert sum(near.values()) == 0
    assert saturated_inputs(made.network, x) == 0
    tight = convert(module, 0.5 * x, replace(FINE, input_top=1.0))
    assert sum(saturations(tight.network, encode(tight.network, x)).values()) > 0
    low = convert(module, 0.5 * x, FINE)
    assert saturated_inputs(low.network, x) == int((x > 0.5 * x.max() * (1 + 1 / 510)).sum())


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_input_s_one_is_the_largest_number_not_one_beyond(bits: int) -> None:
    module = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    made = convert(
        module, torch.linspace(0, 1, 99)[:, None], Quantisation(bits=bits, margin_bits=20)
    )
    assert made.network.scale == 1 / (2**bits - 1)
    ends = encode(made.network, torch.tensor([[0.0], [1.0]]))
    assert ends.flatten().tolist() == [0, 2**bits - 1]
    # Later activations have their weights' scales and shifts on top, no such share.
    real = made.weights["_0"]
    form = made.network.stages[0].requantise
    assert form is not None
    assert made.network.stages[0].scale == real.unit * 2.0**form.shift


@pytest.mark.parametrize(("bits", "sigma"), [(3, 3.0), (4, 2.0), (8, 3.0), (2, 0.5)])
def test_powers_with_a_sigma_clip_are_the_published_rule(bits: int, sigma: float) -> None:
    torch.manual_seed(bits)
    weight = torch.randn(20, 30) * 0.07 + 0.01
    net = FloatNetwork((30,), (FloatStage("out", (INPUT,), Dense(weight, torch.zeros(20))),))
    settings = Quantisation(WeightQuantisation(bits, "sigma", sigma), scales="powers")
    made = quantise(net, calibrate(net, torch.rand(9, 30)), settings)
    w = weight.double().numpy()
    limit = abs(w.mean()) + sigma * w.std()
    places = bits - math.ceil(math.log2(limit)) - 1
    wanted = np.clip(np.floor(w * 2.0**places + 0.5), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    np.testing.assert_array_equal(made.network.stages[0].operation.weight.numpy(), wanted)
    assert made.weights["out"].scale == 2.0**-places


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_clip_of_least_error_is_no_worse_than_any_of_a_fine_grid(bits: int) -> None:
    weight = torch.randn(500, generator=torch.Generator().manual_seed(bits), dtype=torch.float64)
    form = WeightQuantisation(bits)

    def squared(scale: float) -> float:
        return float((rounded(weight, scale, form) * scale - weight).square().sum())

    found = squared(weight_scale(weight, form))
    grid = [squared(float(s)) for s in torch.logspace(-3, 1, 2000)]
    assert found <= min(grid) * 1.01
    whole = weight_scale(weight, replace(form, clip="maximum"))
    q = rounded(weight, whole, form)
    assert float((q * whole - weight).abs().max()) <= whole / 2 * (1 + 1e-9)
    assert int(q.max()) == form.most or int(q.min()) == form.least


def test_single_layers_have_settings_of_their_own() -> None:
    module, x = case("images")
    layers = {"_8": WeightQuantisation(8)}
    made = convert(module, x, Quantisation(layers=layers, margin_bits=8))
    reach = {name: made.weights[name].form.bits for name in made.weights}
    assert reach == {"_0": 3, "_3": 3, "_8": 8}
    biggest = {
        stage.name: int(stage.operation.weight.abs().max())
        for stage in made.network.stages
        if isinstance(stage.operation, Convolution | Dense)
    }
    assert biggest["_0"] <= 4 < biggest["_8"] <= 128
    with pytest.raises(CompileError, match="layers must name products, got nothing"):
        convert(module, x, Quantisation(layers={"nothing": WeightQuantisation()}))


def linear(weight: float, bias: float = 0.0) -> FloatNetwork:
    dense = Dense(torch.tensor([[weight]]), torch.tensor([bias]))
    last = Dense(torch.tensor([[1.0]]), torch.tensor([0.0]))
    relu = FloatStage("relu", ("a",), ReLU())
    stages = (FloatStage("a", (INPUT,), dense), relu, FloatStage("out", ("relu",), last))
    return FloatNetwork((1,), stages)


@pytest.mark.parametrize("bias", [0.0, 0.5, -0.5])
def test_a_layer_of_zeros_gives_its_bias_and_nothing_else(bias: float) -> None:
    net = linear(0.0, bias)
    x = torch.rand(20, 1)
    made = quantise(net, calibrate(net, x))
    assert int(made.network.stages[0].operation.weight.abs().sum()) == 0
    found = outputs(made, x)
    assert float((found - max(bias, 0.0)).abs().max()) < 0.04
    assert made.silent == (("relu",) if bias <= 0 else ())


def test_a_layer_that_calibration_saw_silent_still_holds_what_may_come() -> None:
    net = linear(-1.0, 0.25)
    made = quantise(net, calibrate(net, torch.ones(5, 1)), replace(FINE, input_top=1.0))
    assert made.silent == ("relu",)
    x = torch.linspace(0, 0.25, 9)[:, None]
    assert float((outputs(made, x) - (0.25 - x)).abs().max()) < 0.02
    assert sum(saturations(made.network, encode(made.network, x)).values()) == 0


@pytest.mark.parametrize("top", [0.25, 1.0, 2.0, 8.0])
def test_a_range_of_exactly_a_power_of_two_is_held(top: float) -> None:
    seen = Histogram().add(torch.tensor([top]))
    for unit in (1.0, 0.125, 3.0):
        shift = choose_shift(seen, unit, 1000, Quantisation())
        assert unit * 2.0**shift * 15 >= top * (1 - 1e-9)
        assert unit * 2.0 ** (shift - 1) * 15 < top


def test_shifts_may_be_nothing_or_to_the_left() -> None:
    for top in (15.0, 3.0, 7.5):
        seen = Histogram().add(torch.tensor([top]))
        assert choose_shift(seen, 1.0, 1000, Quantisation()) == math.ceil(math.log2(top / 15))


def test_an_outlier_moves_the_maximum_but_not_the_percentile() -> None:
    values = torch.cat([torch.rand(10_000), torch.tensor([100.0])])
    seen = Histogram().add(values)
    wide, narrow, least = (
        choose_shift(seen, 2.0**-10, 10**9, Quantisation(ranges=ranges, percentile=99.0))
        for ranges in ("maximum", "percentile", "error")
    )
    assert narrow == 7  # 15 2^7 / 2^10 = 1.9, the half of it is below 0.99
    assert wide == 13
    assert narrow <= least <= wide


def test_a_histogram_in_parts_is_that_of_the_whole_and_near_the_values() -> None:
    values = torch.rand(5000, generator=torch.Generator().manual_seed(2)) ** 3 * 40
    parts = Histogram()
    for part in values.sort().values.split(700):
        parts = parts.add(part)
    whole = Histogram().add(values)
    assert torch.equal(parts.counts, whole.counts)
    assert parts.most == float(values.max())
    wanted = float(np.percentile(values.numpy(), 90))
    assert abs(whole.percentile(90) - wanted) < 0.05
    held = (torch.floor(values / 2.0 + 0.5).clamp(0, 15) * 2.0 - values).square().sum()
    assert math.isclose(whole.squared_error(2.0, 15), float(held), rel_tol=0.01)


def test_calibration_by_batches_is_that_of_all_at_once() -> None:
    module, x = case("lines", samples=600)
    whole, parts = convert(module, x), convert(module, iter(x.split(50)))
    for one, other in zip(whole.network.stages, parts.network.stages, strict=True):
        assert one.requantise == other.requantise


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.full((2, 1), -0.5), r"data must be 0 or more, as spikes are, got -0\.5"),
        (torch.full((2, 1), math.nan), "data must be finite"),
        (torch.zeros(0, 1), "data must hold at least one sample"),
    ],
)
def test_data_that_cannot_calibrate_is_refused(x: Tensor, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        calibrate(linear(1.0), x)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(CompileError, match="layer 'a' needs weights that are not finite"):
        convert(linear(math.inf), torch.rand(3, 1))


def test_sums_beyond_the_accumulator_are_refused_with_the_bound_and_the_fix() -> None:
    module, x = case("images")
    bounds = convert(module, x).network.bounds
    bits = max(bounds.values()).bit_length() + 1
    assert convert(module, x, Quantisation(accumulator_bits=bits)).network.bounds == bounds
    with pytest.raises(CompileError) as caught:
        convert(module, x, Quantisation(accumulator_bits=bits - 1))
    text = str(caught.value)
    assert f"sums up to {max(bounds.values()):,}" in text
    assert f"Use accumulator_bits={bits}" in text


def test_a_bias_beyond_its_margin_is_refused_with_the_margin_that_does() -> None:
    net = linear(0.001, 1.0)
    x = torch.rand(9, 1)
    with pytest.raises(CompileError, match="layer 'a' needs a bias of") as caught:
        quantise(net, calibrate(net, x))
    needed = int(str(caught.value).partition("margin_bits=")[2].partition(",")[0])
    quantise(net, calibrate(net, x), Quantisation(margin_bits=needed))
    with pytest.raises(CompileError, match="bias"):
        quantise(net, calibrate(net, x), Quantisation(margin_bits=needed - 1))


def pooled(window: int, other: int) -> FloatNetwork:
    """The input, averaged in two ways, added."""
    size = 12

    def pool(name: str, n: int) -> FloatStage:
        stride = size // 4
        pool = AveragePool((n, n), (stride, stride), (0, 0), n * n)
        return FloatStage(name, (INPUT,), pool)

    both = FloatStage("sum", ("one", "two"), Add((0, 0)))
    return FloatNetwork((1, size, size), (pool("one", window), pool("two", other), both))


@pytest.mark.parametrize(("window", "other"), [(3, 3), (2, 1), (1, 2)])
def test_means_of_any_window_are_added_where_shifts_bring_them_together(
    window: int, other: int
) -> None:
    net = pooled(window, other)
    x = torch.rand(30, 1, 12, 12)
    made = quantise(net, calibrate(net, x), FINE)
    assert float((outputs(made, x) - net.run(x)).abs().max()) < 0.02


def test_means_that_no_shift_brings_together_are_refused() -> None:
    net = pooled(3, 2)
    with pytest.raises(CompileError, match="layer 'sum' needs a sum of branches whose scales no"):
        quantise(net, calibrate(net, torch.rand(3, 1, 12, 12)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 9}, "bits must be a whole number from 1 to 8, got 9"),
        ({"ranges": "max"}, "ranges must be one of 'maximum'"),
        ({"scales": "none"}, "scales must be one of 'free', 'powers', got 'none'"),
        ({"percentile": 0.0}, r"percentile must be above 0 and at most 100, got 0\.0"),
        ({"input_top": -1.0}, r"input_top must be above 0 and finite, got -1\.0"),
        ({"input_top": 0.0}, r"input_top must be above 0 and finite, got 0\.0"),
        ({"accumulator_bits": 60}, "accumulator_bits must be whole, 2 to 53, got 60"),
        ({"margin_bits": -1}, "margin_bits must be whole, 0 to 32, got -1"),
        ({"accumulator_bits": 0}, "accumulator_bits must be whole, 2 to 53, got 0"),
        ({"margin_bits": 1.5}, "margin_bits must be whole, 0 to 32, got 1.5"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Quantisation(**options)  # pyright: ignore
    with pytest.raises(ParameterError, match="weight bits must be a whole number from 2 to 8"):
        WeightQuantisation(1)


def test_data_without_samples_or_with_labels_is_refused() -> None:
    for none in (torch.zeros(0, 4), []):
        with pytest.raises(CompileError, match="at least one sample"):
            convert(nn.Linear(4, 2), none)
    labelled = [(torch.rand(3, 4), torch.zeros(3))]
    with pytest.raises(CompileError, match="got batches of tuple"):
        convert(nn.Linear(4, 2), labelled)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CompileError, match="batches of tensors, got list"):
        convert(nn.Linear(4, 2), [torch.rand(3, 4), [1.0]])  # pyright: ignore[reportArgumentType]


def test_a_bias_that_no_margin_holds_has_a_way_out_that_works() -> None:
    module = nn.Linear(3, 2)
    nn.init.constant_(module.weight, 1e-14)
    nn.init.ones_(module.bias)
    x = torch.rand(5, 3)
    with pytest.raises(CompileError, match=r"layer '_' needs a bias .* Set its weights to 0"):
        convert(module, x)
    nn.init.zeros_(module.weight)
    made = convert(module, x, {"bits": 3})
    out = made.network.run(encode(made.network, x)) * made.network.stages[-1].scale
    torch.testing.assert_close(out, torch.ones(5, 2), rtol=0.02, atol=0)
