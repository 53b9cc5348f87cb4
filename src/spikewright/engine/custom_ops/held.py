"""What the forward pass of a registered operation keeps for its backward pass.

A registered operation may only hand out tensors. It hands out a ticket, whose memory knows what
was kept and gives it up when the last tensor over that memory is gone. A copy of a ticket knows
nothing: the forward pass is then run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor


class _Tickets(np.ndarray[Any, np.dtype[np.int64]]):
    """Memory of tickets, and what each stands for."""

    held: tuple[Any, ...] = ()


_known: WeakValueDictionary[int, _Tickets] = WeakValueDictionary()
WIDTH = np.dtype(np.int64).itemsize


def issue(held: Sequence[Any]) -> Tensor:
    """Tickets for some objects, (number, 1) int64; `claim` gets them back.

    >>> tickets = issue(["a", "b"])
    >>> claim(tickets[1]), claim(tickets[1].clone())
    ('b', None)
    """
    tickets = np.zeros((len(held), 1), np.int64).view(_Tickets)
    tickets.held = tuple(held)
    tensor = torch.from_numpy(tickets)
    for i in range(len(held)):
        _known[tensor.data_ptr() + WIDTH * i] = tickets
    return tensor


def claim(ticket: Tensor) -> Any:
    """What a ticket was issued for, or ``None`` if it is a copy."""
    tickets = _known.get(ticket.data_ptr())
    if tickets is None:
        return None
    return tickets.held[(ticket.data_ptr() - tickets.ctypes.data) // WIDTH]
