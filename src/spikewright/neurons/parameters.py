"""Parameters of neurons: physical values, scalar or per neuron, learnable on request."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from spikewright.errors import ParameterError, nearest
from spikewright.units import format_seconds

BOUNDS_FACTOR = 20.0
_SLACK = 1e-6


@dataclass(frozen=True)
class Learnable:
    """A value that training may change; make one with `learnable`."""

    value: Any
    bounds: tuple[float, float] | None = None


P = TypeVar("P")


class Tensors(Generic[P]):
    """The parameters dataclass ``P`` with a tensor for each value, as the two functions see it."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Tensor: ...


Value = float | Tensor | Learnable | tuple[float, ...]
"""A physical value: a number for all neurons, a tensor for each one, or learnable."""


def learnable(
    value: float | Tensor | tuple[float, ...], bounds: tuple[float, float] | None = None
) -> Any:
    """Mark a parameter as one that training may change.

    A time constant is stored as its place between its bounds on a logarithmic scale, so no
    optimiser step can leave them; without ``bounds`` they are a factor of 20 to either side.
    Other values are stored as they are, or if bounds are given as their place between them.

    Args:
        value: initial value, SI units. A tensor of the layer's shape makes one for each neuron.
        bounds: least and greatest value.

    >>> learnable(20e-3, bounds=(5e-3, 80e-3))
    Learnable(value=0.02, bounds=(0.005, 0.08))
    """
    return Learnable(value, bounds)


def time_constant(default: float | tuple[float, ...], *, several: bool = False) -> Any:
    """A dataclass field for a time in seconds: positive, learnable on a logarithmic scale.

    Args:
        default: value in s.
        several: whether each neuron has a tuple of them, along a trailing axis.
    """
    return dataclasses.field(default=default, metadata={"unit": "s", "several": several})


