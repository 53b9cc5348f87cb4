"""A connection from neurons back to their own input, as the kernels need it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Wiring:
    """``fed[t, i] = bias[i] + sum_j weight[i, j] s[t - 1 - delays[i, j], j]``.

    Args:
        weight: (inputs, neurons).
        bias: (inputs,) or ``None``.
        delays: whole steps: (neurons,) for one an axon, (inputs, neurons) for one a synapse,
            ``None`` for none.
        past: spikes before the first step, oldest first, (steps, batch, neurons): one more step
            than the connection's state holds.
    """

    weight: Tensor
    bias: Tensor | None
    delays: Tensor | None
    past: Tensor

    @property
    def kind(self) -> str:
        """How spikes travel: ``"now"``, ``"axon"`` or ``"synapse"``."""
        if self.delays is None:
            return "now"
        return "axon" if self.delays.ndim == 1 else "synapse"
