"""Networks of spiking layers in whole numbers: exact, bounded, and near the floating network."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright.errors import CompileError, ParameterError, ProgramError, ShapeError
from spikewright.neurons.base import Neuron
from spikewright.neurons.firing import Firing
from spikewright.targets.fpga.lif.clocks import busy_clocks
from spikewright.targets.fpga.lif.emit import emit, images, made
from spikewright.targets.fpga.lif.fix import fix
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.operations import OPERATIONS, width
from spikewright.targets.fpga.lif.ranges import ranges_of
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.targets.fpga.lif.signed_digits import fixed_coefficient, signed_digits
from spikewright.targets.fpga.lif.step import BIAS, SUM, Line
from targets.fpga.lif_networks import CASES, filled, spikes
from targets.fpga.lif_plain import run_plain

GOLDENS = Path(__file__).parent / "lif_goldens"
DT = 1e-3
RESETS = [
    Firing(), Firing(reset="subtract"), Firing(reset="none"), Firing(inclusive=True),
    Firing(detach_reset=False),
]  # fmt: skip
KINDS = {
    "IF": lambda **k: sw.IF(v_threshold=0.8, **k),
    "LIF": lambda **k: sw.LIF(tau_mem=7e-3, r=6.0, v_leak=0.15, v_reset=-0.1, **k),
    "CubaLIF": lambda **k: sw.CubaLIF(tau_mem=9e-3, tau_syn=4e-3, r=5.0, v_leak=0.1, **k),
}


def plain_of(net):
    """The neurons of each layer."""
    return [it for it in net.modules() if isinstance(it, Neuron)]


def agrees(net, chosen, x, calibration=None):
    """The twin equals plain integers, layer for layer; what the layers did."""
    fixed = fix(net, chosen, calibration)
    ran, given = fixed.walk(x), x
    for layer, neuron, it in zip(fixed.layers, plain_of(net), ran, strict=True):
        for sample in range(x.shape[1]):
            told, cut = run_plain(layer, neuron, DT, given[:, sample], chosen)
            assert it.outputs[:, sample].tolist() == told
            assert it.saturated[sample] == cut
        given = it.outputs
    return fixed, ran


@pytest.mark.parametrize("firing", RESETS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_twin_equals_plain_integers(kind, firing):
    refractory = {"refractory": 2e-3} if firing.inclusive else {}
    neuron = KINDS[kind](firing=firing, **refractory)
    net = filled(sw.Sequential(sw.Linear(6, 5), sw.Recurrent(neuron), dt=DT))
    x = spikes(30, 2, 6, 0.3)
    _, ran = agrees(net, FixedPoint(), x, torch.from_numpy(x).float())
    assert 0.02 < ran[0].outputs.mean() < 0.98


def test_twin_equals_plain_integers_through_layers_and_where_states_are_cut():
    net = filled(sw.Sequential(
        sw.Linear(5, 6), KINDS["IF"](), sw.Linear(6, 4, bias=False), sw.Recurrent(KINDS["LIF"]()),
        sw.Linear(4, 3), sw.CubaLI(tau_mem=9e-3, tau_syn=4e-3), dt=DT,
    ))  # fmt: skip
    x = spikes(40, 2, 5, 0.3) * 3
    quiet = torch.from_numpy(spikes(40, 2, 5, 0.02)).float()
    _, ran = agrees(net, FixedPoint(membrane=8, weight=4, coefficient=7, spikes=3), x, quiet)
    assert ran[0].saturated.min() > 5
    assert ran[2].outputs.std() > 2


@given(st.integers(0, 10**6), st.integers(3, 9), st.integers(11, 18), st.integers(4, 14))
@settings(max_examples=15, deadline=None)
def test_random_formats_agree(seed, weight, membrane, coefficient):
    rng = np.random.RandomState(seed)
    kind = list(KINDS)[seed % 3]
    net = sw.Sequential(sw.Linear(3, 3), sw.Recurrent(KINDS[kind]()), dt=DT)
    filled(net)
    chosen = FixedPoint(weight=weight, membrane=membrane, coefficient=coefficient)
    x = (rng.rand(15, 1, 3) < 0.4).astype(np.int64)
    agrees(net, chosen, x, torch.from_numpy(x).float())


def test_lif_by_hand():
    net = sw.Sequential(sw.Linear(1, 1, bias=False), sw.LIF(tau_mem=DT / np.log(2), r=2.0), dt=DT)
    with torch.no_grad():
        next(net.parameters()).fill_(0.75)
    fixed = fix(net, FixedPoint(weight=4, membrane=8))
    (layer,) = fixed.layers
    # gain 1, so the weight 0.75 is 6 / 8; the bound 6 / (1 - 1/2) = 12 of 8ths fits 8 bits to 2^-6
    assert (layer.weight.item(), layer.places, layer.fraction) == (6, 3, 6)
    # in 64ths: 48; 24 + 48 = 72 > 64 fires and is reset; 48; 24; 12 + 48 = 60; 30 + 48 = 78 fires
    x = np.array([1, 1, 1, 0, 1, 1]).reshape(-1, 1, 1)
    assert fixed.run(x).ravel().tolist() == [0, 1, 0, 0, 0, 1]
    assert layer.proved


def test_ranges_hold_every_number_that_comes_up():
    for make, _ in CASES.values():
        fixed = make()
        step = fixed.layers[0].step
        rng = np.random.RandomState(0)
        names = [SUM, BIAS, *(field.argument for field in step.fields)]
        corners = [step.ranges[name] for name in names]
        drawn = [rng.randint(low, high + 1, 4000) for low, high in corners]
        ends = np.array(list(itertools.product(*corners))).T
        given = [np.concatenate([d, e]) for d, e in zip(drawn, ends, strict=True)]
        values = dict(zip(names, given, strict=True))
        for line in step.lines:
            operands = [values[o] if isinstance(o, str) else o for o in line.operands]
            values[line.target] = OPERATIONS[line.operation].compute(*operands)
            low, high = step.ranges[line.target]
            assert low <= values[line.target].min()
            assert values[line.target].max() <= high


def test_a_proof_says_that_no_input_reaches_the_ends():
    fixed = CASES["single"][0]()
    (layer,) = fixed.layers
    assert layer.proved
    # The worst inputs: always those that drive one neuron up, or down.
    for n, sign in itertools.product(range(layer.neurons), (1, -1)):
        row = (layer.weight[:, n] * sign > 0).astype(np.int64)
        x = np.broadcast_to(row, (200, 1, fixed.inputs))
        assert fixed.walk(x)[0].saturated.sum() == 0
    field = layer.step.fields[0]
    assert width(layer.step.ranges[layer.step.after[0]]) == field.bits
    finer = fix(filled(sw.Sequential(sw.Linear(6, 5), sw.LIF(tau_mem=8e-3, r=4.0), dt=DT)),
                FixedPoint(membrane=17)).layers[0]  # fmt: skip
    assert finer.fraction == layer.fraction + 1


def test_a_choice_counts_only_where_it_is_made():
    lines = [Line("over", "gt", ("v", 10)), Line("kept", "select", ("over", 0, "v"))]
    assert ranges_of(lines, {"v": (-5, 90)})["kept"] == (-5, 10)
    assert ranges_of(lines, {"v": (20, 90)})["kept"] == (0, 0)


@pytest.mark.parametrize("number", range(-70, 71))
def test_signed_digits_make_the_number_and_are_never_neighbours(number):
    digits = signed_digits(number)
    assert sum(sign * 2**power for sign, power in digits) == number
    powers = [power for _, power in digits]
    assert all(a - b >= 2 for a, b in itertools.pairwise(powers))


@pytest.mark.parametrize("value", [0.9512, 0.3, 0.0442, 1.7, 0.99])
def test_coefficients_are_near(value):
    whole, places = fixed_coefficient(value, 12, None, "it")
    assert abs(Fraction(whole) / Fraction(2) ** places - Fraction(value)) <= Fraction(value) / 2**12
    short, fewer = fixed_coefficient(value, 12, 2, "it")
    assert len(signed_digits(short)) <= 2
    assert abs(short / 2.0**fewer - value) < 0.2 * value


def recurrent(backend):
    torch.manual_seed(3)
    return sw.Sequential(
        sw.Linear(24, 32), sw.Recurrent(sw.LIF(tau_mem=10e-3, r=8.0, backend=backend)),
        sw.Linear(32, 3), sw.LIF(tau_mem=10e-3, r=8.0, backend=backend), dt=DT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """A small recurrent network that tells three rates of spikes apart, its counts, and labels.

    Trained by the reference, which needs no compiler.
    """
    labels = torch.arange(120) % 3
    rates = torch.rand(3, 24, generator=torch.Generator().manual_seed(1)) * 0.3
    x = torch.from_numpy(np.random.RandomState(2).rand(25, 120, 24) < rates[labels].numpy()).float()
    net = recurrent("reference")
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(net(x[:, :60])[0].sum(0), labels[:60])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        counts = net(x[:, 60:])[0].sum(0)
    compiled = recurrent("auto")
    compiled.load_state_dict(net.state_dict())
    return compiled, x[:, 60:], counts, labels[60:]


def test_a_trained_network_keeps_its_answers_and_its_spikes(trained):
    net, x, counts, labels = trained
    right = (counts.argmax(1) == labels).float().mean()
    assert right > 0.85
    errors = {}
    formats = {3: FixedPoint(weight=3), 8: FixedPoint(), 15: FixedPoint(15, 24, 18)}
    for bits, chosen in formats.items():
        found = torch.from_numpy(fix(net, chosen, x).run(x)).sum(0)
        errors[bits] = float((found - counts).abs().sum() / counts.sum())
        if bits == 8:
            assert abs((found.argmax(1) == labels).float().mean() - right) <= 0.05  # 3 of 60
    assert errors[15] < 0.01
    assert errors[15] < errors[8] < 0.1
    assert errors[3] > 2 * errors[8]  # or else the bits would not act


REFUSED = [
    ([sw.LIF()], (3,), "'0_lif' must keep to Linear layers before neurons, got Neurons"),
    ([sw.Linear(3, 2)], None, "'0_linear' must keep to neurons behind a Linear layer, got none"),
    ([sw.Linear(3, 2), sw.LI(), sw.Linear(2, 2), sw.LIF()], None, "spikes between layers"),
    ([sw.Linear(3, 2), sw.LIF(noise=0.1)], None, "no noise, got LIF"),
    ([sw.Linear(3, 2), sw.LIF(tau_mem=torch.tensor([1e-2, 2e-2]))], None, "one value of 'decay'"),
    ([sw.Linear(3, 2), sw.AdEx()], None, "'1_adex' must keep"),
    ([sw.Linear(3, 2), sw.IF(firing=Firing(reset="subtract", max_spikes=3))], None, "got 't"),
    ([sw.Linear(3, 2), sw.LIF(tau_mem=100.0)], None, "must differ from 1 in 12 bits"),
    ([sw.Linear(3, 2), sw.IF()], None, "must have a bound that holds for every input"),
]


@pytest.mark.parametrize(("layers", "shape", "message"), REFUSED, ids=lambda it: str(it)[:40])
def test_what_the_core_cannot_run_is_refused(layers, shape, message):
    net = filled(sw.Sequential(*layers, dt=DT, **({"shape": shape} if shape else {})))
    with pytest.raises(CompileError) as refused:
        fix(net)
    assert message in str(refused.value)


def test_numbers_that_would_vanish_are_refused():
    net = filled(sw.Sequential(sw.Linear(3, 2), sw.LIF(), dt=DT))
    with pytest.raises(CompileError, match="must not vanish with -3 binary places, got 1"):
        fix(net, calibration=torch.full((5, 1, 3), 1e6))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    with pytest.raises(CompileError, match="'1_lif' must not all be 0, got 6 zeros"):
        fix(net)


def test_settings_and_inputs_out_of_range_are_refused():
    with pytest.raises(ParameterError, match="weight must be a whole number from 2 to 16, got 1"):
        FixedPoint(weight=1)
    with pytest.raises(ParameterError, match="digits must be a whole number from 1 to 12, got 0"):
        FixedPoint(digits=0)
    with pytest.raises(ParameterError, match="lanes must be at least 1, got 0"):
        Lanes(0)
    with pytest.raises(ParameterError, match="queue must be a power of two from 4, got 6"):
        Lanes(queue=6)
    fixed = CASES["single"][0]()
    with pytest.raises(ParameterError, match="one number or 1, one a layer, got 2"):
        Lanes((2, 2)).of(fixed)
    for wrong in (np.full((2, 1, 6), 2), np.full((2, 1, 6), 0.5), np.zeros((2, 6))):
        with pytest.raises(ShapeError, match="spikes from 0 to 1"):
            fixed.run(wrong)


def test_files_are_written_where_tools_find_them(tmp_path):
    fixed = CASES["single"][0]()
    emit(fixed, tmp_path, Lanes(2))
    words = (tmp_path / "weights_0.mem").read_text().split()
    assert len(words) == 6 * 3  # rows times groups of 2 lanes
    first = int(words[0], 16)
    assert first % 256 == fixed.layers[0].weight[0, 0] % 256
    assert first >> 8 == fixed.layers[0].weight[0, 1] % 256
    assert "module lif_core" in (tmp_path / "rtl" / "lif_core.sv").read_text()
    with pytest.raises(ProgramError, match="must be writable"):
        emit(fixed, tmp_path / "weights_0.mem")


@pytest.mark.parametrize("name", CASES)
def test_goldens(name):
    """What Verilator answered when the goldens were written, and the text it was given."""
    make, lanes = CASES[name]
    fixed, chosen, folder = make(), Lanes(lanes), GOLDENS / name
    vectors = json.loads((folder / "vectors.json").read_text())
    for file, text in (made(fixed, chosen) | images(fixed, chosen)).items():
        assert (folder / file).read_text() == text, file
    x = np.array(vectors["inputs"])
    ran = fixed.walk(x)
    assert ran[-1].outputs.tolist() == vectors["outputs"]
    assert [it.saturated.tolist() for it in ran] == vectors["saturated"]
    assert busy_clocks(fixed, x, chosen).tolist() == vectors["busy"]
