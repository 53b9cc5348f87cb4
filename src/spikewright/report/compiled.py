"""What a report shows of a program that was compiled for a target, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Three = tuple[int | None, int | None, int | None]
"""Of the float, the quantised and the target's run; ``None`` where not seen."""


@dataclass(frozen=True, kw_only=True)
class AgreementRow:
    """One layer of the calibration sample in three runs: float, quantised, on the target.

    Args:
        layer: its name.
        neurons: how many.
        spikes: in the whole sample.
        rate_errors: of the quantised and of the target's run against float, 0 to 1.
        first_step: at which a spike on the target differs from float.
        differing: share of spikes that differ, target against float.
        membrane_error: relative, target against float.
        saturations: values that left their range on the target.
        silent, saturated: neurons that never fire, or fire at every step.
    """

    layer: str
    neurons: int
    spikes: Three
    rate_errors: tuple[float | None, float | None]
    first_step: int | None
    differing: float | None
    membrane_error: float | None
    saturations: int
    silent: Three
    saturated: Three


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """What one operation takes in one inference; see `Compiled.costs`."""

    name: str
    synaptic_operations: float
    multiplications: float
    updates: float
    weights: int
    weight_bits: int
    state_bits: int


@dataclass(frozen=True, kw_only=True)
class LimitRow:
    """A limit of the target, how much of it is taken, and who says so."""

    name: str
    used: float | None
    available: float
    unit: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Occupancy:
    """A core of the target in one run: what its places hold.

    Args:
        name: heading, for example ``"run 1, block 0"``.
        labels: what the places can hold.
        cells: (rows, columns), index of the label, -1 for a free place.
        axes: what rows and columns are.
    """

    name: str
    labels: Sequence[str]
    cells: NDArray[Any]
    axes: tuple[str, str] = ("row", "column")


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A program compiled for a target.

    Args:
        target: what the target is.
        samples, steps: size of the calibration sample.
        same_answer: share of samples with the answer of the float program, of the quantised and
            of the target's run.
        agreement: by layer.
        costs: by operation, means over samples.
        joules, seconds: of one inference.
        energy_source: the table that energies are from, and what it leaves out.
        limits: of the target.
        places: what sits where.
        notes: what the compiler assumed or changed.
    """

    target: str
    samples: int
    steps: int
    same_answer: tuple[float, float]
    agreement: Sequence[AgreementRow]
    costs: Sequence[CostRow]
    joules: float
    seconds: float
    energy_source: str
    limits: Sequence[LimitRow] = ()
    places: Sequence[Occupancy] = ()
    notes: Sequence[str] = ()
