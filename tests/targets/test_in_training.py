"""A compiled program in the forward pass of training: resumed bit for bit, and worth it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.errors import CheckpointError

TAU = {"tau_mem": 6e-6, "tau_syn": 6e-6}
OPTIONS: dict[str, Any] = {"batch_size": 50, "progress": False, "initial_rate": None}


def net() -> sw.Network:
    torch.manual_seed(0)
    made = sw.Sequential(
        {
            "in": sw.Linear(5, 30, bias=False), "hidden": sw.CubaLIF(**TAU),
            "w": sw.Linear(30, 3, bias=False), "out": sw.CubaLI(**TAU),
        },
        dt=1e-6,
    )  # fmt: skip
    with torch.no_grad():
        made.layers["in"].weight.normal_(0.8, 0.25)
    return made


def rule() -> sw.learning.Surrogate:
    return sw.learning.Surrogate(learning_rate=5e-3, decoder=sw.coding.Max())


DATA = sw.data.YinYang(sizes=(150, 50, 50))


@pytest.mark.parametrize("target", ["simulator", "brainscales2", "fpga-lif"])
def test_training_on_a_program_resumes_bit_for_bit(target: str, tmp_path: Path) -> None:
    sw.compile(net(), target, calibration=DATA).save(tmp_path / "program")

    def train(folder: str, epochs: int, network: sw.Network) -> dict[str, torch.Tensor]:
        program = sw.Program.load(tmp_path / "program")
        torch.manual_seed(1)
        sw.fit(
            network, DATA, rule(), forward=program, epochs=epochs, folder=tmp_path / folder,
            **OPTIONS,
        )  # fmt: skip
        return network.state_dict()

    whole = train("whole", 2, net())
    train("parts", 1, net())
    again = train("parts", 2, net())
    assert not torch.equal(whole["nodes.in.weight"], net().state_dict()["nodes.in.weight"])
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize(
    ("target", "other"),
    [
        ("simulator", {"weights": 5}),
        ("brainscales2", {"chip_seed": 7}),
        ("brainscales2", {"mismatch": 0.0}),
    ],
)
def test_training_does_not_go_on_with_other_options_of_the_target(
    target: str, other: dict[str, Any], tmp_path: Path
) -> None:
    def train(epochs: int, **options: Any) -> sw.training.FitResult:
        program = sw.compile(net(), target, calibration=DATA, **options)
        where = {"folder": tmp_path, "epochs": epochs}
        return sw.fit(net(), DATA, rule(), forward=program, **where, **OPTIONS)

    train(1)
    with pytest.raises(CheckpointError, match="forward must be that of the run"):
        train(2, **other)
    assert train(2).epochs == 2


def test_training_in_the_loop_lowers_the_loss_on_the_target() -> None:
    network = net()
    sw.fit(network, DATA, rule(), epochs=25, **OPTIONS)
    program = sw.compile(network, "simulator", calibration=DATA, weights=3, method="mse")
    deployed = sw.evaluate(network, DATA.train, rule(), forward=program).metrics["loss"]
    sw.fit(network, DATA, rule(), forward=program, epochs=25, **OPTIONS)
    trained = sw.evaluate(network, DATA.train, rule(), forward=program).metrics["loss"]
    assert trained < 0.9 * deployed


def test_evaluating_on_a_program_is_evaluating_what_it_runs() -> None:
    network = net()
    program = sw.compile(network, "simulator", calibration=DATA, weights=3)
    metrics = sw.evaluate(network, DATA.test, rule(), forward=program).metrics
    x, y = DATA.test.batch(torch.arange(50))
    chosen = program.run(x).amax(0).argmax(1)
    assert metrics["accuracy"] == pytest.approx(float((chosen == y).double().mean()))
