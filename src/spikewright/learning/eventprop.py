"""EventProp: the exact gradient of spiking networks by adjoint equations with jumps."""

from __future__ import annotations

from typing import Any

from spikewright.errors import ParameterError, nearest
from spikewright.events.solver import Solver
from spikewright.learning.event_losses import EventLoss
from spikewright.learning.event_rule import EventRule
from spikewright.network import Network

SOLVERS = ("exact", "grid")


class EventProp(EventRule):
    """Learning rule: EventProp, on exact events or on the network's time grid.

    Between spikes the adjoint variables follow, backwards in time (prime: reverse),

        tau_mem lambda_v' = -lambda_v - dl/dv      tau_syn lambda_i' = lambda_v - lambda_i

    and at a spike lambda_v jumps by what the spike's time is worth, over its slope. A weight gets
    -tau_syn times the sum of lambda_i of its target at its arrivals. Nothing but the spikes is
    kept, so memory does not grow with the length of the trial.

    Args:
        loss: one of `spikewright.learning.event_losses`.
        solver: ``"exact"``: spikes at exact times; ``"grid"``: at multiples of the network's dt,
            where the gradient is that of the equations and not of the grid; or a
            `spikewright.events.solver.Solver` of your own.
        **options: see `EventRule`: max_spikes, regularisers, silent, augmentations, optimisation
            or its fields.

    Raises:
        ParameterError: an option is unknown or outside its range.

    Source: Wunderlich and Pehle, Scientific Reports 11 (2021); Nowotny, Turner and Knight,
    Neuromorphic Computing and Engineering (2025).

    >>> import torch
    >>> from spikewright import CubaLI, CubaLIF, Linear, Sequential
    >>> from spikewright.learning import Batch
    >>> from spikewright.learning.event_losses import IntegralCrossEntropy
    >>> cells = dict(tau_mem=20e-3, tau_syn=5e-3)
    >>> net = Sequential(
    ...     Linear(4, 20, bias=False), CubaLIF(**cells, v_threshold=0.1),
    ...     Linear(20, 2, bias=False), CubaLI(**cells), dt=1e-3,
    ... )
    >>> rule = EventProp(IntegralCrossEntropy("exponential"), learning_rate=1e-2)
    >>> y = torch.tensor([0, 1] * 4)
    >>> x = torch.zeros(20, 8, 4)
    >>> x[2, y == 0, :2] = x[5, y == 1, 2:] = 1.0
    >>> state, losses = rule.init(net), []
    >>> for _ in range(10):
    ...     metrics, state = rule.train_batch(net, Batch(x, y), state)
    ...     losses.append(float(metrics["loss"]))
    >>> losses[-1] < losses[0]
    True
    """

    options = ("loss", "solver", *EventRule.options[1:])

    def __init__(self, loss: EventLoss, *, solver: str | Solver = "exact", **options: Any) -> None:
        super().__init__(loss, **options)
        if not isinstance(solver, Solver) and solver not in SOLVERS:
            raise ParameterError(
                f"EventProp: solver must be one of {', '.join(SOLVERS)} or a Solver, got "
                f"{solver!r}. {nearest(str(solver), SOLVERS)}"
            )
        self.solver = solver

    def solver_for(self, network: Network) -> Solver:
        """What turns arrivals into spikes."""
        if not isinstance(self.solver, str):
            return self.solver
        if self.solver == "grid":
            from spikewright.events.grid import Grid

            return Grid(network.dt)
        from spikewright.events.exact import Exact

        return Exact(gradient="adjoint")
