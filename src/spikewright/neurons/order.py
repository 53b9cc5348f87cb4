"""The named orders of update of a model."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from spikewright.errors import ParameterError, nearest

Name = TypeVar("Name")
EULER_LEAST_TAU = 1.0
"""Smallest time constant, in time steps, at which a step of Euler's does not overshoot."""


def check_order(where: str, order: Name, orders: Any) -> Name:
    """Return ``order`` if it is one of the literal type ``orders``, else raise ParameterError."""
    if order not in get_args(orders):
        raise ParameterError(
            f"{where}: order must be one of {', '.join(get_args(orders))}, got {order!r}. "
            f"{nearest(str(order), get_args(orders))}"
        )
    return order
