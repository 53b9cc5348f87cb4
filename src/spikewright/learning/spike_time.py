"""Backpropagation through spike times, with any number of spikes a neuron."""

from __future__ import annotations

from spikewright.events.solver import Solver
from spikewright.learning.event_rule import EventRule
from spikewright.network import Network


class SpikeTime(EventRule):
    """Learning rule: the exact gradient of spike times, from spike to spike by the chain rule.

    A spike at t, where u reaches the threshold with slope u', moves by

        dt/dp = -(1 / u') (du/dp + du/dt_before dt_before/dp)

    where t_before is the neuron's own spike before: the term that a rule for single spikes lacks.
    Backwards in time it costs one sum carried along the spikes. On the same network `EventProp`
    with the exact solver has the same gradient.

    Args:
        loss: one of `spikewright.learning.event_losses`; those of the sources are
            `FirstSpikeSoftmax` and `SpikeCountTarget`.
        **options: see `EventRule`: max_spikes (1 for rules of the first spike), regularisers,
            silent, augmentations, optimisation or its fields.

    Raises:
        ParameterError: an option is unknown or outside its range.

    Source: Bacho and Chu, Neural Computation 35(10) (2023); Yamamoto, Sakemi and Aihara,
    arXiv 2211.16113 (2022).

    >>> import torch
    >>> from spikewright import CubaLIF, Linear, Sequential
    >>> from spikewright.learning import Batch
    >>> from spikewright.learning.event_losses import SpikeCountTarget
    >>> from spikewright.learning.silent import PushLabels
    >>> _ = torch.manual_seed(0)
    >>> cells = dict(tau_mem=20e-3, tau_syn=10e-3, v_threshold=0.1)
    >>> net = Sequential(
    ...     Linear(4, 20, bias=False), CubaLIF(**cells),
    ...     Linear(20, 2, bias=False), CubaLIF(**cells), dt=1e-3,
    ... )
    >>> loss = SpikeCountTarget(correct=5, incorrect=1)
    >>> rule = SpikeTime(loss, silent=(PushLabels(),), learning_rate=1e-2)
    >>> y = torch.tensor([0, 1] * 4)
    >>> x = torch.zeros(30, 8, 4)
    >>> x[2, y == 0, :2] = x[5, y == 1, 2:] = 1.0
    >>> state, losses = rule.init(net), []
    >>> for _ in range(30):
    ...     metrics, state = rule.train_batch(net, Batch(x, y), state)
    ...     losses.append(float(metrics["loss"]))
    >>> losses[-1] < losses[0]
    True
    """

    def solver_for(self, network: Network) -> Solver:
        """What turns arrivals into spikes."""
        from spikewright.events.exact import Exact

        return Exact(gradient="chain")
