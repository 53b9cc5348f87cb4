"""Designs are told apart rightly: costs fitted, fronts without a beaten design, the best chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikewright.errors import ParameterError
from spikewright.report.page import Report
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.counting.activity_of import activity_of
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.exploring.boards import BOARDS, board
from spikewright.targets.fpga.exploring.cost_model import (
    KINDS,
    Point,
    all_blocks,
    counted,
    features,
    fit,
    recorded,
)
from spikewright.targets.fpga.exploring.explore import AcceleratorDesign, Candidate, explore, pareto
from spikewright.targets.fpga.exploring.grid import grid
from spikewright.targets.fpga.exploring.memories import Memory, memories
from spikewright.targets.fpga.exploring.page import report_data
from spikewright.targets.fpga.integer import (
    INPUT,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    Requantise,
    Stage,
)
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.synthesis.activity import Activity
from spikewright.targets.fpga.synthesis.energy import energy

IMAGES = np.random.default_rng(2).integers(0, 16, (3, 1, 6, 6))


def network(channels: int = 4) -> IntegerNetwork:
    random = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randint(-4, 4, shape, generator=random)

    conv = Convolution(drawn(channels, 1, 3, 3), drawn(channels), (1, 1), (1, 1))
    stages = (
        Stage("conv", (INPUT,), conv, Requantise(3, 4)),
        Stage("flat", ("conv",), Flatten()),
        Stage("out", ("flat",), Dense(drawn(3, 36 * channels), drawn(3))),
    )
    return IntegerNetwork((1, 6, 6), 4, stages)


def drawn_dimensions(count: int) -> list[Dimensions]:
    random = np.random.default_rng(0)
    ranges = {"word": 32, "lanes": 28, "units": 16, "linear": 64, "sum": 20, "activation": 8,
              "kernels": 3000, "value": 14, "window": 9, "weights": 9000}  # fmt: skip
    return [
        replace(Dimensions(), **{k: int(random.integers(2, most)) for k, most in ranges.items()})
        for _ in range(count)
    ]


def test_a_fit_finds_the_weights_that_made_the_costs() -> None:
    true = {kind: 1.0 + np.arange(len(row)) for kind, row in features(Dimensions()).items()}
    points = [
        Point(
            d,
            {k: float(features(d)[k] @ true[k]) + counted(d, k) for k in KINDS}
            | {"bram": all_blocks(d)},
        )
        for d in drawn_dimensions(24)
    ]
    model = fit(points)
    assert model.points == 24
    for kind in KINDS:
        np.testing.assert_allclose(model.weights[kind], true[kind], rtol=1e-5)
        assert model.errors[kind] < 1e-6
        assert model.predict(points[3].dimensions)[kind] == pytest.approx(points[3].resources[kind])
    assert model.errors["bram"] == 0.0
    with pytest.raises(ParameterError, match="points must be at least 7, got 6"):
        fit(points[:6])


def test_the_recorded_model_tells_designs_it_has_not_seen_and_shows_its_error() -> None:
    model = recorded()
    assert model.points >= 14
    assert 0.01 < model.errors["lut"] < 0.1
    assert 0.001 < model.errors["ff"] < 0.02
    assert model.errors["bram"] == 0.0  # counted as Yosys counts, in every design
    assert all((weights >= 0).all() for weights in model.weights.values())


@pytest.mark.parametrize(
    ("words", "bits", "constant", "blocks"),
    [
        # Found by Yosys 0.23 of memories with random words.
        (4004, 48, True, 5.5),
        (1124, 256, True, 11.0),
        (650, 12, True, 0.0),
        (1224, 3, True, 0.0),
        # By hand from its libraries: 36 half blocks wide and deep enough, or cheaper otherwise.
        (2048, 18, True, 1.0),
        (16384, 1, True, 0.5),
        (128, 16, False, 0.0),
        (256, 16, False, 0.5),
        (150, 24, False, 0.5),
    ],
)
def test_memories_lie_where_yosys_puts_them(
    words: int, bits: int, constant: bool, blocks: float
) -> None:
    memory = Memory(words, bits, constant)
    assert memory.blocks == blocks
    assert memory.constants == (words * bits if constant and not blocks else 0)
    assert bool(memory.tables) == (not constant and not blocks)


def test_what_comes_over_a_stream_takes_no_memory() -> None:
    d = assemble(network()).dimensions
    weights = Memory(d.weights, d.linear * d.weight, constant=True)
    assert weights in memories(d)
    assert weights not in memories(replace(d, stream_weights=1))


def test_the_grid_goes_up_to_what_the_layers_can_use() -> None:
    made = list(grid(network(6)))
    assert {each.units for each in made} == {1, 2, 4, 6}
    assert {each.linear for each in made} == {1, 2, 3}
    assert {each.lanes for each in made} == {2, 4, 6}
    assert len(set(made)) == len(made) == 4 * 3 * 3


def designs(count: int) -> list[AcceleratorDesign]:
    random = np.random.default_rng(1)
    made = []
    for _ in range(count):
        candidate = Candidate(network(), 4, 3, float(random.integers(90, 99)), IMAGES)
        use = float(random.integers(1, 20)) / 10
        activity = Activity(int(random.integers(10, 60)), 8, float(random.integers(1, 9)))
        design = AcceleratorDesign(candidate, Hardware(), Dimensions(), activity, {}, use, 1e8)
        made.append(design)
    return made


def test_the_front_holds_just_those_that_no_other_beats() -> None:
    made = designs(200)
    front = pareto(made)

    def beaten(one: AcceleratorDesign) -> bool:
        return any(
            all(a <= b for a, b in zip(other.costs, one.costs, strict=True))
            and other.costs != one.costs
            for other in made
        )

    assert {one.costs for one in front} == {one.costs for one in made if not beaten(one)}
    assert len({one.costs for one in front}) == len(front) > 3
    assert [one.cycles for one in front] == sorted(one.cycles for one in front)


def test_the_fastest_that_fits_and_is_good_enough_is_chosen() -> None:
    net = network()
    candidates = [
        Candidate(net, 4, 3, 97.0, IMAGES),
        Candidate(net, 3, 3, 96.9, IMAGES),
        Candidate(net, 2, 2, 90.0, IMAGES),
    ]
    said: list[str] = []
    found = explore(candidates, board("zynq-7020"), recorded(), progress=said.append)
    assert len(found.designs) == 3 * len(list(grid(net)))
    assert len(said) == 3
    assert found.best is not None
    assert found.best.candidate.accuracy >= 96.75
    fit_too = [d for d in found.designs if d.fits and d.candidate.accuracy >= 96.75]
    assert found.best.cycles == min(d.cycles for d in fit_too)
    program = assemble(net, found.best.hardware)
    assert interpret(program, np.ones((1, 1, 6, 6), np.int64)).cycles == found.best.cycles
    assert all(d.activity == activity_of(assemble(net, d.hardware), IMAGES) for d in found.designs)
    assert found.best.energy == sum(energy(found.best.activity).values()) > 0
    assert found.best.latency == found.best.cycles / 100e6
    slower = explore(candidates, board("zynq-7020"), recorded(), clock=50e6)
    assert slower.best is not None
    assert slower.best.latency == 2 * found.best.latency
    assert found.best.resources == recorded().predict(program.dimensions)
    strict = explore(candidates, board("zynq-7020"), recorded(), tolerance=0.0)
    assert strict.best is not None
    assert strict.best.candidate.accuracy == 97.0
    tiny = replace(board("zynq-7010"), resources={"lut": 10.0, "ff": 1e9, "bram": 1e9, "dsp": 9})
    assert explore(candidates, tiny, recorded()).best is None
    data = report_data(found, "Designs")
    # T = 2 is not accurate enough for the trades, yet the others keep their colours.
    assert {tuple(each.groups)[:3] for each in data.tradeoffs} == {("T = 2", "T = 3", "T = 4")}
    assert [len(each.groups["T = 2"]) > 0 for each in data.tradeoffs] == [True, False, False]
    page = Report(data).to_html()
    assert "Accuracy over latency" in page
    assert "Energy by the model over latency" in page
    assert "latencies are at 100 MHz, which is assumed" in page
    assert f"{found.best.cycles:,}" in page


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"board must be one of zynq-7010.*'zync-7020'"):
        board("zync-7020")
    assert all(each.name == name for name, each in BOARDS.items())
    one = [Candidate(network(), 4, 3, 97.0, IMAGES)]
    with pytest.raises(ParameterError, match="there must be candidates"):
        explore([], board("zynq-7020"), recorded())
    with pytest.raises(ParameterError, match="tolerance from 0 on"):
        explore(one, board("zynq-7020"), recorded(), tolerance=-1.0)
    with pytest.raises(ParameterError, match=r"clock must be above 0 Hz and finite, got 0\.0"):
        explore(one, board("zynq-7020"), recorded(), clock=0.0)
