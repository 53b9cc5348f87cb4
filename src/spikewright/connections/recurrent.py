"""Recurrent layers: neurons whose spikes reach themselves one step later."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.connections.linear import Linear
from spikewright.connections.wiring import wiring_of
from spikewright.engine.forward import Observation
from spikewright.engine.layer import Layer, Shape
from spikewright.engine.program import Feedback as RecurrentStep
from spikewright.engine.program import part_of
from spikewright.engine.reference import Feedback
from spikewright.engine.scan import Choice
from spikewright.engine.wiring import Wiring
from spikewright.errors import NetworkError


class Cells(Protocol):
    """What `Recurrent` needs of a neuron layer."""

    def run_feedback(
        self,
        x: Tensor,
        state: Any,
        feedback: Feedback,
        record: tuple[str, ...] = (),
        seen: Observation | None = None,
    ) -> tuple[Tensor, Any, dict[str, Tensor], Feedback]: ...

    def choice(self, x: Tensor, wiring: Wiring | str | None = None) -> Choice: ...


class RecurrentState(NamedTuple):
    """State of the neurons, their last spikes (batch, *n), and the connection's state."""

    neuron: Any
    spikes: Tensor
    connection: Any


class Recurrent(Layer):
    """Neurons with a connection from their own spikes, which arrive one step later.

    ``s[t] = neuron(x[t] + connection(s[t - 1]))``, with no spikes before the first step.

    Args:
        neuron: a neuron layer.
        connection: from the neurons' shape to their input's; by default a `Linear` without
            bias between all of them.

    State: `RecurrentState`.

    >>> from spikewright.neurons import LIF
    >>> import torch
    >>> layer = Recurrent(LIF(tau_mem=10e-3))
    >>> layer.build((4,), dt=1e-3)
    (4,)
    >>> spikes, state = layer(torch.rand(10, 2, 4))
    >>> spikes.shape
    torch.Size([10, 2, 4])
    """

    stateful = True

    def __init__(self, neuron: Layer, connection: Layer | None = None) -> None:
        super().__init__()
        if not hasattr(neuron, "run_feedback"):
            raise NetworkError(
                f"Recurrent: neuron must be a layer of neurons, got {type(neuron).__name__}. "
                "Pass for example Recurrent(LIF())."
            )
        self.neuron, self.connection = neuron, connection
        self.spiking = neuron.spiking

    def build(self, shape: Shape, dt: float) -> Shape:
        output = super().build(shape, dt)
        self.neuron.build(shape, dt)
        if self.connection is None:
            self.connection = Linear(output[0], shape[0], bias=False)
        self.connection.build(output, dt)
        return output

    def output_shape(self, shape: Shape) -> Shape:
        output, shape = self.neuron.output_shape(shape), tuple(shape)
        if self.connection is None:
            _check_all_to_all(output, shape)
            return output
        back = self.connection.output_shape(output)
        if back != shape:
            raise NetworkError(
                f"Recurrent: the connection must lead from {output} to {shape}, got "
                f"{back}. Give it as many outputs as the neurons have inputs."
            )
        return output

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run over a sequence; see `Layer.forward`."""
        outputs, state, _ = self.run(x, state)
        return outputs, state

    def run(
        self,
        x: Tensor,
        state: RecurrentState | None = None,
        record: tuple[str, ...] = (),
        seen: Observation | None = None,
    ) -> tuple[Tensor, RecurrentState, dict[str, Tensor]]:
        """Like `forward`, and traces of the neurons' state fields.

        What a device showed of the neurons, ``seen``, takes the place of their forward pass; the
        spikes fed back are the device's.
        """
        if self.shape is None or self.connection is None:
            raise _unbuilt()
        connection = self.connection
        if state is None:
            state = RecurrentState(None, self._silence(x, self.shape), None)

        def connect(spikes: Tensor, inner: Any) -> tuple[Tensor, Any]:
            fed, inner = connection(spikes.unsqueeze(0), inner)
            return fed.squeeze(0), inner

        cells: Cells = self.neuron  # type: ignore[assignment]
        wiring = wiring_of(connection, state.spikes, state.connection)
        feedback = Feedback(connect, state.spikes, state.connection, wiring)
        made = cells.run_feedback(x, state.neuron, feedback, record, seen)
        outputs, neuron, traces, feedback = made
        return outputs, RecurrentState(neuron, feedback.spikes, feedback.state), traces

    def initial_state(self, batch: int) -> RecurrentState:
        assert self.shape is not None
        assert self.connection is not None
        neuron = self.neuron.initial_state(batch)
        like = next(leaf for leaf in pytree.tree_leaves(neuron) if leaf.is_floating_point())
        silence = like.new_zeros((batch, *self.output_shape(self.shape)))
        return RecurrentState(neuron, silence, self.connection.initial_state(batch))

    def part(self) -> RecurrentStep:
        assert self.connection is not None
        neurons: Any = part_of(self.neuron)
        noise: Any = neurons.noise

        def draw(state: RecurrentState, steps: int) -> tuple[Tensor, RecurrentState]:
            numbers, neuron = noise(state.neuron, steps)
            return numbers, state._replace(neuron=neuron)

        return RecurrentStep(neurons, part_of(self.connection), draw if noise else None)

    def choice(self, x: Tensor) -> Choice:
        """The backend that would run ``x``, and why."""
        if self.connection is None:
            raise _unbuilt()
        wiring = wiring_of(self.connection, self._silence(x, tuple(x.shape[2:])), None)
        cells: Cells = self.neuron  # type: ignore[assignment]
        return cells.choice(x, wiring)

    def _silence(self, x: Tensor, shape: Shape) -> Tensor:
        """No spikes, in the dtype that the neurons give out, whatever the input's."""
        held = [v for v in (*self.parameters(), *self.buffers(), x) if v.is_floating_point()]
        dtype = held[0].dtype if held else torch.get_default_dtype()
        return x.new_zeros((x.shape[1], *self.output_shape(shape)), dtype=dtype)

    def field_names(self) -> tuple[str, ...]:
        """State fields of the neurons that can be recorded."""
        cells: Any = self.neuron
        return cells.field_names()


def _unbuilt() -> NetworkError:
    return NetworkError(
        "Recurrent: dt must be bound before the layer runs, got None. "
        "Put the layer in a network with dt=..., or call layer.build(shape, dt)."
    )


def _check_all_to_all(neurons: Shape, inputs: Shape) -> None:
    if len(neurons) != 1 or len(inputs) != 1:
        raise NetworkError(
            f"Recurrent: the connection must be given for neurons of shape {neurons}, got None. "
            "Pass for example Conv2d(channels, channels, 3, padding='same')."
        )
