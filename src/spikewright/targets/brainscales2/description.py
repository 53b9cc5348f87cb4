"""The hardware description: a file with everything that a lab would load onto a chip.

A folder with ``description.json`` and the tensors it names. In the JSON:

- ``chip``: identity of the chip that the codes were found for.
- ``units``: of the numbers, by kind.
- ``dt`` (s, of the network) and ``clock`` (s, of the chip): ``dt``, ``latency_in``, ``latency``,
  ``resolution`` and ``period``; see `timing`.
- ``shapes``: of one sample of the input and of each layer. ``output``: the layer that gives the
  network's output.
- ``scales``: ``[source, target, codes for a weight of 1]``.
- ``runs``: what is run one after the other for a batch. Each has ``routes``, ``[source, block]``,
  in the order of its tensors, ``seats``: by layer ``start`` (s), ``spiking`` and ``shown``, and
  ``sent``: by source that is not on the chip, when the events of its first step are sent (s).

The tensors of run k, all beginning with ``k.``:

- ``weights`` (blocks, rows, columns), 0 to 63; ``row_sign`` and ``row_address`` (blocks, rows);
  ``neuron_address`` (circuits); ``codes.NAME`` and ``switches.NAME`` (circuits), by the names of
  `transfer`; ``sampled`` (circuits); ``fast_circuit``.
- ``routes.j.addresses`` (channels) and ``routes.j.rows`` (channels, rows a channel), -1 for none.
- ``seats.LAYER.neurons``, ``.circuits``, ``.zero`` and ``.per_unit``: where the neurons of a layer
  are, and how their membranes are read: ``(level - zero) / per_unit``.

Spikes of step n of a source that is not on the chip are sent at ``sent + n clock.dt`` to its
addresses. The source ``LAYER.bias`` has one channel, and a spike in every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.compiler.design import Route
from spikewright.errors import ProgramError
from spikewright.sealed import SealedFolder
from spikewright.targets.brainscales2.chip import BLOCKS, CIRCUITS, ROWS, Chip, Configuration
from spikewright.targets.brainscales2.lowering.plan import Plan, Run, Seat
from spikewright.targets.brainscales2.lowering.timing import Clock
from spikewright.targets.brainscales2.lowering.wiring import is_bias
from spikewright.targets.brainscales2.twin.check import MOST_ADDRESS, check_configuration

FOLDER = SealedFolder(
    "hardware description", "description.json", "spikewright-brainscales2-1", ProgramError
)
UNITS = {
    "time": "s",
    "potential": "LSB of the parallel converter, 0 to 255",
    "weight": "codes, 0 to 63, the sign is that of the row",
    "parameter": "codes, 0 to 1022",
}
_ARRAYS = ("weights", "row_sign", "row_address", "neuron_address", "sampled")
_TABLES = ("codes", "switches")
_PLACES = ("neurons", "circuits", "zero", "per_unit")

Tensors = dict[str, Tensor]
Array = NDArray[Any]


def write(folder: str | Path, plan: Plan, chip: Chip) -> Path:
    """Write the hardware description of a plan; what was there stays whole until it is replaced.

    Raises:
        ProgramError: it cannot be written.
    """
    tensors, values = store(plan, chip.identity())
    try:
        FOLDER.write(Path(folder), values, tensors)
    except OSError as cause:
        raise ProgramError(
            f"brainscales2.write: {folder} must be writable, got {cause}. Free space or rights "
            "there, or choose another folder."
        ) from cause
    return Path(folder)


def read(folder: str | Path) -> tuple[Plan, dict[str, Any]]:
    """The plan of a hardware description, and the identity of the chip it was made for.

    Raises:
        ProgramError: a file is missing or damaged; names the fault.
    """
    try:
        values, tensors = FOLDER.read(Path(folder))
        return restore(tensors, values), values["chip"]
    except ProgramError as fault:
        raise ProgramError(
            f"brainscales2.read: {folder} must hold a whole hardware description, got a fault: "
            f"{fault}. Restore the folder from a copy, or compile the network again."
        ) from fault


def store(plan: Plan, chip: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    """A plan as tensors and plain values."""
    arrays = {f"{k}.{name}": a for k, run in enumerate(plan.runs) for name, a in _arrays(run)}
    tensors = {name: torch.from_numpy(np.array(a, order="C")) for name, a in arrays.items()}
    values: dict[str, Any] = {
        "chip": dict(chip),
        "units": UNITS,
        "dt": plan.dt,
        "clock": asdict(plan.clock),
        "shapes": {name: list(shape) for name, shape in plan.shapes.items()},
        "output": plan.output,
        "scales": [[*way, scale] for way, scale in plan.weight.items()],
        "runs": [_values(run) for run in plan.runs],
    }
    return tensors, values


def _arrays(run: Run) -> Iterator[tuple[str, Array]]:
    c = run.configuration
    for name in _ARRAYS:
        yield name, getattr(c, name)
    for table in _TABLES:
        for name, column in getattr(c, table).items():
            yield f"{table}.{name}", column
    yield "fast_circuit", np.array(c.fast_circuit)
    for j, route in enumerate(run.routes):
        yield f"routes.{j}.addresses", route.addresses
        yield f"routes.{j}.rows", route.rows
    for name, seat in run.seats.items():
        for place in _PLACES:
            yield f"seats.{name}.{place}", getattr(seat, place)


def _values(run: Run) -> dict[str, Any]:
    return {
        "routes": [[route.source, route.core] for route in run.routes],
        "seats": {
            name: {"start": seat.start, "spiking": seat.spiking, "shown": list(seat.shown)}
            for name, seat in run.seats.items()
        },
        "order": list(run.seats),
        "sent": dict(run.sent),
    }


def restore(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Plan:
    """The inverse of `store`.

    Raises:
        ProgramError: they are not what `store` gives.
    """
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        plan = Plan(
            float(values["dt"]),
            Clock(**{f.name: float(values["clock"][f.name]) for f in fields(Clock)}),
            tuple(_run(k, one, arrays) for k, one in enumerate(values["runs"])),
            {name: tuple(map(int, shape)) for name, shape in values["shapes"].items()},
            str(values["output"]),
            {(source, target): float(scale) for source, target, scale in values["scales"]},
        )
        for run in plan.runs:
            check_configuration(run.configuration)
            _check_run(run, plan)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as cause:
        raise ProgramError(f"it holds what no hardware description holds: {cause}") from cause
    return plan


def _check_run(run: Run, plan: Plan) -> None:
    """Raise ValueError for places that there are not."""
    for name, seat in run.seats.items():
        _check_range(f"circuits of {name!r}", seat.circuits, 0, CIRCUITS - 1)
        neurons = math.prod(plan.shapes[name])
        _check_range(f"neurons of {name!r}", seat.neurons, 0, neurons - 1)
        if not len(seat.circuits) == len(seat.neurons) == len(seat.zero) == len(seat.per_unit):
            raise ValueError(f"{name!r} has another number of circuits than of neurons")
    for route in run.routes:
        channels = 1 if is_bias(route.source) else math.prod(plan.shapes[route.source])
        _check_range(f"rows of {route.source!r}", route.rows, -1, ROWS - 1)
        _check_range(f"addresses of {route.source!r}", route.addresses, 0, MOST_ADDRESS)
        _check_range(f"block of {route.source!r}", np.array(route.core), 0, BLOCKS - 1)
        if not len(route.rows) == len(route.addresses) == channels:
            raise ValueError(f"{route.source!r} has another number of addresses than of channels")
    if any(not 0 <= run.sent[source] < math.inf for source in run.from_host()):
        raise ValueError("a source is sent before the sample begins, or never")


def _check_range(what: str, values: Array, least: int, most: int) -> None:
    if values.size and not least <= int(values.min()) <= int(values.max()) <= most:
        raise ValueError(f"{what} are not all from {least} to {most}")


def _run(number: int, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> Run:
    start = f"{number}."
    mine = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
    tables = {
        table: {
            n.removeprefix(f"{table}."): a for n, a in mine.items() if n.startswith(f"{table}.")
        }
        for table in _TABLES
    }
    arguments: Any = {name: mine[name] for name in _ARRAYS} | tables
    configuration = Configuration(**arguments, fast_circuit=int(mine["fast_circuit"]))
    routes = tuple(
        Route(
            number,
            str(source),
            int(block),
            *(mine[f"routes.{j}.{n}"] for n in ("addresses", "rows")),
        )
        for j, (source, block) in enumerate(values["routes"])
    )
    seats = {name: _seat(name, values["seats"][name], mine) for name in values["order"]}
    sent = {str(name): float(time) for name, time in values["sent"].items()}
    return Run(configuration, seats, routes, sent)


def _seat(name: str, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> Seat:
    arguments: Any = {place: arrays[f"seats.{name}.{place}"] for place in _PLACES}
    shown = tuple(str(what) for what in values["shown"])
    return Seat(
        **arguments, start=float(values["start"]), spiking=bool(values["spiking"]), shown=shown
    )
