"""`sw.compile(network, "fpga-lif")`: the exact twin, its units, files, clocks and refusals."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.compiler.discrete import Neurons
from spikewright.compiler.formats import Fixed, Spikes, integers
from spikewright.compiler.network_program import NetworkProgram
from spikewright.engine.forward import forward_by
from spikewright.errors import CompileError, ParameterError, ProgramError, ShapeError
from spikewright.targets.fpga.lif.artefact import OnLIFCore
from spikewright.targets.fpga.lif.clocks import busy_clocks
from spikewright.targets.fpga.lif.emit import images
from spikewright.targets.fpga.lif.fix import fix
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.targets.fpga.memory import read_image
from targets.fpga.lif_networks import SUBTRACT, filled, spikes

NUMBERS = {"weight": 6, "membrane": 14, "spikes": 2}
LANES = {"lanes": [4, 2], "queue": 8}


def network(tau_mem: float = 9e-3) -> sw.Network:
    """A recurrent layer that is silent for a while after a spike, and a readout with a bias."""
    firing = sw.LIF(tau_mem=tau_mem, r=5.0, firing=SUBTRACT, v_leak=0.1, refractory=2e-3)
    readout = sw.LI(tau_mem=9e-3, r=3.0)
    net = sw.Sequential(
        sw.Linear(9, 11), sw.Recurrent(firing), sw.Linear(11, 3), readout, dt=1e-3
    )  # fmt: skip
    return filled(net).eval()


def sample(batch: int = 4) -> Tensor:
    return torch.from_numpy(spikes(30, batch, 9, 0.15) * 2).float()


@functools.cache
def made() -> tuple[NetworkProgram, OnLIFCore]:
    program = sw.compile(
        network(), "fpga-lif", calibration=sample(), numbers=NUMBERS, lanes=LANES, clock=50e6
    )
    assert isinstance(program, NetworkProgram)
    assert isinstance(program.artefact, OnLIFCore)
    return program, program.artefact


def test_it_is_what_fix_makes_of_the_network_in_the_units_of_its_readout() -> None:
    program, artefact = made()
    fixed = fix(network(), FixedPoint(**NUMBERS), sample())
    x = torch.from_numpy(spikes(25, 3, 9, 0.3, seed=7)).float()
    ran = fixed.walk(x.numpy())
    scale = 2.0 ** -fixed.layers[-1].fraction
    assert torch.equal(program.run(x), torch.from_numpy(ran[-1].outputs).float() * scale)
    assert images(artefact.network, Lanes(2)) == images(fixed, Lanes(2))
    seen = artefact.observe(x, 0)
    hidden = seen[fixed.layers[0].name]
    assert hidden.spikes is not None
    assert hidden.v is not None
    np.testing.assert_array_equal(hidden.spikes.numpy(), ran[0].outputs)
    assert artefact.saturations() == {
        layer.name: it.saturated.sum() for layer, it in zip(fixed.layers, ran, strict=True)
    }
    # The membrane of a neuron that spiked a step ago stands still: it is refractory.
    v, fired = hidden.v.numpy(), ran[0].outputs.astype(bool)
    assert fired[:-1].sum() > 20
    assert (v[1:][fired[:-1]] == v[:-1][fired[:-1]]).all()


def test_formats_in_the_program_are_those_of_the_core() -> None:
    program, artefact = made()
    hidden, out = artefact.network.layers
    design = program.design.program
    for layer, fixed in zip((hidden, out), (hidden.weight, out.weight), strict=True):
        neurons = design.node(layer.name)
        (source, *_) = [edge.source for edge in neurons.edges]
        node = design.node(source)
        form: Any = node.weight_format
        assert isinstance(form, Fixed)
        q = integers(node.operation.weight, form).numpy()  # type: ignore[union-attr]
        np.testing.assert_array_equal(q.T, fixed)
        assert isinstance(neurons.operation, Neurons)
        v: Any = neurons.operation.formats["v"]
        assert (v.bits, float(v.scale)) == (14, 2.0**-layer.fraction)
    counter: Any = list(design.node(hidden.name).operation.formats.values())[-1]  # type: ignore[union-attr]
    assert isinstance(counter, Spikes)
    assert counter.maximum >= 2


def test_a_stream_cut_anywhere_gives_what_a_run_gives() -> None:
    program, _ = made()
    x = sample()[:, :1]
    wanted = program.run(x)[:, 0]
    stream = program.stream()
    parts = [stream.run(x[a:b, 0]) for a, b in ((0, 1), (1, 1), (1, 13), (13, 30))]
    assert torch.equal(torch.cat(parts), wanted)
    stream.reset()
    assert torch.equal(torch.stack([stream.step(row) for row in x[:, 0]]), wanted)


def test_clocks_and_memory_by_hand() -> None:
    program, artefact = made()
    x = sample()
    np.testing.assert_array_equal(
        artefact.cycles(x), busy_clocks(artefact.network, x.numpy(), Lanes((4, 2), 8))
    )
    # Lanes 4 and 2: 3 groups of 11 neurons, and 2 of 3; two spikes a line, 11 of its own; 4 ranks
    # of registers in a neuron.
    assert artefact.most_clocks == 3 * (2 * 9 + 11) + (3 + 4 + 4) + 11 + 1
    assert program.used["cycles"] == artefact.most_clocks
    memory = artefact.memory
    assert memory["weights"] == (20 * 12 + 11 * 4) * 6
    assert memory["states"] == 12 * (14 + 3) + 4 * 14  # 0 to 2 steps of silence, and a sign
    assert memory["queues"] == 8 * (2 + 4) + 16 * 4 + 8 * (2 + 4)
    assert program.used["memory"] == sum(memory.values())
    streamed = artefact.on(Lanes((4, 2), 8, stream_weights=True), 1e8)
    assert streamed.memory == {**memory, "weights": 0}
    assert streamed.summary()["identity"] != artefact.summary()["identity"]
    busiest = artefact.cycles(x).max(0).mean()
    assert program.cost.seconds == pytest.approx(busiest / 50e6)
    assert f"{artefact.most_clocks:,} a step" in str(program)
    words = [word for name, text in images(artefact.network, Lanes((4, 2), 8)).items()
             for word in text.split() if name.startswith("weights")]  # fmt: skip
    assert len(words) == 20 * 3 + 11 * 2


def test_files_hold_what_the_program_runs(tmp_path: Path) -> None:
    program, artefact = made()
    folder = artefact.emit(tmp_path / "core")
    assert "module lif_core" in (folder / "rtl" / "lif_core.sv").read_text()
    words = read_image((folder / "weights_1.mem").read_text(), 6, 2).reshape(11, 4)
    np.testing.assert_array_equal(words[:, :3], artefact.network.layers[1].weight)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["lanes"] == [4, 2]
    assert summary["memory_bits"] == artefact.memory
    assert (summary["inputs"], summary["outputs"]) == ([9], [3])
    assert summary["seconds"] == artefact.most_clocks / 50e6
    # Numbers of the readout times that scale are what a program gives.
    told = artefact.network.run(sample().numpy())
    assert torch.equal(
        program.run(sample()).double(), torch.from_numpy(told * summary["output_scale"])
    )


def test_a_loaded_program_takes_over_weights_as_the_saved_one(tmp_path: Path) -> None:
    net, x = network(), sample()
    program = sw.compile(net, "fpga-lif", calibration=x, numbers=NUMBERS, lanes=LANES)
    program.save(tmp_path)
    again = sw.Program.load(tmp_path)
    assert again.kind == program.kind
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.7)
    before = program.run(x)
    program.reload(net)
    again.reload(net)
    assert torch.equal(again.run(x), program.run(x))
    assert not torch.equal(program.run(x), before)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda it: it.pop("points"), "KeyError"),
        (lambda it: it["points"].popitem(), "KeyError"),
        (lambda it: it.update(points=[1]), "AttributeError"),
        (lambda it: it["points"].update({k: [10**9, 2] for k in it["points"]}), "binary points"),
        (lambda it: it["points"].update({k: [6, 2] for k in it["points"]}), "another network"),
        (lambda it: it.update(network="0"), "another network"),
    ],
)
def test_values_that_nothing_saved_are_refused(change: Any, fault: str) -> None:
    program, artefact = made()
    tensors, values = artefact.saved()
    values = json.loads(json.dumps(values))
    target: Any = program.target
    assert target.restore(program.design, tensors, values).saved() == (tensors, values)
    change(values)
    with pytest.raises(ProgramError, match=f"binary points for its program.*{fault}"):
        target.restore(program.design, tensors, values)
    with pytest.raises(ProgramError, match="no tensors of its own"):
        target.restore(program.design, {"x": torch.zeros(1)}, artefact.saved()[1])


def test_it_learns_with_the_twin_in_its_forward_pass() -> None:
    net, x = network(), sample(16)
    y = (x[:, :, :4].sum((0, 2)) > 0.8 * x[:, :, 5:].sum((0, 2))).long()
    program = sw.compile(net, "fpga-lif", calibration=x, numbers=NUMBERS)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-2)
    losses: list[float] = []
    for _ in range(30):
        with forward_by(program):
            output, _ = net(x)
        loss = nn.functional.cross_entropy(output.mean(0), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    program.reload(net)
    answers = program.run(x).mean(0)
    assert float(nn.functional.cross_entropy(answers, y)) < 0.5 * losses[0]


def test_limits_name_what_is_needed_and_the_way_out() -> None:
    net, x = network(), sample()
    make = functools.partial(sw.compile, net, "fpga-lif")
    with pytest.raises(CompileError, match=r"input +spikes +2 spikes on a line.* +1 .*'spikes'"):
        make(calibration=x)
    with pytest.raises(CompileError, match=r"numbers that are no counts .*encoded as spikes"):
        make(calibration=x * 0.3)
    with pytest.raises(CompileError, match=r"memory +\d,\d+ bits on the chip +1,000 .*fewer bits"):
        make(calibration=x, numbers=NUMBERS, memory=1000)
    with pytest.raises(CompileError, match=r"cycles +\d+ clocks a step +50 .*more lanes"):
        make(calibration=x, numbers=NUMBERS, cycles=50)
    assert make(calibration=x, numbers=NUMBERS, lanes={"lanes": 11}, cycles=60).used["cycles"] <= 60


def test_all_layers_that_the_core_has_not_are_named_at_once() -> None:
    net = sw.Sequential(
        sw.Conv1d(1, 2, 3), sw.LIF(noise=0.1), sw.Flatten(), sw.Linear(12, 2),
        sw.LIF(tau_mem=torch.tensor([1e-2, 2e-2])), dt=1e-3, shape=(1, 8),
    )  # fmt: skip
    with pytest.raises(CompileError) as refused:
        sw.compile(net, "fpga-lif", calibration=torch.ones(3, 2, 1, 8))
    for words in ("got 4 broken", "Convolution", "no noise", "Reshape", "one value of 'decay'"):
        assert words in str(refused.value)


def test_what_belongs_to_the_other_accelerator_is_sent_there() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(CompileError, match=r"got Sequential\..*ReLU layers for 'fpga'"):
        sw.compile(module, "fpga-lif", calibration=torch.rand(5, 4))
    with pytest.raises(CompileError, match=r'as_torch.*as it is for "fpga-lif"'):
        sw.compile(network(), "fpga", calibration=sample())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"numbers": {"wieght": 4}}, "numbers must have known fields, got 'wieght'.*'weight'"),
        ({"numbers": {"weight": 99}}, "weight must be a whole number from 2 to 16, got 99"),
        ({"lanes": {"lanes": [2, "x"]}}, "lanes must be of numbers and words"),
        ({"lanes": {"stream_weights": 1}}, "stream_weights must be True or False, got 1"),
        ({"lanes": 3}, "lanes must be its class or fields by name, got int"),
        ({"clock": 0}, "clock must be above 0 Hz and finite, got 0"),
        ({"memory": 0.5}, "memory must be None or whole, got 0.5"),
        ({"cycles": -1}, "cycles must be None or whole, got -1"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        sw.targets.get_target("fpga-lif", **options)


def test_inputs_that_are_no_spikes_and_lanes_of_other_layers_are_refused() -> None:
    program, _ = made()
    for wrong in (torch.full((3, 1, 9), 0.5), torch.full((3, 1, 9), 3.0)):
        with pytest.raises(ShapeError, match="spikes from 0 to 2"):
            program.run(wrong)
    with pytest.raises(ParameterError, match="one number or 2, one a layer, got 3"):
        sw.compile(
            network(), "fpga-lif", calibration=sample(), numbers=NUMBERS, lanes={"lanes": (1, 2, 3)}
        )


def test_training_beyond_what_the_core_can_hold_is_refused_and_leaves_the_program() -> None:
    program, _ = made()
    before = program.run(sample())
    with pytest.raises(ProgramError, match="must differ from 1 in 12 bits"):
        program.reload(network(tau_mem=1e3))
    assert torch.equal(program.run(sample()), before)
