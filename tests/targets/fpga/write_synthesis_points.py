"""Writes the synthesised designs that the cost model is fitted to: run it after a change of RTL.

`python tests/targets/fpga/write_synthesis_points.py`, with Yosys installed; half an hour.
Numbers after it say which designs to run anew, from 0 on; the others stay as they are.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikewright.files import write_json
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit
from spikewright.targets.fpga.exploring import cost_model
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.synthesis.synthesise import synthesise
from spikewright.targets.fpga.synthesis.xilinx import Xilinx

PLACE = Path(cost_model.__file__).with_name("points.json")


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def small(size: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * (size // 4) ** 2, 10),
    )  # fmt: skip


DESIGNS: tuple[tuple[str, int, int, int, dict[str, int]], ...] = (
    # network, side of its input, T, bits of weights, hardware
    ("small", 16, 4, 3, {"units": 1, "linear": 4}),
    ("small", 16, 4, 3, {"units": 4, "linear": 4}),
    ("small", 16, 4, 3, {"units": 1, "linear": 10}),
    ("small", 16, 8, 3, {"units": 1, "linear": 4}),
    ("small", 16, 4, 8, {"units": 2, "linear": 8}),
    ("small", 16, 2, 2, {"units": 8, "linear": 4}),
    ("small", 8, 4, 3, {"units": 2, "linear": 4}),
    ("small", 32, 4, 4, {"units": 2, "linear": 10}),
    ("small", 32, 4, 3, {"units": 4, "linear": 4, "lanes": 8}),
    ("lenet", 28, 4, 3, {"units": 2, "linear": 16}),
    ("lenet", 28, 4, 3, {"units": 8, "linear": 8}),
    ("lenet", 28, 6, 4, {"units": 1, "linear": 64}),
    ("lenet", 28, 3, 3, {"units": 4, "linear": 32, "lanes": 14}),
    ("lenet", 28, 5, 2, {"units": 16, "linear": 16, "lanes": 7}),
)


def name(network: str, side: int, steps: int, bits: int, choices: dict[str, int]) -> str:
    said = ", ".join(f"{key} {value}" for key, value in choices.items())
    return f"{network} {side} × {side}, T = {steps}, weights of {bits} bits, {said}"


def point(network: str, side: int, steps: int, bits: int, choices: dict[str, int]) -> Any:
    torch.manual_seed(0)
    module = lenet() if network == "lenet" else small(side)
    images = torch.rand(64, 1, side, side)
    made = convert(module.eval(), images, Quantisation(WeightQuantisation(bits=bits), bits=steps))
    program = assemble(made.network, Hardware(**choices))
    with tempfile.TemporaryDirectory() as folder:
        emit(program, folder)
        found = synthesise(folder, Xilinx(), progress=lambda line: print("   ", line))
    return {
        "name": name(network, side, steps, bits, choices),
        "dimensions": asdict(program.dimensions),
        "resources": found.resources,
        "tool": f"{found.tool} {found.version}",
        "seconds": round(found.seconds),
    }


def main(*again: int) -> None:
    kept = {each["name"]: each for each in json.loads(PLACE.read_text())["points"]}
    for design in [DESIGNS[number] for number in again] or DESIGNS:
        kept[name(*design)] = point(*design)
        print(name(*design), kept[name(*design)]["resources"], flush=True)
        points = [kept[name(*each)] for each in DESIGNS if name(*each) in kept]
        write_json(PLACE, {"device": "Xilinx 7-series", "points": points})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
