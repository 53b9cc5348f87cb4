"""A layer of neurons that runs the instructions of a node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.compiler.discrete import Neurons
from spikewright.compiler.formats import Fixed, quantised
from spikewright.compiler.software.layers import OUTPUT, SATURATED
from spikewright.compiler.steps.function import step_function
from spikewright.compiler.steps.rounding import SCALE, with_formats
from spikewright.engine.checks import check_sequence
from spikewright.engine.forward import Observation
from spikewright.engine.layer import Layer, Shape
from spikewright.engine.program import Pointwise
from spikewright.engine.reference import Feedback
from spikewright.engine.scan import (
    Backend,
    Choice,
    choose_backend,
    choose_recurrent_backend,
    scan,
    scan_feedback,
)
from spikewright.engine.wiring import Wiring
from spikewright.errors import BackendError, NetworkError
from spikewright.neurons.base import split_outputs
from spikewright.neurons.extras import NoiseState


class ProgramNeurons(Layer):
    """The neurons of a node, their state rounded to its formats; the engine compiles their step.

    As in other layers of neurons ``backend`` says what runs them.

    Args:
        operation: what the node does.
        features: shape of the neurons of one sample.

    State: a tuple of the step's state fields, (batch, *n) each, inside a `NoiseState` where the
    step takes noise. ``run`` records fields by their names, as ``"saturated v"`` how often each
    neuron's field left its range, and as ``"handed on"`` the output of neurons that do not spike.
    """

    backend: Backend = "auto"

    def __init__(self, operation: Neurons, features: Shape) -> None:
        super().__init__()
        numbers = [*operation.coefficients.values(), *operation.initial.values()]
        dtype = numbers[0].dtype if numbers else torch.get_default_dtype()
        step, self.flags = with_formats(operation.step, operation.formats, dtype)
        self.step, self.features, self.noise = step, features, operation.noise
        self.spiking, self.stateful = operation.spiking, bool(step.state or operation.noise)
        formats = operation.formats.items()
        scales = {SCALE + n: f.scale.to(dtype) for n, f in formats if isinstance(f, Fixed)}
        values = {**operation.coefficients, **scales}
        for k, name in enumerate(step.coefficients):
            self.register_buffer(f"coefficient{k}", values[name].clone())
        for k, name in enumerate(step.state):
            start = operation.initial[name]
            kept = operation.formats.get(name)
            self.register_buffer(f"start{k}", quantised(start, kept) if kept else start.clone())

    @property
    def cells(self) -> int:
        """Numbers that arrive at each neuron in a step."""
        return len(self.step.inputs) - self.noise

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != self.cells * math.prod(self.features):
            raise NetworkError(
                f"ProgramNeurons: input features must be {self.cells} numbers for each of "
                f"{self.features} neurons, got {shape}. Change the connection before it."
            )
        return self.features

    def initial_state(self, batch: int) -> Any:
        state = tuple(
            getattr(self, f"start{k}").expand(batch, *self.features)
            for k in range(len(self.step.state))
        )
        if not self.noise:
            return state
        sample = torch.randint(2**62, (1,)) + torch.arange(batch)
        return NoiseState(state, sample, torch.zeros_like(sample))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        outputs, state, _ = self.run(x, state)
        return outputs, state

    def run(
        self, x: Tensor, state: Any = None, record: tuple[str, ...] = ()
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Like `forward`, and traces by name, (time, batch, *n)."""
        inputs, inner, wrap = self._prepare(x, state)
        step = step_function(self.step, self._recorded(record))
        outputs, last = scan(step, inputs, inner, self._coefficients(), **self._engine())
        return split_outputs(outputs, wrap(last), record)

    def run_feedback(
        self,
        x: Tensor,
        state: Any,
        feedback: Feedback,
        record: tuple[str, ...] = (),
        seen: Observation | None = None,
    ) -> tuple[Tensor, Any, dict[str, Tensor], Feedback]:
        """Like `run`, with the spikes of each step fed back into the next."""
        if seen is not None:
            raise BackendError(
                "ProgramNeurons: a program must run by itself, got observations of a device. "
                "Put them into the network that the program was made from."
            )
        inputs, inner, wrap = self._prepare(x, state)
        step, c = step_function(self.step, self._recorded(record)), self._coefficients()
        outputs, last, feedback = scan_feedback(step, inputs, inner, c, feedback, **self._engine())
        return (*split_outputs(outputs, wrap(last), record), feedback)

    def field_names(self) -> tuple[str, ...]:
        """What `run` can record."""
        own = () if self.spiking else (OUTPUT,)
        return (*self.step.state, *own, *(f"{SATURATED} {name}" for name in self.flags))

    def part(self) -> Pointwise:
        state = self.initial_state(1)
        inner = state.neuron if self.noise else state
        inputs = () if "[" not in self.step.inputs[0] else (self.cells,)
        step, noise = step_function(self.step), self._draw if self.noise else None
        return Pointwise(step, self.features, inputs, inner, self._coefficients(), noise)

    def choice(self, x: Tensor, wiring: Wiring | str | None = None) -> Choice:
        """The backend that would run ``x``, and why; ``wiring`` is that of a recurrent layer."""
        dtype = self._dtype()
        if wiring is None:
            return choose_backend(x, dtype, self.backend)
        return choose_recurrent_backend(x, dtype, self.backend, wiring)

    def _prepare(self, x: Tensor, state: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
        check_sequence("ProgramNeurons", x, self.shape)
        x = x.reshape(*x.shape[:2], *self.features, *([] if self.cells == 1 else [self.cells]))
        state = self.initial_state(x.shape[1]) if state is None else state
        if not self.noise:
            return x, state, lambda last: last
        xi, after = self._draw(state, x.shape[0])
        return (x, xi), state.neuron, lambda last: after._replace(neuron=last)

    def _draw(self, state: NoiseState, steps: int) -> tuple[Tensor, NoiseState]:
        place = state.sample, int(state.clock[0]), steps
        xi = seeding.normal(0, *place, self.features, self._dtype())
        return xi, state._replace(clock=state.clock + steps)

    def _recorded(self, record: tuple[str, ...]) -> tuple[str, ...]:
        others = {f"{SATURATED} {name}": flag for name, flag in self.flags.items()}
        others[OUTPUT] = self.step.outputs[0]
        return tuple(others.get(name, name) for name in record)

    def _coefficients(self) -> tuple[Tensor, ...]:
        count = len(self.step.coefficients)
        return tuple(getattr(self, f"coefficient{k}") for k in range(count))

    def _engine(self) -> dict[str, Any]:
        return {"features": self.features, "backend": self.backend}

    def _dtype(self) -> torch.dtype:
        return next((b.dtype for b in self.buffers()), torch.get_default_dtype())
