"""`sw.compile(module, "fpga")`: against NumPy by hand, the interpreter's clocks, and its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.compiler.modules.program import ModuleProgram
from spikewright.errors import CompileError, ParameterError, ProgramError, ShapeError
from spikewright.targets.fpga.artefact import OnFPGA
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.counting.activity_of import activity_of
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import read_program
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import Dense, IntegerNetwork
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.quantising.fine_tune import FineTuning, fine_tune
from spikewright.targets.fpga.quantising.reals import real_values
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.synthesis.energy import energy
from spikewright.targets.fpga.target import FPGA
from targets.fpga import plain
from targets.fpga.modules import CASES, case

WHOLE = Quantisation(WeightQuantisation(3, "maximum"), bits=4, input_top=1.0)


def worked(module: Any, x: Any, **options: Any) -> tuple[ModuleProgram, OnFPGA]:
    program = sw.compile(module, "fpga", calibration=x, **options)
    assert isinstance(program, ModuleProgram)
    assert isinstance(program.artefact, OnFPGA)
    return program, program.artefact


def two_by_two() -> tuple[nn.Module, Tensor]:
    """Weights that are whole already: nothing of them is rounded."""
    net = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 1.0]]))  # type: ignore[operator]
        net[0].bias.copy_(torch.tensor([0.0, 2 / 15]))  # type: ignore[operator]
    return net, torch.tensor([[0.2, 1.0], [0.0, 0.37], [1.0, 1.0]])


def test_a_product_worked_out_by_hand() -> None:
    program, artefact = worked(*two_by_two(), quantisation=WHOLE)
    # 15 x rounded: 3 and 15; 0 and 5.55, so 6; 15 and 15.
    sums = [[3 - 30, 9 + 15 + 2], [-12, 6 + 2], [15 - 30, 45 + 15 + 2]]
    assert artefact.sums(two_by_two()[1]).tolist() == sums
    np.testing.assert_allclose(
        program.run(two_by_two()[1]).numpy(), np.array(sums) / 15, rtol=1e-15
    )
    # Spikes: 3 = 0011, 15 = 1111; 0, 6 = 0110; 1111, 1111. Each meets two weights.
    additions = 2 * (2 + 4 + 0 + 2 + 4 + 4) / 3
    assert program.cost.total("synaptic_operations") == pytest.approx(additions)
    q = encode(artefact.network, two_by_two()[1]).numpy()
    counted = activity_of(artefact.program, q)
    assert counted.additions == pytest.approx(additions)
    assert program.cost.parts == energy(counted)
    assert program.cost.joules == pytest.approx(sum(energy(counted).values()))
    assert "additions" in str(program.cost)
    # Sums reach 4 * 15 + 2 = 62, so that 7 bits hold them; weights 3 bits.
    assert program.cost.total("weight_bits") == 4 * 3 + 2 * 7


@pytest.mark.parametrize("name", ["lines", "images"])
def test_the_twin_is_the_network_in_plain_loops(name: str) -> None:
    module, x = case(name, 6)
    program, artefact = worked(module, x)
    network = artefact.network
    levels = np.floor(x.double().numpy() / network.scale + 0.5).clip(0, 2**network.bits - 1)
    q = levels.astype(np.int64).reshape(6, *network.shape)
    wanted = plain.run(network, q)[network.stages[-1].name]
    np.testing.assert_array_equal(artefact.sums(x).numpy(), wanted)
    scaled = wanted * network.stages[-1].scale
    np.testing.assert_array_equal(program.run(x.reshape(6, -1)).numpy(), scaled)


@pytest.mark.parametrize("name", CASES)
def test_the_real_numbers_of_a_quantised_network_are_the_module(name: str) -> None:
    module, x = case(name)
    with torch.no_grad():
        wanted = module.double()(x.double())
    made = convert(module.float(), x)
    *_, (_, found) = real_values(made, x)
    assert float((found - wanted).abs().max()) < 2e-5 * float(wanted.abs().max())


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def test_time_is_the_clocks_of_the_interpreter_over_the_clock() -> None:
    torch.manual_seed(1)
    x = torch.rand(8, 1, 28, 28)
    program, artefact = worked(lenet(), x, clock=50e6, samples=4)
    assert program.agreement.samples == 4
    q = encode(artefact.network, x[:2]).numpy()
    assert interpret(artefact.program, q).cycles == artefact.cycles
    # That of the recipe lenet-fpga, whose accelerator the RTL's clocks are tested on.
    assert artefact.cycles == program.used["cycles"] == 90_045
    assert program.cost.seconds == 90_045 / 50e6
    assert "90,045 clocks an input: 1.801 ms at 50 MHz" in str(program)


def test_memory_is_what_the_images_hold(tmp_path: Path) -> None:
    program, artefact = worked(*case("images", 12), hardware={"units": 3, "linear": 2})
    artefact.emit(tmp_path)
    d = artefact.program.dimensions
    words = {path.stem: len(path.read_text().split()) for path in tmp_path.glob("*.mem")}
    bits = (
        32 * words["instructions"]
        + d.weight * (3 * words["kernels"] + 2 * words["weights"])
        + d.sum * (3 * words["kernel_biases"] + words["weight_biases"])
        + d.word * (d.depth_0 + d.depth_1)
    )
    assert program.used["memory"] == bits
    streamed, other = worked(
        *case("images", 12),
        hardware=Hardware(units=3, linear=2, stream_kernels=True, stream_weights=True),
    )
    weights = d.weight * (3 * words["kernels"] + 2 * words["weights"])
    assert streamed.used["memory"] == bits - weights
    assert other.memory["kernels"] == other.memory["weights"] == 0


def test_what_is_emitted_gives_the_answers_of_the_twin(tmp_path: Path) -> None:
    module, x = case("images", 12)
    program, artefact = worked(module, x)
    read = read_program(artefact.emit(tmp_path))
    q = encode(artefact.network, x)
    results = interpret(read, q.numpy()).results
    np.testing.assert_array_equal(results * artefact.network.stages[-1].scale, program.run(x))


def test_a_fine_tuned_network_compiles_with_the_settings_it_was_made_with() -> None:
    module, x = case("images", 32)
    made = convert(module, x, Quantisation(WeightQuantisation(4), bits=5))
    made = fine_tune(made, x, torch.randint(5, (32,)), FineTuning(epochs=1, batch_size=16))
    program, artefact = worked(made, x)
    assert artefact.network is made.network
    assert program.agreement.steps == 5
    *_, (_, wanted) = real_values(made, x)
    membrane = program.agreement.layers[-1].quantised.membrane_error
    error = (program.run(x) - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    assert membrane == pytest.approx(float(error))
    same = program.run(x).argmax(1) == wanted.argmax(1)
    assert program.agreement.same_answer[0] == pytest.approx(float(same.double().mean()))
    with pytest.raises(CompileError, match="must be left out for a network that is quantised"):
        worked(made, x, quantisation={"bits": 4})
    with pytest.raises(CompileError, match=r"calibration must be .* with features"):
        worked(made, x[:, :, :4])


def test_silence_and_saturation_are_counted_by_layer() -> None:
    module, x = case("images", 12)
    program, artefact = worked(module, x)
    assert artefact.saturations(x)["input"] == 0
    beyond = artefact.saturations(3 * x)
    levels = torch.floor(3 * x.double() / artefact.network.scale + 0.5)
    assert beyond["input"] == int((levels > 15).sum()) > 0
    named = {stage.name: value for stage, value in real_values(convert(module, x), x)}
    whole = {stage.name: v for stage, v in artefact.network.walk(encode(artefact.network, x))}
    for layer in program.agreement.layers[:-1]:
        quiet = int((whole[layer.layer] == 0).all(0).sum())
        assert layer.silent[1] == layer.silent[2] == quiet
        assert layer.neurons == named[layer.layer][0].numel()


class Images:
    """A split of a data set, whose samples take some steps."""

    def __init__(self, steps: int) -> None:
        self.code = sw.coding.Constant(steps, 1e-3)
        self.values = torch.rand(300, 12, generator=torch.Generator().manual_seed(3))

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.code(self.values[index], generator), torch.zeros(len(index))


def test_a_data_set_of_one_step_calibrates_and_one_of_several_does_not() -> None:
    module = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3))
    data = Images(1)
    program, artefact = worked(module, data)
    _, same = worked(module, data.values[:256])
    assert torch.equal(artefact.sums(data.values), same.sums(data.values))
    assert artefact.network.scale == float(data.values[:256].max()) / 15
    assert program.agreement.samples == 64
    with pytest.raises(CompileError, match="must have one time step, got 7 steps"):
        worked(module, Images(7))


def test_a_network_of_our_layers_compiles_as_its_twin_of_relus() -> None:
    torch.manual_seed(6)
    net = sw.Sequential(sw.Linear(12, 8), sw.IF(), sw.Linear(8, 3), sw.IF(), dt=1e-3)
    twin, x = sw.learning.proxy.as_torch(net), torch.rand(40, 12)
    settings = Quantisation(WeightQuantisation(8), bits=8, margin_bits=12)
    program, _ = worked(twin, x, quantisation=settings)
    with torch.no_grad():
        wanted = twin(x)
    assert float((program.run(x) - wanted).abs().max()) < 0.03 * float(wanted.abs().max())


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (torch.rand(0, 2), "not empty"),
        (torch.tensor([[float("nan"), 0.0]]), "finite"),
        ([[0.5, 0.5]], "batches of calibration must be tensors of one shape, .* got float"),
        (torch.tensor([[-0.5, 0.5]]), "0 or more"),
    ],
)
def test_calibration_that_makes_no_sense_is_refused(calibration: Any, words: str) -> None:
    with pytest.raises(CompileError, match=words):
        worked(two_by_two()[0], calibration)


@pytest.mark.parametrize("x", [torch.rand(3, 5), torch.rand(2), torch.full((1, 2), torch.inf)])
def test_an_input_that_does_not_fit_is_refused(x: Tensor) -> None:
    program, _ = worked(*two_by_two(), quantisation=WHOLE)
    with pytest.raises(ShapeError, match=r"input must be finite, \(batch, \*features\)"):
        program.run(x)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clock": 0.0}, "clock must be above 0 Hz"),
        ({"samples": 0}, "samples must be a whole number"),
        ({"memory": 0.5}, "memory must be None or whole"),
        ({"hardware": {"unit": 2}}, "got 'unit'. Did you mean 'units'"),
        ({"hardware": 4}, "its class or fields by name, got int"),
        ({"hardware": {"units": "many"}}, "units must be at least 1 and whole"),
        ({"quantisation": {"weights": {"bits": "many"}}}, "must be"),
        ({"quantisation": {"weights": {"bit": 3}}}, "got 'bit'. Did you mean 'bits'"),
        ({"quantisation": {"weights": {"bits": 9}}}, "whole number from 2 to 8"),
        ({"quantisation": {"layers": {"_0": {"bits": 1}}}}, "whole number from 2 to 8"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        FPGA(**options)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(CompileError, match=r"must be a trained torch\.nn.Module.*got function"):
        worked(two_by_two, torch.rand(3, 2))


def test_a_saved_program_of_which_another_would_be_made_now_is_refused() -> None:
    _, artefact = worked(*two_by_two(), quantisation=WHOLE)
    tensors, values = artefact.saved()
    target = FPGA()
    again = target.restore_module(tensors, values)
    assert again.cycles == artefact.cycles
    wrong: list[dict[str, Any]] = [
        values | {"program": "0" * 64},
        values | {"cycles": values["cycles"] + 1},
        values | {"silent": 3},
        {"network": values["network"]},
        values | {"network": values["network"] | {"bits": 9}},
    ]
    for each in wrong:
        with pytest.raises(ProgramError, match="Compile the network again"):
            target.restore_module(tensors, each)
    with pytest.raises(ProgramError, match="another program is made now"):
        FPGA(hardware=Hardware(units=5, linear=1)).restore_module(tensors, values)


def test_instructions_that_give_other_numbers_fail_the_compile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, x = two_by_two()
    made = convert(module, x, WHOLE)
    dense = made.network.stages[0].operation
    assert isinstance(dense, Dense)
    wrong = Dense(dense.weight + torch.eye(2, dtype=torch.int64), dense.bias)

    def other(network: IntegerNetwork, hardware: Hardware) -> Any:
        stages = (replace(network.stages[0], operation=wrong),)
        return assemble(replace(network, stages=stages), hardware)

    monkeypatch.setattr("spikewright.targets.fpga.artefact.assemble", other)
    with pytest.raises(CompileError, match="got others for 3 of 3 samples"):
        worked(made, x)