class ParameterSet(nn.Module):
    """The values of a parameters dataclass, as buffers and, where learnable, parameters.

    Args:
        where: name for error messages.
        kind: the dataclass.
        values: its fields by name; left out ones have the dataclass's default.

    Raises:
        ParameterError: an unknown field, a value that is not finite, or a time that is not
            positive.
    """

    def __init__(self, where: str, kind: type, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.where, self.kind = where, kind
        fields = self.fields
        for name in values:
            if name not in fields:
                raise ParameterError(
                    f"{where}: parameter must be one of {', '.join(fields)}, got {name!r}. "
                    f"{nearest(name, fields)}"
                )
        self.open_bounds: set[str] = set()
        for name, f in fields.items():
            self._add(name, values.get(name, f.default))

    @property
    def fields(self) -> dict[str, dataclasses.Field[Any]]:
        """The fields of the dataclass by name; not kept here, for a `Field` cannot be copied."""
        return _fields(self.kind)

    def _add(self, name: str, given: Any) -> None:
        wanted = isinstance(given, Learnable)
        value = self._as_tensor(name, given.value if wanted else given)
        if self.several(name) and value.ndim == 0:
            value = value[None]
        self._check(name, value)
        if not wanted:
            self.register_buffer(name, value)
            return
        bounds = given.bounds
        if bounds is None and self._is_time(name):
            self.open_bounds.add(name)
            bounds = (float(value.min()) / BOUNDS_FACTOR, float(value.max()) * BOUNDS_FACTOR)
        if bounds is not None:
            edges = torch.tensor(self._check_bounds(name, value, bounds), dtype=torch.float64)
            edges = edges.log() if self._is_time(name) else edges
            # A buffer, so that stored weights bring the bounds that their places refer to.
            self.register_buffer(f"{name}_edges", edges.to(value.dtype))
            value = self._place(name, value)
        self.register_parameter(name, nn.Parameter(value))

    def _as_tensor(self, name: str, given: Any) -> Tensor:
        try:
            return as_tensor(given)
        except (TypeError, ValueError, RuntimeError) as cause:
            raise ParameterError(
                f"{self.where}: {name} must be a number, a tensor or learnable(number or tensor), "
                f"got {given!r}. Pass for example {name}={20e-3 if self._is_time(name) else 1.0}."
            ) from cause

    def _is_time(self, name: str) -> bool:
        return self.fields[name].metadata.get("unit") == "s"

    def _check(self, name: str, value: Tensor) -> None:
        bad = ~torch.isfinite(value)
        rule = "finite"
        if self._is_time(name):
            bad, rule = bad | (value <= 0), "a positive, finite time in seconds"
        if bool(bad.any()):
            got = value[bad].flatten()[0].item()
            raise ParameterError(
                f"{self.where}: {name} must be {rule}, got {got:.6g}. "
                f"Pass for example {name}={20e-3 if self._is_time(name) else 1.0}."
            )

    def _check_bounds(
        self, name: str, value: Tensor, bounds: tuple[float, float]
    ) -> tuple[float, float]:
        low, high = bounds
        floor = 0.0 if self._is_time(name) else -math.inf
        if not floor < low < high or not bool(((value > low) & (value < high)).all()):
            raise ParameterError(
                f"{self.where}: bounds of {name} must be increasing"
                f"{' and positive' if self._is_time(name) else ''} and hold its value "
                f"{value.tolist()}, got {bounds}. Widen them."
            )
        return float(low), float(high)

    def _place(self, name: str, value: Tensor) -> Tensor:
        """The unbounded number that stands for ``value`` between its bounds."""
        low, high = getattr(self, f"{name}_edges").double().unbind()
        exact = value.double().log() if self._is_time(name) else value.double()
        place = ((exact - low) / (high - low)).clamp(_SLACK, 1 - _SLACK)  # never at infinity
        return torch.logit(place).to(value.dtype)

    def value(self, name: str) -> Tensor:
        """The physical value of a parameter, in SI units, differentiable."""
        stored: Tensor = getattr(self, name)
        edges: Tensor | None = getattr(self, f"{name}_edges", None)
        if edges is None:
            return stored
        low, high = edges.to(stored.dtype).unbind()
        scaled = torch.lerp(low, high, torch.sigmoid(stored))
        return scaled.exp() if self._is_time(name) else scaled

    def stored(self) -> list[Tensor]:
        """The parameters and buffers as they are kept."""
        return [getattr(self, name) for name in self.fields]

    def several(self, name: str) -> bool:
        """Whether the parameter has a trailing axis."""
        return bool(self.fields[name].metadata.get("several"))

    def get(self, rank: int) -> Any:
        """The dataclass of tensors, for a layer whose features have ``rank`` axes.

        A parameter with a trailing axis gets ``rank`` axes before it if all neurons share it.
        """
        values: dict[str, Tensor] = {}
        for name in self.fields:
            value = self.value(name)
            if self.several(name) and value.ndim == 1:
                value = value.view(*(1,) * rank, -1)
            values[name] = value
        return self.kind(**values)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ParameterError unless each value is a scalar or one for each neuron."""
        for name in self.fields:
            found = tuple(getattr(self, name).shape)
            found = found[:-1] if self.several(name) else found
            if found not in ((), shape):
                raise ParameterError(
                    f"{self.where}: {name} must be one value, or one for each neuron in shape "
                    f"{shape}, got shape {found}. Pass a number or a tensor of that shape."
                )

    def check_step(self, dt: float, least: float) -> None:
        """Keep time constants at ``least`` time steps or more, those that training may reach too.

        Raises:
            ParameterError: a value or a bound that was asked for is below that.
        """
        floor = least * dt
        for name in filter(self._is_time, self.fields):
            edges: Tensor | None = getattr(self, f"{name}_edges", None)
            low = math.inf if edges is None else float(edges[0].exp())
            if low < floor * (1 - _SLACK) and name in self.open_bounds:
                self._raise_lower_bound(name, floor)
                low = floor
            smallest = min(float(self.value(name).detach().min()), low)
            if smallest < floor * (1 - _SLACK):
                what = name if edges is None or low > smallest else f"the lower bound of {name}"
                raise ParameterError(
                    f"{self.where}: {what} must be at least {least:g} dt = "
                    f"{format_seconds(floor)}, got {format_seconds(smallest)}. "
                    "Use a smaller dt, or a model without this time constant."
                )

    def _raise_lower_bound(self, name: str, floor: float) -> None:
        """Move a bound that nobody asked for; the value stays as it is."""
        with torch.no_grad():
            value = self.value(name).clone()
            if float(value.min()) >= floor * (1 - _SLACK):
                getattr(self, f"{name}_edges")[0] = math.log(floor)
                getattr(self, name).copy_(self._place(name, value))


@functools.cache
def _fields(kind: type) -> dict[str, dataclasses.Field[Any]]:
    return {f.name: f for f in dataclasses.fields(kind)}


def as_tensor(value: Any) -> Tensor:
    """A number or tensor, or several along a last axis, as a floating tensor of its own."""
    if isinstance(value, tuple | list):
        return torch.stack([as_tensor(v) for v in value], dim=-1)
    tensor = torch.as_tensor(value)
    dtype = tensor.dtype if tensor.is_floating_point() and isinstance(value, Tensor) else None
    return tensor.detach().clone().to(dtype or torch.get_default_dtype())
