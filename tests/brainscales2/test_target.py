"""The target BrainScaleS2 behind the one door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from brainscales2.designs import feed_forward, ideal, spikes, with_biases, with_weights
from spikewright.errors import ParameterError, ProgramError
from spikewright.targets.brainscales2.calibration import nominal
from spikewright.targets.brainscales2.lowering.wiring import projections
from spikewright.targets.brainscales2.settings import same_for_all
from spikewright.targets.brainscales2.target import BrainScaleS2
from spikewright.targets.brainscales2.twin import Twin

X = spikes(30, 6, 5)


def network() -> sw.Network:
    return with_weights(feed_forward(5, 20, 3), 5, w0=(0.7, 0.3), w1=(0.0, 0.2)).eval()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"acceleration": 0.0}, "acceleration"),
        ({"repeat": 0}, "repeat"),
        ({"settings": "best"}, "settings"),
        ({"weight_scale": -1.0}, "weight_scale"),
        ({"weight_scale": {"n0": 0.0}}, "weight_scale"),
        ({"record": ("v", "w")}, "record"),
        ({"record": "v"}, "record"),
        ({"chip": ideal(), "mismatch": 0.2}, "mismatch"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError, match=f"BrainScaleS2: {name} must be"):
        BrainScaleS2(**options)


def test_options_reach_the_twin_and_make_the_target_again() -> None:
    target = BrainScaleS2(mismatch=0.2, noise=0.5, chip_seed=7, record=("spikes",), repeat=2)
    assert target.device.identity()["seed"] == 7
    again = BrainScaleS2(**target.options)
    assert again.device.identity() == target.device.identity()
    assert (again.repeat, list(again.record)) == (2, ["spikes"])


def test_a_saved_program_runs_on_its_chip_again_and_on_no_other(tmp_path: Path) -> None:
    program = sw.compile(network(), BrainScaleS2(chip=Twin(3)), calibration=X)
    program.save(tmp_path)
    again = sw.Program.load(tmp_path, BrainScaleS2(chip=Twin(3)))
    assert torch.equal(again.run(X), program.run(X))
    with pytest.raises(ProgramError, match="the chip must be that of the program"):
        sw.Program.load(tmp_path, BrainScaleS2(chip=Twin(4)))


def test_a_loaded_program_takes_over_other_weights(tmp_path: Path) -> None:
    program = sw.compile(network(), "brainscales2", calibration=X)
    program.save(tmp_path)
    again = sw.Program.load(tmp_path)
    other = with_weights(network(), 8, w0=(0.6, 0.2))
    for one in (program, again):
        one.reload(other)
    assert torch.equal(again.run(X), program.run(X))


def test_weights_in_training_stay_within_the_largest_code() -> None:
    net = network()
    program = sw.compile(net, "brainscales2", calibration=X)
    limit = float(net.layers["w0"].weight.detach().abs().max())  # type: ignore[union-attr]
    with torch.no_grad():
        net.layers["w0"].weight.mul_(3.0)  # type: ignore[union-attr]
    program.reload(net)
    assert float(net.layers["w0"].weight.detach().abs().max()) == pytest.approx(limit, rel=1e-5)  # type: ignore[union-attr]
    assert program.artefact.saturations()["n0"] == 0


def with_bias() -> sw.Network:
    net = with_weights(feed_forward(5, 20, 3, bias=True), 5, w0=(0.7, 0.3), w1=(0.0, 0.2))
    return with_biases(net, 2, w0=0.1, w1=0.1).eval()


def test_biases_stay_within_the_largest_code_and_are_taken_over() -> None:
    net = with_bias()
    program = sw.compile(net, BrainScaleS2(chip=ideal()), calibration=X)
    before = program.run(X)
    limit = float(net.layers["w0"].weight.detach().abs().max())  # type: ignore[union-attr]
    with torch.no_grad():
        net.layers["w0"].bias.copy_(torch.linspace(-2 * limit, 2 * limit, 20))  # type: ignore[union-attr]
        net.layers["w1"].bias.add_(0.05)  # type: ignore[union-attr]
    program.reload(net)
    bias = net.layers["w0"].bias.detach()  # type: ignore[union-attr]
    assert float(bias.abs().max()) == pytest.approx(limit, rel=1e-5)
    assert int((bias.abs() < limit * 0.999).sum()) == 10
    assert program.artefact.saturations()["n0"] == 0
    assert not torch.equal(program.run(X), before)


def test_training_in_the_loop_moves_biases() -> None:
    torch.manual_seed(0)
    net, data = with_bias(), sw.data.YinYang(sizes=(100, 20, 20))
    program = sw.compile(net, "brainscales2", calibration=data)
    first = {name: net.layers[name].bias.detach().clone() for name in ("w0", "w1")}  # type: ignore[union-attr]
    rule = sw.learning.Surrogate(learning_rate=5e-3, decoder=sw.coding.Max())
    sw.fit(net, data, rule, forward=program, epochs=1, batch_size=50, progress=False)
    for name, before in first.items():
        moved = (net.layers[name].bias.detach() - before).abs()  # type: ignore[union-attr]
        assert float((moved > 1e-3).double().mean()) > 0.8
    program.reload(net)
    codes = {p.source: p.weight for p in projections(program.design.program)}
    assert codes["n0.bias"][:, 0] == pytest.approx(net.layers["w0"].bias.detach().numpy())  # type: ignore[union-attr]


def test_a_normalisation_is_folded_into_weights_and_a_bias() -> None:
    layers = feed_forward(5, 20, 3).layers
    made = sw.Sequential(
        {
            "w0": layers["w0"], "norm": sw.BatchNorm(20), "n0": layers["n0"],
            "w1": layers["w1"], "out": layers["out"],
        },
        dt=1e-6,
    )  # fmt: skip
    net = with_weights(made, 5, w0=(0.5, 0.3), w1=(0.0, 0.2))
    with torch.no_grad():
        net.layers["norm"].bias.normal_(0.05, 0.05)  # type: ignore[union-attr]
    program = sw.compile(net.eval(), BrainScaleS2(chip=ideal()), calibration=X)
    assert program.artefact.plan.runs[0].sent.keys() == {"input", "n0.bias"}  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = net(X)[0]
    error = program.run(X) - expected
    assert float(error.square().mean().sqrt()) < 0.05 * float(expected.abs().max())


def test_acceleration_brings_a_slow_network_to_the_speed_of_the_chip() -> None:
    """The same network in ms gives what it gives in µs."""

    def outputs(unit: float, acceleration: float) -> Tensor:
        made = feed_forward(5, 20, 3, dt=unit, tau_mem=6 * unit, tau_syn=6 * unit)
        slow = with_weights(made, 5, w0=(0.7, 0.3), w1=(0.0, 0.2))
        target = BrainScaleS2(chip=ideal(), acceleration=acceleration)
        return sw.compile(slow.eval(), target, calibration=X).run(X)

    fast, slow = outputs(1e-6, 1.0), outputs(1e-3, 1000.0)
    assert float((fast - slow).abs().max()) < 0.02 * float(fast.abs().max())


def test_settings_found_before_are_used_as_they_are() -> None:
    settings = nominal(same_for_all(v_threshold=150.0))
    target = BrainScaleS2(chip=ideal(), settings=settings)
    program = sw.compile(network(), target, calibration=X, allow_silent=["n0"])
    artefact: Any = program.artefact
    assert artefact.plan.runs[0].configuration.codes is settings.codes
    assert "settings" not in target.options


def test_settings_that_differ_are_told_apart() -> None:
    given = [nominal(same_for_all(tau_mem=tau)) for tau in (6e-6, 6e-6, 9e-6)]
    said = [BrainScaleS2(settings=one).describe()["settings"] for one in given]
    assert said[0] == said[1] != said[2]
    assert BrainScaleS2().describe()["settings"] == "nominal"


def test_what_is_used_is_said_by_the_names_of_the_limits() -> None:
    target = BrainScaleS2(chip=ideal())
    program = sw.compile(network(), target, calibration=X)
    used = target.used(program.design)
    assert set(used) <= {limit.name for limit in target.limits}
    assert (used["neuron circuits"], used["rows"], used["signed inputs"]) == (23, 50, 20)
    assert used["largest time constant"] == pytest.approx(6.0)


def test_calibration_brings_a_chip_nearer_to_the_software() -> None:
    x = spikes(38, 60, 5)
    errors = [
        sw.compile(network(), BrainScaleS2(chip=Twin(1), settings=settings), calibration=x)
        .agreement.layers[-1]
        .artefact.membrane_error
        for settings in ("nominal", "calibrated")  # type: ignore[arg-type]
    ]
    assert errors[1] < 0.6 * errors[0]  # type: ignore[operator]


@pytest.mark.slow
def test_yin_yang_loses_little_on_an_ideal_chip_more_with_mismatch_less_when_calibrated() -> None:
    from spikewright.recipes.yin_yang import RECIPE, YinYangSettings

    settings = YinYangSettings(epochs=4)
    torch.manual_seed(0)
    data, net = RECIPE.data(settings), RECIPE.network(settings)
    net.build((5,))
    RECIPE.prepare(net, data, settings)
    sw.fit(net, data, RECIPE.rule(settings), epochs=4, batch_size=50, seed=0, progress=False)
    x, labels = data.test.batch(torch.arange(1000), None)

    def accuracy(output: Tensor) -> float:
        return float((output[1:].amax(0).argmax(1) == labels).double().mean())

    with torch.no_grad():
        software = accuracy(net.eval()(x)[0])
    chips = {
        "ideal": BrainScaleS2(chip=ideal(dt=0.1e-6)),
        "nominal": BrainScaleS2(chip=Twin(0)),
        "calibrated": BrainScaleS2(chip=Twin(0), settings="calibrated"),
    }
    found = {
        name: accuracy(sw.compile(net, target, calibration=data).run(x))
        for name, target in chips.items()
    }
    assert software > 0.92
    assert found["ideal"] > software - 0.02
    assert found["nominal"] < found["ideal"] - 0.02
    assert found["calibrated"] > found["nominal"] + 0.02
