"""Networks with plastic connections, and the same by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import spikewright as sw
from reference.plastic import Cells, Synapses
from spikewright.engine.plastic.description import (
    Eligibility,
    Expression,
    Number,
    Operation,
    Plasticity,
    Symbol,
    Trace,
    Updates,
)
from spikewright.engine.plastic.online import Online

DT = 1e-3
X1, X2, Y1, Y2 = (Trace(name, tau) for name, tau in zip(
    ("x1", "x2", "y1", "y2"), (8e-3, 20e-3, 10e-3, 30e-3), strict=True
))  # fmt: skip


def of(name: str, *arguments: Expression | str | float) -> Operation:
    """An operation on symbols, given by name, and numbers."""
    return Operation(name, tuple(map(term, arguments)))


def term(given: Expression | str | float) -> Expression:
    if isinstance(given, str):
        return Symbol(given)
    return Number(float(given)) if isinstance(given, int | float) else given


def times(*factors: Expression | str | float) -> Expression:
    product = term(factors[0])
    for factor in factors[1:]:
        product = of("*", product, factor)
    return product


PAIR = Plasticity(
    Updates(pre=times(-0.03, "y1"), post=times(0.05, "x1")), (X1, Y1), bounds=(0.0, 1.0)
)
FAR_FROM = of("-", 1.0, "w")
RULES = {
    "pair": PAIR,
    "nearest and soft bounds": Plasticity(
        Updates(pre=times(-0.1, "w", "y1"), post=times(0.1, FAR_FROM, "x1")),
        (Trace("x1", 8e-3, 0.7, nearest=True), Trace("y1", 10e-3, 1.2, nearest=True)),
    ),
    "triplet": Plasticity(
        Updates(
            pre=times(-0.02, "y1", of("+", 1.0, "x2")),
            post=times(0.04, "x1", of("+", 0.5, "y2")),
        ),
        (X1, X2, Y1, Y2),
    ),
    "in each step": Plasticity(
        Updates(step=of("-", times(0.02, "x1", "y0"), times(0.01, "y1", "x0"))), (X1, Y1)
    ),
    "by membranes": Plasticity(
        Updates(
            post=times(0.1, of("-", of("exp", of("-", "y_v")), "w")),
            pre=times(0.05, of("min", "y_v", 0.5), of(">", "w", 0.2)),
        )
    ),
    "rewarded": Plasticity(
        Updates(step=times(0.2, "r", "e"), modulated=True),
        (X1, Y1),
        Eligibility(40e-3, Updates(pre=times(-0.5, "y1"), post=of("**", "x1", 2.0))),
    ),
    "eligibility at events": Plasticity(
        Updates(post=times(0.1, "e"), pre=times(-0.02, of("abs", "e"))),
        (X1,),
        Eligibility(15e-3, Updates(post=Symbol("x1"), step=times(0.01, "x0", "y0"))),
    ),
}


@dataclass
class Drawn:
    """A network in float64, and its weights."""

    net: sw.Network
    w: Tensor
    cells: Cells
    frozen: tuple[str, ...]

    @property
    def connection(self) -> sw.Linear:
        return self.net.layers["plastic"]  # type: ignore[return-value]

    def online(self, rule: Plasticity, **options: object) -> Online:
        with torch.no_grad():
            self.connection.weight.copy_(self.w.T)
        return Online(self.net, {"plastic": rule}, **options)  # type: ignore[arg-type]

    def by_hand(
        self, rule: Plasticity, x: Tensor, r: np.ndarray | None = None, learn: bool = True
    ) -> tuple[Synapses, np.ndarray]:
        """The synapses after ``x``, and the spikes of the neurons."""
        synapses = Synapses(rule, self.w.numpy().copy(), DT)
        spikes: list[np.ndarray] = []
        for t, row in enumerate(x.numpy()):
            y = self.cells.step(row @ synapses.w, learn)
            spikes.append(y)
            if learn:
                synapses.step(row, y, None, self.cells.v, 0.0 if r is None else float(r[t]))
        return synapses, np.stack(spikes)


def draw(inputs: int, outputs: int, winners: int = 1, clamp: int = 0, seed: int = 0) -> Drawn:
    """Adaptive neurons behind a connection, that compete if there are ``winners``."""
    torch.manual_seed(seed)
    numbers = {"tau_mem": 10e-3, "v_threshold": 0.6, "v_reset": -0.1, "r": 4.0}
    numbers |= {"beta": 0.1, "tau_adapt": 50e-3}
    exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
    cells = sw.AdaptiveLIF(refractory=2 * DT, **exact)
    layer = cells
    if winners:
        inhibited = torch.tensor(-0.2, dtype=torch.float64)
        layer = sw.WinnerTakeAll(cells, winners, clamp * DT, v_inhibited=inhibited)
    named = {"plastic": sw.Linear(inputs, outputs, bias=False), "cells": layer}
    net = sw.Sequential(named, dt=DT).double()
    own = {"refractory": 2, "winners": winners, "clamp": clamp, "v_inhibited": -0.2}
    model = Cells(outputs, DT, **numbers, **own)  # type: ignore[arg-type]
    return Drawn(net, torch.rand(inputs, outputs, dtype=torch.float64), model, ("a",))


def trains(steps: int, inputs: int, rate: float = 0.15, seed: int = 1) -> Tensor:
    """Spike trains, now and then with two spikes in a step, (steps, inputs)."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.rand(2, steps, inputs, generator=random)
    return ((drawn[0] < rate).double() + (drawn[1] < rate / 8).double()).double()
