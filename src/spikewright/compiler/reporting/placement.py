"""What sits where on a target, as a picture's data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.design import Design, Place, bias_of
from spikewright.compiler.discrete import INPUT, DiscreteProgram, Neurons
from spikewright.report import Occupancy

AXES = ("row", "column")


def placement(design: Design, grid: tuple[int, int] | None) -> list[Occupancy]:
    """One picture for each core in use in each run; none for a target without places.

    Columns are those of a layer's neurons, rows those that listen to a source; where a layer's
    columns meet the rows of what it takes its input from, there is a weight of that layer.

    Args:
        design: with places and routes.
        grid: rows and columns of a core.
    """
    if grid is None:
        return []
    labels = list(dict.fromkeys(place.piece.node for place in design.places))
    cores = sorted({(place.piece.run, place.core) for place in design.places})
    return [
        Occupancy(
            name=f"run {run + 1}, core {core}",
            labels=labels,
            cells=_cells(design, (run, core), labels, grid),
            axes=AXES,
        )
        for run, core in cores
    ]


def _cells(
    design: Design, where: tuple[int, int], labels: list[str], grid: tuple[int, int]
) -> NDArray[np.int16]:
    cells = np.full(grid, -1, dtype=np.int16)
    for place in design.places:
        if (place.piece.run, place.core) == where:
            rows = _rows(design, place)
            cells[np.ix_(rows, place.units)] = labels.index(place.piece.node)
    return cells


def _rows(design: Design, place: Place) -> NDArray[np.int64]:
    """The rows that a layer listens to on its core."""
    name = place.piece.node
    heard = {bias_of(name), *sources_of(design.program, name)}
    found = [
        route.rows.ravel()
        for route in design.routes
        if (route.run, route.core) == (place.piece.run, place.core) and route.source in heard
    ]
    rows = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    return rows[rows >= 0]


def sources_of(program: DiscreteProgram, name: str) -> Iterator[str]:
    """The layers of neurons, and the input, that a node takes its values from in the end."""
    for edge in program.node(name).edges:
        if edge.source == INPUT or isinstance(program.node(edge.source).operation, Neurons):
            yield edge.source
        else:
            yield from sources_of(program, edge.source)
