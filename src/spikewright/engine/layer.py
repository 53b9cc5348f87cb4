"""What every layer of a network is: a map from sequences and a state to sequences and a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from spikewright.errors import BackendError, NetworkError
from spikewright.units import check_dt, format_seconds

if TYPE_CHECKING:
    from spikewright.engine.program import Part

Shape = tuple[int, ...]
State = Any
"""A value: ``None``, a tensor or a (nested) tuple or dict of tensors, batch axis first in each."""


class Layer(nn.Module):
    """A layer maps ``(time, batch, *features)`` and a state to the same and the next state.

    ``forward(x, state=None) -> (y, state)`` for every layer, also for those that keep no state
    (theirs is ``None``). ``None`` as a state is a fresh start; a layer remembers nothing between
    calls. Running T1 and then T2 steps equals running T1 + T2 steps.

    Attributes:
        dt: time step in seconds, bound by the network; ``None`` until then.
        shape: shape of one input, without time and batch; ``None`` until bound.
        spiking: whether the output is spike counts.
        whole_sequence: whether, while training, it looks at all steps of a sequence at once, so
            that running T1 and then T2 steps differs from T1 + T2.
        stateful: whether it always hands out a state, which a later call must be given back.
    """

    dt: float | None = None
    shape: Shape | None = None
    spiking: bool = False
    whole_sequence: bool = False
    stateful: bool = False

    def build(self, shape: Shape, dt: float) -> Shape:
        """Bind the layer to its input's feature shape and to ``dt`` (s); return the output's shape.

        Parameters whose sizes were left open are made here. Binding again to the same values
        does nothing.

        Raises:
            NetworkError: the layer is bound to other values already, or cannot take the shape.
        """
        dt = check_dt(type(self).__name__, dt)
        shape = tuple(int(size) for size in shape)
        if self.dt is not None and self.dt != dt:
            raise NetworkError(
                f"{type(self).__name__}: dt must be the network's, {format_seconds(self.dt)}, "
                f"got {format_seconds(dt)}. Make a new layer for the other network."
            )
        if self.shape is not None and self.shape != shape:
            raise NetworkError(
                f"{type(self).__name__}: input features must be {self.shape}, got {shape}. "
                "A layer keeps the shape it was first used with; make a new layer."
            )
        output = self.output_shape(shape)
        self.dt, self.shape = dt, shape
        return output

    def reads_events(self) -> bool:
        """Whether the layer gains from an input that carries its spikes as lists of events."""
        return False

    def initial_state(self, batch: int) -> State:
        """The state of a fresh start for ``batch`` samples; the layer must be bound."""
        return None

    def part(self) -> Part:
        """What the layer does in one time step, for compilers; the layer must be bound.

        Raises:
            BackendError: there is no such description of this layer, or of its mode.
        """
        raise BackendError(
            f"{type(self).__name__}: the layer must be one that can be compiled, got one without "
            "a description of its step. Run the network with net(x, state), step by step if need "
            "be."
        )

    def output_shape(self, shape: Shape) -> Shape:
        """The feature shape of the output for an input of feature shape ``shape``."""
        return shape

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a sequence.

        Args:
            x: (time, batch, *features).
            state: what an earlier call returned, or ``None``.
        """
        raise NotImplementedError
