"""All designs of some networks, what each gives and takes, and the best for a board."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikewright.errors import ParameterError
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.exploring.boards import Board
from spikewright.targets.fpga.exploring.cost_model import CostModel
from spikewright.targets.fpga.exploring.grid import grid
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.synthesis.energy import HOROWITZ_45NM_FPGA

CLOCK = 100e6
"""Hz that latencies are told at: what such designs reach on a 7-series chip, an assumption."""
TOLERANCE = 0.25
"""Points of accuracy below the best candidate that a design may have to be chosen."""
Report = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A quantised network.

    Args:
        network: of whole numbers.
        steps: T, bits of its activations.
        weight_bits: of its weights.
        accuracy: on images that it was not trained on, %.
        additions: that an image takes on the mean: spikes times the weights that they meet.
    """

    network: IntegerNetwork
    steps: int
    weight_bits: int
    accuracy: float
    additions: float = 0.0


@dataclass(frozen=True, eq=False)
class Accelerator:
    """An accelerator for a candidate.

    Attributes:
        candidate, hardware, dimensions: what it is.
        cycles: clocks an image, counted by the interpreter, as many as the RTL takes.
        resources: by kind, by the cost model.
        use: share of the board that it takes; it fits up to 1.
    """

    candidate: Candidate
    hardware: Hardware
    dimensions: Dimensions
    cycles: int
    resources: Mapping[str, float]
    use: float

    @property
    def fits(self) -> bool:
        """Whether the board holds it."""
        return self.use <= 1

    @property
    def name(self) -> str:
        """For people."""
        it, made = self.candidate, self.hardware
        return (
            f"T = {it.steps}, {it.weight_bits} bit weights, {made.units} × {made.lanes} lanes, "
            f"{made.linear} linear"
        )

    def latency(self, clock: float = CLOCK) -> float:
        """Seconds from the first pixel to the last result."""
        return self.cycles / clock

    @property
    def energy(self) -> float:
        """J an image for its additions alone, by the model of `synthesis.energy`."""
        return self.candidate.additions * HOROWITZ_45NM_FPGA.addition(self.dimensions.sum)

    @property
    def costs(self) -> tuple[float, float, float]:
        """What should be little: error, clocks, and share of the board."""
        return (-self.candidate.accuracy, self.cycles, self.use)


@dataclass(frozen=True, eq=False)
class Exploration:
    """What was found.

    Attributes:
        board: the budget.
        designs: all.
        front: those that no other beats in accuracy, clocks and share of the board at once.
        best: the fastest that fits and is as accurate as the best but for ``tolerance`` points;
            ``None`` where nothing fits.
        errors: of the cost model, see `CostModel`.
    """

    board: Board
    designs: tuple[Accelerator, ...]
    front: tuple[Accelerator, ...]
    best: Accelerator | None
    errors: Mapping[str, float]


def explore(
    candidates: Sequence[Candidate],
    board: Board,
    model: CostModel,
    *,
    tolerance: float = TOLERANCE,
    progress: Report | None = None,
) -> Exploration:
    """Try each network on each accelerator of its `grid`.

    Accuracy is the candidates', clocks are counted by the interpreter on one image, resources
    are told by the cost model. Nothing is synthesised.

    Args:
        candidates: networks.
        board: the budget.
        model: of costs.
        tolerance: points of accuracy that may be given away for speed.
        progress: called with a line for each network.

    Raises:
        ParameterError: no candidate, or a tolerance below 0.
        CompileError: a network that the accelerator cannot work out.
    """
    if not candidates or not tolerance >= 0:
        raise ParameterError(
            f"fpga.explore: there must be candidates and a tolerance from 0 on, got "
            f"{len(candidates)} and {tolerance!r}. Quantise a network with several settings."
        )
    designs = tuple(_all(candidates, board, model, progress))
    return Exploration(
        board, designs, pareto(designs), _best(designs, tolerance), dict(model.errors)
    )


def pareto(designs: Sequence[Accelerator]) -> tuple[Accelerator, ...]:
    """Those that no other one beats in everything, the fastest first."""
    costs = np.array([design.costs for design in designs])
    order = np.lexsort(costs.T[::-1])  # only earlier ones can beat a later one
    front: list[int] = []
    for number in order.tolist():
        if not any((costs[other] <= costs[number]).all() for other in front):
            front.append(number)
    return tuple(sorted((designs[k] for k in front), key=lambda design: design.cycles))


def _all(
    candidates: Iterable[Candidate], board: Board, model: CostModel, progress: Report | None
) -> Iterator[Accelerator]:
    for candidate in candidates:
        made = [_design(candidate, hardware, board, model) for hardware in grid(candidate.network)]
        if progress is not None:
            fit = sum(design.fits for design in made)
            progress(
                f"T = {candidate.steps}, weights of {candidate.weight_bits} bits: "
                f"{candidate.accuracy:.2f} %, {fit} of {len(made)} designs fit {board.name}"
            )
        yield from made


def _design(
    candidate: Candidate, hardware: Hardware, board: Board, model: CostModel
) -> Accelerator:
    program = assemble(candidate.network, hardware)
    image = np.zeros((1, *candidate.network.shape), np.int64)
    cycles = interpret(program, image).cycles  # the same for every image
    resources = model.predict(program.dimensions)
    use = board.use(resources)
    return Accelerator(candidate, hardware, program.dimensions, cycles, resources, use)


def _best(designs: Sequence[Accelerator], tolerance: float) -> Accelerator | None:
    fit = [design for design in designs if design.fits]
    if not fit:
        return None
    wanted = max(design.candidate.accuracy for design in fit) - tolerance
    good = [design for design in fit if design.candidate.accuracy >= wanted]
    return min(good, key=lambda design: (design.cycles, design.use))
