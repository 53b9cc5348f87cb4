"""How a graph is to be read where NIR leaves it open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch

from spikewright.compiler.exchange.metadata import VERSION, Carried, is_number
from spikewright.compiler.exchange.report import Notes
from spikewright.errors import ExchangeError, SpikewrightError, nearest
from spikewright.neurons.cuba import Order
from spikewright.neurons.firing import Reset
from spikewright.units import check_dt, format_seconds

ORDER: Order = "euler"
RESET: Reset = "to_value"
IMPULSES = ("I", "IF")
DRIVEN = ("CubaLI", "CubaLIF", "I", "IF", "LI", "LIF")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Conventions:
    """What the caller states; ``None`` where the caller is silent. See `import_nir`."""

    dt: float | None = None
    order: Order | None = None
    reset: Reset | None = None
    impulses: Collection[str] | None = None
    time_unit: float = 1.0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("order", self.order, get_args(Order)),
            ("reset", self.reset, get_args(Reset)),
        ):
            if value is not None and value not in known:
                raise ExchangeError(
                    f"import_nir: {name} must be one of {', '.join(known)}, got {value!r}. "
                    f"{nearest(str(value), known)}"
                )
        unknown = [name for name in self.impulses or () if name not in DRIVEN]
        if unknown or isinstance(self.impulses, str):
            raise ExchangeError(
                f"import_nir: impulses must name kinds of nodes out of {', '.join(DRIVEN)}, got "
                f"{self.impulses!r}. Pass for example impulses=('IF',)."
            )
        if not (is_number(self.time_unit) and 0 < self.time_unit < float("inf")):
            raise ExchangeError(
                f"import_nir: time_unit must be a positive number of seconds, got "
                f"{self.time_unit!r}. Pass 1e-3 for a graph whose times are in ms."
            )


@dataclass(frozen=True)
class Reading:
    """What holds for all nodes of a graph that is read.

    Args:
        dt: time step of the network, s.
        charge_dt: for how long a sample of an input current lasts, s.
        dtype: of the network's numbers.
        stated: the caller's word, which overrides the metadata.
        notes: the report.
    """

    dt: float
    charge_dt: float
    dtype: torch.dtype
    stated: Conventions
    notes: Notes

    def tensor(self, where: str, values: Any) -> torch.Tensor:
        """Numbers in the network's dtype; notes what rounding changes."""
        tensor = torch.from_numpy(np.array(values, dtype=np.float64)).to(self.dtype)
        if self.dtype != torch.float64 and (tensor.double().numpy() != values).any():
            word = str(self.dtype).removeprefix("torch.")
            self.notes.add(where, "changed", f"numbers rounded to {word}")
        return tensor

    def chosen(self, where: str, name: str, carried: Any, default: Any) -> Any:
        """A convention: the caller's word, else the metadata's, else the default. Noted."""
        stated = getattr(self.stated, name)
        if stated is not None:
            self.notes.add(where, "assumed", f"{name} {stated!r}, by keyword")
            return stated
        if carried is not None:
            self.notes.add(where, "carried", f"{name} {carried!r}, from the metadata")
            return carried
        self.notes.add(where, "assumed", f"{name} {default!r}, by default")
        return default


def start_reading(carried: Carried, stated: Conventions, notes: Notes) -> Reading:
    """Time step and dtype of a graph, from the caller or its metadata.

    Raises:
        ExchangeError: nobody states dt, or the metadata is of a later version.
    """
    version = carried.take("version", lambda value: value == VERSION, f"{VERSION}", VERSION)
    own: Any = carried.take("dt", lambda it: is_number(it) and it > 0, "a time in s", None)
    word: Any = carried.take("dtype", lambda it: it in list(DTYPES), " or ".join(DTYPES), None)
    chosen = own if stated.dt is None else stated.dt
    if chosen is None:
        raise ExchangeError(
            f"import_nir: dt must be stated, as NIR has no field for it, got none (metadata "
            f"version {version}). Pass the time step that the graph was made for, for example "
            "dt=1e-3."
        )
    try:
        dt = check_dt("import_nir", chosen)
    except SpikewrightError as cause:
        raise ExchangeError(str(cause)) from cause
    if stated.dt is None:
        notes.add("network", "carried", f"dt {format_seconds(dt)}, from the metadata")
    else:
        notes.add("network", "assumed", f"dt {format_seconds(dt)}, by keyword")
    if stated.time_unit != 1.0:
        unit = format_seconds(stated.time_unit)
        notes.add("network", "assumed", f"times in units of {unit}, by keyword")
    dtype = DTYPES[word] if word else torch.get_default_dtype()
    return Reading(dt, own or dt, dtype, stated, notes)
