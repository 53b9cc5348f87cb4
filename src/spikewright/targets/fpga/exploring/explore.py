"""All designs of some networks, what each gives and takes, and the best for a board."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikewright.errors import ParameterError
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.counting.activity_of import with_additions
from spikewright.targets.fpga.counting.additions import additions
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.exploring.boards import Board
from spikewright.targets.fpga.exploring.cost_model import CostModel
from spikewright.targets.fpga.exploring.grid import grid
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.synthesis.activity import Activity
from spikewright.targets.fpga.synthesis.energy import energy

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
        q: some inputs of it, (samples, *network.shape) whole numbers: their spikes say how much
            energy an inference takes.
    """

    network: IntegerNetwork
    steps: int
    weight_bits: int
    accuracy: float
    q: Whole


@dataclass(frozen=True, eq=False)
class AcceleratorDesign:
    """An accelerator on paper, for a candidate.

    Attributes:
        candidate, hardware, dimensions: what it is.
        activity: of an inference, counted from its instructions as the RTL's simulation counts.
        resources: by kind, by the cost model.
        use: share of the board that it takes; it fits up to 1.
        clock: Hz that latencies are told at.
    """

    candidate: Candidate
    hardware: Hardware
    dimensions: Dimensions
    activity: Activity
    resources: Mapping[str, float]
    use: float
    clock: float

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

    @property
    def cycles(self) -> int:
        """Clocks an inference, as many as the RTL takes."""
        return self.activity.cycles

    @property
    def latency(self) -> float:
        """Seconds from the first pixel to the last result."""
        return self.cycles / self.clock

    @property
    def energy(self) -> float:
        """J an inference, by the model of `synthesis.energy`."""
        return sum(energy(self.activity).values())

    @property
    def costs(self) -> tuple[float, float, float, float]:
        """What should be little: error, clocks, share of the board, and energy."""
        return (-self.candidate.accuracy, self.cycles, self.use, self.energy)


@dataclass(frozen=True, eq=False)
class Exploration:
    """What was found.

    Attributes:
        board: the budget.
        designs: all.
        front: those that no other beats in accuracy, clocks, share of the board and energy at once.
        best: the fastest that fits and is as accurate as the best but for ``tolerance`` points;
            ``None`` where nothing fits.
        errors: of the cost model, see `CostModel`.
        clock: Hz that latencies are told at.
        wanted: accuracy that a design must have to be chosen, %.
    """

    board: Board
    designs: tuple[AcceleratorDesign, ...]
    front: tuple[AcceleratorDesign, ...]
    best: AcceleratorDesign | None
    errors: Mapping[str, float]
    clock: float
    wanted: float


def explore(
    candidates: Sequence[Candidate],
    board: Board,
    model: CostModel,
    *,
    tolerance: float = TOLERANCE,
    clock: float | None = None,
    progress: Report | None = None,
) -> Exploration:
    """Try each network on each accelerator of its `grid`.

    Accuracy is the candidates'; clocks, additions and memory accesses are counted, exactly;
    resources and energy are told by models. Nothing is simulated or synthesised.

    Args:
        candidates: networks.
        board: the budget.
        model: of costs.
        tolerance: points of accuracy that may be given away for speed.
        clock: Hz that latencies are told at; the board's if left out.
        progress: called with a line for each network.

    Raises:
        ParameterError: no candidate, a tolerance below 0, or a clock that is not above 0.
        CompileError: a network that the accelerator cannot work out.
    """
    if not candidates or not tolerance >= 0:
        raise ParameterError(
            f"fpga.explore: there must be candidates and a tolerance from 0 on, got "
            f"{len(candidates)} and {tolerance!r}. Quantise a network with several settings."
        )
    clock = board.clock if clock is None else clock
    if not 0 < clock < math.inf:
        raise ParameterError(
            f"fpga.explore: clock must be above 0 Hz and finite, got {clock!r}. Leave it out for "
            f"{board.clock / 1e6:g} MHz."
        )
    designs = tuple(_all(candidates, Budget(board, model, clock), progress))
    fit = [design.candidate.accuracy for design in designs if design.fits]
    wanted = max(fit, default=100.0) - tolerance
    best = _best(designs, wanted)
    return Exploration(board, designs, pareto(designs), best, dict(model.errors), clock, wanted)


def pareto(designs: Sequence[AcceleratorDesign]) -> tuple[AcceleratorDesign, ...]:
    """Those that no other one beats in everything, the fastest first."""
    costs = np.array([design.costs for design in designs])
    order = np.lexsort(costs.T[::-1])  # only earlier ones can beat a later one
    front: list[int] = []
    for number in order.tolist():
        if not any((costs[other] <= costs[number]).all() for other in front):
            front.append(number)
    return tuple(sorted((designs[k] for k in front), key=lambda design: design.cycles))


@dataclass(frozen=True)
class Budget:
    """What all designs are held against."""

    board: Board
    model: CostModel
    clock: float


def _all(
    candidates: Iterable[Candidate], budget: Budget, progress: Report | None
) -> Iterator[AcceleratorDesign]:
    for candidate in candidates:
        made = list(_of_candidate(candidate, budget))
        if progress is not None:
            fit = sum(design.fits for design in made)
            progress(
                f"T = {candidate.steps}, weights of {candidate.weight_bits} bits: "
                f"{candidate.accuracy:.2f} %, {fit} of {len(made)} designs fit {budget.board.name}"
            )
        yield from made


def _of_candidate(candidate: Candidate, budget: Budget) -> Iterator[AcceleratorDesign]:
    added: dict[tuple[int, int], int] = {}  # by what alone changes them
    for hardware in grid(candidate.network):
        program = assemble(candidate.network, hardware)
        d = program.dimensions
        if (d.lanes, d.word) not in added:
            added[d.lanes, d.word] = additions(program, candidate.q)
        activity = with_additions(program, added[d.lanes, d.word], len(candidate.q))
        resources = budget.model.predict(d)
        use = budget.board.use(resources)
        yield AcceleratorDesign(candidate, hardware, d, activity, resources, use, budget.clock)


def _best(designs: Sequence[AcceleratorDesign], wanted: float) -> AcceleratorDesign | None:
    good = [each for each in designs if each.fits and each.candidate.accuracy >= wanted]
    return min(good, key=lambda design: (design.cycles, design.use), default=None)
