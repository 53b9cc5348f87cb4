"""From software to a chip and back into training: the stages of a recipe's run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.recipes.core.hardware import Deployment
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import Outcome, run
from spikewright.recipes.yin_yang import YinYang, YinYangSettings
from spikewright.recipes.yin_yang_brainscales2 import YinYangBrainScaleS2
from spikewright.training import read_metrics

CHIP, LOOP = "on the chip, not calibrated", "on the chip, not calibrated, in the loop"


class Small(YinYang):
    """Few points, few neurons, and the chip as it is."""

    def data(self, settings: YinYangSettings) -> Any:
        return sw.data.YinYang(steps=settings.steps, sizes=(600, 100, 200))

    def deployments(self, settings: YinYangSettings) -> tuple[Deployment, ...]:
        return tuple(
            replace(found, loop=self.loop(settings))
            for found in super().deployments(settings)
            if found.name == CHIP
        )


def settings(recipe: Any, **changed: Any) -> Any:
    quick = {"epochs": 4, "loop_epochs": 3, "hidden": 60, "loop_learning_rate": 3e-3}
    return recipe.settings().model_copy(update=quick | changed)


def go(folder: Path, **changed: Any) -> Outcome:
    recipe = Small()
    return run(recipe, settings(recipe, **changed), folder, progress=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return go(tmp_path_factory.mktemp("hardware") / "run")


def test_a_run_has_the_stages_from_software_to_the_loop(done: Outcome) -> None:
    assert [stage.name for stage in done.stages] == ["software", CHIP, LOOP]
    software, chip, loop = done.stages
    assert software.accuracy == done.metrics()["test accuracy, %"]
    assert chip.accuracy < software.accuracy
    assert loop.accuracy > chip.accuracy
    assert [stage.program is None for stage in done.stages] == [True, False, False]
    written = json.loads((done.folder / "result.json").read_text())["metrics"]
    assert written[f"{LOOP}: test accuracy, %"] == loop.accuracy


def test_the_chip_gets_the_weights_of_the_software_and_the_loop_changes_them(done: Outcome) -> None:
    software, chip, loop = (stage.weights for stage in done.stages)
    for name, weight in software.items():
        # Those beyond what the chip can hold are brought to its end when it takes them over.
        assert torch.allclose(chip[name], weight, atol=0.05 * float(weight.abs().max()))
    name = "nodes.0_linear.weight"
    assert (loop[name] - chip[name]).abs().mean() > 1e-3
    network = done.parts.network.state_dict()
    assert all(torch.equal(network[name], value) for name, value in loop.items())


def test_the_folder_holds_the_program_and_the_training_in_the_loop(done: Outcome) -> None:
    place = done.folder / "on-the-chip-not-calibrated"
    kinds = [record["kind"] for record in read_metrics(place)]
    assert kinds.count("validation") == 3
    x, _ = done.parts.data.test.batch(range(8))
    loaded = sw.Program.load(place / "program")
    assert torch.equal(loaded.run(x, seed=5), done.stages[-1].program.run(x, seed=5))


def test_a_second_call_takes_up_what_is_there_and_ends_the_same(done: Outcome) -> None:
    before = [stage.accuracy for stage in done.stages]
    again = go(done.folder)
    assert [stage.accuracy for stage in again.stages] == before


def test_the_report_shows_stages_boundaries_and_membranes_of_the_chip(done: Outcome) -> None:
    report = make_report(done)
    assert [stage.name for stage in report.data.stages] == ["software", CHIP, LOOP]
    for record, stage in zip(report.data.boundaries, done.stages, strict=True):
        right = 100 * float((record.predictions == record.targets).mean())
        assert right == pytest.approx(stage.accuracy)
        inside = record.chosen >= 0
        assert inside.mean() == pytest.approx(torch.pi / 4, abs=0.02)
    membrane = report.data.samples[0].membranes["1_cubalif"]
    assert membrane.against is not None
    assert membrane.against.shape == membrane.v.shape
    page = report.to_html()
    for said in ("From software to hardware", LOOP, "Agreement", "Placement"):
        assert said in page


def test_software_as_target_goes_nowhere(tmp_path: Path) -> None:
    outcome = go(tmp_path / "run", target="software", epochs=1)
    assert outcome.stages == ()
    assert not any("chip" in name for name in outcome.metrics())


def test_every_figure_of_the_chip_recipe_is_measured(
    done: Outcome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = YinYangBrainScaleS2()
    chips: list[int] = []

    def made(found: Any, given: Any, folder: Path, **_: Any) -> Outcome:
        chips.append(given.chip_seed)
        names = [stage.name for stage in done.stages]
        calibrated = [name.replace("not calibrated", "calibrated") for name in names[1:]]
        more = [replace(s, name=n) for s, n in zip(done.stages[1:], calibrated, strict=True)]
        return replace(done, stages=(*done.stages, *more))

    monkeypatch.setattr("spikewright.recipes.yin_yang_brainscales2.run", made)
    given = recipe.settings().model_copy(update={"seed": 2, "chip_seed": 10})
    values = recipe.measure(given, tmp_path, resume="auto", progress=False)
    assert chips == [12]
    assert {figure.metric for figure in recipe.figures} <= values.keys()
    over = values["in the loop minus not calibrated, points"]
    assert over == done.stages[2].accuracy - done.stages[1].accuracy
