"""The hardware description: everything a lab would load, and nothing that is not so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brainscales2.designs import feed_forward, on_chip, spikes, with_biases, with_weights
from spikewright.errors import ProgramError
from spikewright.targets.brainscales2.artefact import OnChip
from spikewright.targets.brainscales2.description import read, restore, write
from spikewright.targets.brainscales2.running.runner import Runner
from spikewright.targets.brainscales2.twin import Twin

X = spikes(30, 4, 5)


@pytest.fixture(scope="module")
def artefact() -> OnChip:
    network = with_weights(feed_forward(5, 20, 3), 5, w0=(0.7, 0.3), w1=(0.0, 0.2))
    return on_chip(network, X, chip=Twin(4))[0]


def test_a_description_runs_on_a_twin_as_the_artefact_does(
    artefact: OnChip, tmp_path: Path
) -> None:
    write(tmp_path / "lab", artefact.plan, artefact.chip)
    plan, chip = read(tmp_path / "lab")
    assert chip["seed"] == 4
    shown = Runner(plan, Twin(4)).observe(X, seed=3)
    expected = artefact.observe(X, seed=3)
    assert shown.keys() == expected.keys()
    for name, observation in expected.items():
        for field, value in observation.known().items():
            assert torch.equal(shown[name].known()[field].nan_to_num(9), value.nan_to_num(9))


def test_a_description_of_several_runs_keeps_their_order(tmp_path: Path) -> None:
    network = with_weights(
        feed_forward(100, 120, 110, 4), 1, w0=(0.05, 0.1), w1=(0.1, 0.2), w2=(0.0, 0.2)
    )
    x = spikes(12, 2, 100, rate=0.02)
    artefact, _ = on_chip(network, x)
    assert len(artefact.plan.runs) == 2
    plan, _ = read(write(tmp_path, artefact.plan, artefact.chip))
    shown = Runner(plan, artefact.chip).observe(x, seed=3)["out"].output
    assert torch.equal(shown, artefact.observe(x, seed=3)["out"].output)  # type: ignore[arg-type]


def test_it_says_what_its_numbers_are(artefact: OnChip, tmp_path: Path) -> None:
    write(tmp_path, artefact.plan, artefact.chip)
    body = json.loads((tmp_path / "description.json").read_text())["body"]
    assert body["format"] == "spikewright-brainscales2-1"
    assert body["dt"] == 1e-6
    assert body["clock"]["latency"] == 0.5e-6
    assert body["units"]["potential"].startswith("LSB")
    assert body["scales"][0][:2] == ["input", "n0"]
    assert body["runs"][0]["routes"] == [["input", 0], ["n0", 0]]


def test_an_older_description_stays_whole_until_the_new_one_is(
    artefact: OnChip, tmp_path: Path
) -> None:
    write(tmp_path, artefact.plan, artefact.chip)
    write(tmp_path, replace(artefact.plan, dt=2e-6), artefact.chip)
    assert read(tmp_path)[0].dt == 2e-6
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("cut", ["description.json", "tensors"])
def test_a_damaged_file_is_refused(artefact: OnChip, tmp_path: Path, cut: str) -> None:
    write(tmp_path, artefact.plan, artefact.chip)
    path = next(path for path in tmp_path.iterdir() if path.name.startswith(cut))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProgramError, match="must hold a whole hardware description"):
        read(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(artefact: OnChip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProgramError, match="must be writable"):
        write(tmp_path / "file", artefact.plan, artefact.chip)


CHANGES: dict[str, Any] = {
    "0.weights": lambda t: t + 1000,
    "0.row_address": lambda t: t.to(torch.int64),
    "0.seats.n0.circuits": lambda t: t + 512,
    "0.seats.n0.neurons": lambda t: t - 1,
    "0.seats.n0.zero": lambda t: t[:3],
    "0.routes.0.rows": lambda t: t + 300,
    "0.routes.0.addresses": lambda t: t[:2],
}


@pytest.mark.parametrize("name", CHANGES)
def test_tensors_that_no_lowering_gives_are_refused(artefact: OnChip, name: str) -> None:
    tensors, values = artefact.saved()
    with pytest.raises(ProgramError, match="no hardware description"):
        restore(tensors | {name: CHANGES[name](tensors[name])}, values)
    with pytest.raises(ProgramError, match="no hardware description"):
        restore({n: t for n, t in tensors.items() if n != name}, values)


@pytest.mark.parametrize("name", ["dt", "clock", "shapes", "runs", "scales"])
def test_values_that_no_lowering_gives_are_refused(artefact: OnChip, name: str) -> None:
    tensors, values = artefact.saved()
    for bad in (None, "x", [1]):
        with pytest.raises(ProgramError, match="no hardware description"):
            restore(tensors, values | {name: bad})


def test_when_a_source_is_sent_must_be_said(artefact: OnChip) -> None:
    tensors, values = artefact.saved()
    for sent in ({}, {"input": -1e-6}, {"input": "soon"}, None):
        bad = [{**values["runs"][0], "sent": sent}]
        with pytest.raises(ProgramError, match="no hardware description"):
            restore(tensors, values | {"runs": bad})


def test_biases_are_part_of_it(tmp_path: Path) -> None:
    network = with_weights(feed_forward(5, 20, 3, bias=True), 5, w0=(0.7, 0.3), w1=(0.0, 0.2))
    artefact, _ = on_chip(with_biases(network, 1, w0=0.1, w1=0.1), X)
    plan, _ = read(write(tmp_path, artefact.plan, artefact.chip))
    assert plan.runs[0].sent == artefact.plan.runs[0].sent
    shown = Runner(plan, artefact.chip).observe(X, seed=3)["out"].output
    assert torch.equal(shown, artefact.observe(X, seed=3)["out"].output)  # type: ignore[arg-type]


def test_what_is_saved_and_restored_is_equal(artefact: OnChip) -> None:
    tensors, values = artefact.saved()
    plan = restore(tensors, json.loads(json.dumps(values)))
    assert plan.weight == artefact.plan.weight
    for name, seat in artefact.plan.runs[0].seats.items():
        np.testing.assert_array_equal(plan.runs[0].seats[name].per_unit, seat.per_unit)
        assert plan.runs[0].seats[name].start == seat.start
