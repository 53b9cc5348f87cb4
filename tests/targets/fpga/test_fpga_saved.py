"""Networks in whole numbers in files: back bit for bit, damaged ones refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikewright.errors import ProgramError
from spikewright.sealed import seal
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.saved import FOLDER, load_network, save_network
from targets.fpga.modules import case
from targets.fpga.networks_at_random import inputs, network

HEAD = "integer.json"


@pytest.mark.parametrize("seed", range(12))
def test_a_loaded_network_gives_the_same_numbers_in_every_stage(tmp_path: Path, seed: int) -> None:
    net = network(seed)
    save_network(net, tmp_path)
    same = load_network(tmp_path)
    q = inputs(seed, net)
    for (stage, out), (other, found) in zip(net.walk(q), same.walk(q), strict=True):
        np.testing.assert_array_equal(found.numpy(), out.numpy())
        assert (other.name, other.inputs, other.scale) == (stage.name, stage.inputs, stage.scale)
        assert other.requantise == stage.requantise
    assert (same.shape, same.bits, same.scale) == (net.shape, net.bits, net.scale)


def test_weights_take_a_byte_each(tmp_path: Path) -> None:
    module, x = case("images")
    net = convert(module, x).network
    save_network(net, tmp_path)
    (tensors,) = tmp_path.glob("*.safetensors")
    count = sum(s.operation.weight.numel() for s in net.stages if hasattr(s.operation, "weight"))
    assert tensors.stat().st_size < 2 * count + 2000
    assert torch.equal(
        load_network(tmp_path).stages[0].operation.weight,  # pyright: ignore
        net.stages[0].operation.weight,  # pyright: ignore
    )


def saved(folder: Path) -> IntegerNetwork:
    net = network(3)
    save_network(net, folder)
    return net


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", ["head", "tensors"])
def test_a_file_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    saved(tmp_path)
    path = tmp_path / HEAD if name == "head" else next(tmp_path.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ProgramError, match="must hold a whole network, got a fault"):
        load_network(tmp_path)


def test_one_bit_turned_over_anywhere_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for place in range(0, len(content), max(len(content) // 40, 1)):
            damaged = bytearray(content)
            damaged[place] ^= 1
            path.write_bytes(bytes(damaged))
            with pytest.raises(ProgramError):
                load_network(tmp_path)
        path.write_bytes(content)
    load_network(tmp_path)


def change(body: dict[str, Any], kind: str) -> None:
    """What no save would write, with a checksum that fits."""
    stages = body["stages"]
    first = stages[0]
    if kind == "kind":
        first["operation"]["kind"] = "Exec"
    elif kind == "order":
        stages.reverse()
    elif kind == "option":
        first["operation"]["hook"] = [1]
    elif kind == "missing":
        del first["requantise"]
    elif kind in CHANGES:
        CHANGES[kind](body, first)


def added(stages: list[dict[str, Any]]) -> dict[str, Any]:
    """The operation of the addition."""
    return next(s["operation"] for s in stages if s["operation"]["kind"] == "Add")


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "bits": lambda body, _: body.update(bits="many"),
    "half a bit": lambda body, _: body.update(bits=2.5),
    "no bit": lambda body, _: body.update(bits=0),
    "bits without end": lambda body, _: body.update(bits=10**9),
    "shape": lambda body, _: body.update(shape=[1, 1, 1]),
    "empty shape": lambda body, _: body.update(shape=[0, 5, 5]),
    "half a column": lambda body, _: body.update(shape=[1, 5.5, 5]),
    "scale below 0": lambda body, _: body.update(scale=-0.1),
    "scale of 0": lambda body, _: body.update(scale=0),
    "stage's scale": lambda _, first: first.update(scale=-1.0),
    "scale as text": lambda _, first: first.update(scale="1.0"),
    "scale as truth": lambda _, first: first.update(scale=True),
    "half a shift": lambda _, first: first.update(requantise=[1.5, 3]),
    "shift without end": lambda _, first: first.update(requantise=[-(10**9), 3]),
    "shift only": lambda _, first: first.update(requantise=[1]),
    "nothing of it": lambda _, first: first.update(requantise=[]),
    "half a lift": lambda body, _: added(body["stages"]).update(shifts=[0, 1.5]),
    "negative lift": lambda body, _: added(body["stages"]).update(shifts=[0, -1]),
    "lift without end": lambda body, _: added(body["stages"]).update(shifts=[0, 10**9]),
    "lift beyond floats": lambda body, _: added(body["stages"]).update(shifts=[0, 1000]),
    "stride of 0": lambda _, first: first["operation"].update(stride=[0, 1]),
    "one stride": lambda _, first: first["operation"].update(stride=[1]),
    "half a stride": lambda _, first: first["operation"].update(stride=[1.5, 1]),
    "padding below 0": lambda _, first: first["operation"].update(padding=[-1, 0]),
    "no groups": lambda _, first: first["operation"].update(groups=0),
    "groups as float": lambda _, first: first["operation"].update(groups=1.0),
    "stages as text": lambda body, _: body.update(stages="first"),
    "no stages": lambda body, _: body.update(stages=[]),
    "stage as number": lambda body, _: body.update(stages=[3]),
    "inputs as nothing": lambda _, first: first.update(inputs=None),
    "no inputs": lambda _, first: first.update(inputs=[]),
}


@pytest.mark.parametrize("kind", ["kind", "order", "option", "missing", *CHANGES])
def test_a_head_that_makes_no_network_is_refused(tmp_path: Path, kind: str) -> None:
    saved(tmp_path)
    body = json.loads((tmp_path / HEAD).read_bytes())["body"]
    before = json.dumps(body)
    change(body, kind)
    assert json.dumps(body) != before
    (tmp_path / HEAD).write_bytes(seal(body))
    with pytest.raises(ProgramError, match="Restore the folder from a copy, or convert"):
        load_network(tmp_path)


def test_weights_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    body, tensors = FOLDER.read(tmp_path)
    name = next(iter(tensors))
    FOLDER.write(tmp_path, body, tensors | {name: tensors[name].float() + 0.5})
    with pytest.raises(ProgramError, match=f"{name} must be whole numbers, got torch.float32"):
        load_network(tmp_path)


def test_a_folder_that_is_not_there_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="nothing"):
        load_network(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ProgramError, match="must be writable"):
        save_network(network(1), tmp_path / "file")
