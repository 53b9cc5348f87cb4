"""A neuron layer: parameters and two pure functions, run over sequences by the engine."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright import seeding
from spikewright.engine.checks import check_sequence
from spikewright.engine.forward import Observation
from spikewright.engine.layer import Layer, Shape
from spikewright.engine.program import Pointwise
from spikewright.engine.reference import Feedback
from spikewright.engine.scan import (
    Backend,
    Choice,
    check_backend,
    choose_backend,
    choose_recurrent_backend,
    scan,
    scan_feedback,
)
from spikewright.engine.spike import DEFAULT_SURROGATE
from spikewright.engine.spread import spread
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.traced import is_traced
from spikewright.engine.tracing.trace import Step
from spikewright.engine.wiring import Wiring
from spikewright.errors import BackendError, NetworkError, ParameterError, ShapeError, nearest
from spikewright.neurons.extras import (
    NoiseState,
    RefractoryState,
    with_noise,
    with_observation,
    with_refractory,
    without_noise,
)
from spikewright.neurons.firing import Firing
from spikewright.neurons.parameters import ParameterSet
from spikewright.units import format_seconds


class Neuron(Layer):
    """A layer of neurons. A model is a subclass that names its parts; the engine does the rest.

    A model sets ``Params`` (a dataclass of SI values), ``State`` (a NamedTuple of tensors) and
    two static functions:

    - ``coefficients(params, dt)``: a NamedTuple of what the loop needs, once per call;
    - ``step(x, state, coefficients) -> (spikes, state)``: one time step.

    It may set ``initial(params) -> State`` (zeros by default). A step that takes the keyword
    ``firing`` gets the layer's reset options.

    Args:
        surrogate: derivative of a spike in the backward pass; `DEFAULT_SURROGATE` if left out.
        firing: reset, spikes in one step, and ``>`` or ``>=``; a `Firing`.
        refractory: seconds of silence after a spike, with the membrane held. Needs a field ``v``.
        noise: diffusion of the membrane, in units of v per square root of a second.
        backend: ``"auto"``, ``"reference"``, ``"cpu"`` or ``"gpu"``.
        options_of_step: static, hashable keywords that a model hands to its two functions.
        **parameters: fields of ``Params``; a number, one for each neuron, or `learnable`.

    Raises:
        ParameterError: an unknown parameter or a value outside its range.

    State: ``State``, inside a `RefractoryState` or `NoiseState` where those options are used.
    """

    Params: ClassVar[type]
    State: ClassVar[type]
    coefficients: ClassVar[Callable[[Any, float], Any]]
    step: ClassVar[Callable[..., tuple[Any, Any]]]
    least_tau: float = 0.1
    """Smallest time constant in time steps at which the update is still meaningful."""
    spiking = True
    stateful = True

    def __init__(
        self,
        *,
        surrogate: SurrogateGradient | None = None,
        firing: Firing | None = None,
        refractory: float = 0.0,
        noise: float = 0.0,
        backend: Backend = "auto",
        options_of_step: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.surrogate, self.firing = surrogate or DEFAULT_SURROGATE, firing or Firing()
        self.backend: Backend = check_backend(backend)
        self.refractory = _non_negative(name, "refractory", refractory)
        self.noise = _non_negative(name, "noise", noise)
        if (noise or refractory) and "v" not in getattr(self.State, "_fields", ()):
            raise ParameterError(
                f"{name}: noise and refractory must be zero for a state without a membrane 'v', "
                f"got noise={noise}, refractory={refractory}. Name the membrane v."
            )
        for option, given in (("refractory", refractory), ("surrogate", surrogate)):
            if given and not self.spiking:
                raise ParameterError(
                    f"{name}: {option} must be left out for neurons that do not spike, got "
                    f"{given}. Leave it out."
                )
        _check_kind(name, "surrogate", self.surrogate, SurrogateGradient, "sw.surrogate.Arctan()")
        _check_kind(name, "firing", self.firing, Firing, "sw.Firing(reset='subtract')")
        self._kept: _Kept | None = None
        self.features: Shape | None = None
        self.options_of_step = dict(options_of_step or {})
        if _takes(type(self).step, "firing"):
            self.options_of_step["firing"] = self.firing
        elif firing is not None:
            raise ParameterError(
                f"{name}: firing must be left out for a step without that keyword, got {firing}. "
                "Write the reset into the step, or let the step take firing."
            )
        self.parameter_set = ParameterSet(name, self.Params, parameters)

    def params(self) -> Any:
        """The parameters as a dataclass of tensors, SI units, differentiable."""
        return self.parameter_set.get(len(self.shape or (1,)))

    @property
    def draws(self) -> bool:
        """Whether a step takes random numbers beside its input, and the state their place."""
        return self.noise > 0

    @staticmethod
    def initial(params: Any) -> Any:
        """The state of a neuron that was never driven; ``None`` stands for zeros."""
        return None

    def output_shape(self, shape: Shape) -> Shape:
        self.parameter_set.check_shape(shape)
        return shape

    def build(self, shape: Shape, dt: float) -> Shape:
        output = self.features = super().build(shape, dt)
        self.parameter_set.check_step(dt, self.least_tau)
        if self.refractory > 0 and round(self.refractory / dt) < 1:
            raise ParameterError(
                f"{type(self).__name__}: refractory must be zero or at least one dt = "
                f"{format_seconds(dt)}, got {format_seconds(self.refractory)}. Use a smaller dt."
            )
        return output

    def initial_state(self, batch: int, params: Any = None) -> Any:
        """The state of a fresh start for ``batch`` samples; ``params`` if they are at hand."""
        state = self._still(batch, self.params() if params is None else params)
        if self.draws:
            device = pytree.tree_leaves(state)[0].device
            first = torch.randint(2**62, (1,), device=device)
            sample = first + torch.arange(batch, device=device)
            state = NoiseState(state, sample, torch.zeros_like(sample))
        return state

    def _still(self, batch: int, params: Any) -> Any:
        """A fresh start without its place in the random stream."""
        features = self._bound_features()
        reference = self._example(params)
        state = self.initial(params)
        if state is None:
            state = self.State(*(reference.new_zeros(()) for _ in self.State._fields))
        state = self.State(*(_spread(s, batch, features) for s in state))
        if self.refractory:
            state = RefractoryState(state, reference.new_zeros((batch, *features)))
        return state

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run the neurons over a sequence.

        Args:
            x: input current, (time, batch, *n).
            state: what an earlier call returned, or ``None`` for a fresh start.

        Returns:
            Spikes (or for a readout the membrane), (time, batch, *n), and the last state.

        Raises:
            ShapeError: ``x`` does not fit, or ``state`` is of another batch size.
        """
        outputs, state, _ = self.run(x, state)
        return outputs, state

    def run(
        self,
        x: Tensor,
        state: Any = None,
        record: tuple[str, ...] = (),
        seen: Observation | None = None,
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Like `forward`, and traces of state fields: name -> (time, batch, *n).

        What a device showed of these neurons, ``seen``, takes the place of the forward pass; the
        gradient is that of the neurons. Their noise is then off: the device has its own.
        """
        check_record(type(self).__name__, record, self.field_names())
        c, inputs, inner, wrap = self._prepare(x, state, seen)
        step = self.bound_step(record, seen)
        outputs, last = scan(step, inputs, inner, c, **self._engine())
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
        c, inputs, inner, wrap = self._prepare(x, state, seen)
        step = self.bound_step(record, seen)
        outputs, last, feedback = scan_feedback(step, inputs, inner, c, feedback, **self._engine())
        return (*split_outputs(outputs, wrap(last), record), feedback)

    def _prepare(
        self, x: Tensor, state: Any, seen: Observation | None
    ) -> tuple[Any, Any, Any, Callable[[Any], Any]]:
        """Coefficients, inputs and state, and what puts the last state into the layer's."""
        x = self._accept(x)
        kept, batch = self._keep(), x.shape[1]
        params = self.params() if kept is None else None
        c = self._make_coefficients(params) if kept is None else kept.coefficients
        if state is None:
            state = self._start(batch, params, kept)
        else:
            self._check_state(state, batch)
        inputs = x if seen is None else (x, *seen.known().values())
        if not isinstance(state, NoiseState):
            return c, inputs, state, lambda last: last
        if seen is not None:
            after = state._replace(clock=state.clock + len(x))
            return c, inputs, state.neuron, lambda last: after._replace(neuron=last)
        if is_traced(x):
            xi, after = self._draw_traced(x, state)
        else:
            xi, after = self._draw(state, x.shape[0])
        return c, (x, xi), state.neuron, lambda last: after._replace(neuron=last)

    def _start(self, batch: int, params: Any, kept: _Kept | None) -> Any:
        """`initial_state`, worked out once where it is the same at each call."""
        if kept is None or self.draws:
            return self.initial_state(batch, params)
        if kept.batch != batch:
            with torch.inference_mode(False):
                kept.batch, kept.start = batch, self._still(batch, self.params())
        return kept.start

    def _draw(self, state: NoiseState, steps: int) -> tuple[Tensor, NoiseState]:
        """Noise for some steps, (steps, batch, *n), and the state with its clock moved on."""
        features, dtype = self._bound_features(), self._noise_dtype()
        xi = seeding.normal(0, state.sample, int(state.clock[0]), steps, features, dtype)
        return xi, state._replace(clock=state.clock + steps)

    def _draw_traced(self, x: Tensor, state: NoiseState) -> tuple[Tensor, NoiseState]:
        """`_draw` where the clock cannot be read yet."""
        from spikewright.engine.custom_ops.noise import noise

        features, dtype = self._bound_features(), self._noise_dtype()
        xi = noise(x, state.sample, state.clock, features, dtype)
        return xi, state._replace(clock=state.clock + x.shape[0])

    def _noise_dtype(self) -> torch.dtype:
        stored = self.parameter_set.stored()
        return stored[0].dtype if stored else torch.get_default_dtype()

    def _engine(self) -> dict[str, Any]:
        features = self._bound_features()
        return {"features": features, "surrogate": self.surrogate, "backend": self.backend}

    def bound_coefficients(self, params: Any = None) -> Any:
        """Coefficients at the network's dt, those of the options included; differentiable.

        Computed once and kept for as long as no parameter is learnable or changed.
        """
        kept = self._keep()
        if kept is None:
            return self._make_coefficients(self.params() if params is None else params)
        return kept.coefficients

    def _keep(self) -> _Kept | None:
        """What follows from the parameters alone; ``None`` if one is learnable."""
        values = self.parameter_set.stored()
        if not values or any(v.requires_grad or v.is_inference() or is_traced(v) for v in values):
            return None
        key = (self._bound_dt(), *((v.data_ptr(), v._version, v.dtype) for v in values))
        if self._kept is None or self._kept.key != key:
            with torch.inference_mode(False):
                self._kept = _Kept(key, self._make_coefficients(self.params()))
        return self._kept

    def _make_coefficients(self, params: Any) -> Any:
        dt = self._bound_dt()
        function = type(self).coefficients
        options = {k: v for k, v in self.options_of_step.items() if _takes(function, k)}
        c = function(params, dt, **options)
        reference = self._example(params)
        if self.noise:
            c = (c, reference.new_tensor(self.noise * math.sqrt(dt)))
        if self.refractory:
            c = (c, reference.new_tensor(float(round(self.refractory / dt))))
        return c

    def bound_step(self, record: tuple[str, ...] = (), seen: Observation | None = None) -> Step:
        """The step the engine runs: the model's with this layer's options."""
        step, given = type(self).step, sorted(self.options_of_step.items())
        options = tuple((name, value) for name, value in given if _takes(step, name))
        extras = bool(self.noise), bool(self.refractory), tuple(seen.known()) if seen else ()
        return _assemble(step, options, extras, record)

    def part(self) -> Pointwise:
        if self.backend not in ("auto", "cpu"):
            raise BackendError(
                f"{type(self).__name__}: backend must be 'auto' or 'cpu' to be compiled, got "
                f"{self.backend!r}. Change it, or run the network with net(x, state)."
            )
        shape = self._bound_shape()
        features = self.output_shape(shape)
        x = self._accept(torch.zeros(1, 1, *shape))
        return Pointwise(
            self.bound_step(),
            features,
            tuple(x.shape[2 + len(features) :]),
            self._still(1, self.params()),
            self.bound_coefficients(),
            self._draw if self.draws else None,
        )

    def choice(self, x: Tensor, wiring: Wiring | str | None = None) -> Choice:
        """The backend that would run ``x``, and why; ``wiring`` is that of a recurrent layer."""
        dtype = self._example(self.params()).dtype
        if wiring is None:
            return choose_backend(x, dtype, self.backend)
        return choose_recurrent_backend(x, dtype, self.backend, wiring)

    def field_names(self) -> tuple[str, ...]:
        """State fields that `run` can record."""
        return self.State._fields  # type: ignore[attr-defined]

    def extra_repr(self) -> str:
        values = [f"{n}={_short(self.parameter_set.value(n))}" for n in self.parameter_set.fields]
        return ", ".join(values)

    def _accept(self, x: Tensor) -> Tensor:
        check_sequence(type(self).__name__, x, self.shape)
        if self.shape is None:
            self.build(tuple(x.shape[2:]), self._bound_dt())
        return x if x.is_floating_point() else x.to(torch.get_default_dtype())

    def _check_state(self, state: Any, batch: int) -> None:
        wrapper = NoiseState if self.draws else RefractoryState if self.refractory else self.State
        if not isinstance(state, wrapper) or not isinstance(unwrap(state), self.State):
            raise ShapeError(
                f"{type(self).__name__}: state must be what this layer returned, a "
                f"{wrapper.__name__} of {self.State.__name__}, got {type(state).__name__}. "
                "Pass state=None for a fresh start."
            )
        first = next(iter(unwrap(state)), None)
        if first is not None and first.shape[0] != batch:
            raise ShapeError(
                f"{type(self).__name__}: state must be of the input's batch size {batch}, got "
                f"{first.shape[0]}. Pass state=None for a fresh start, or the same samples."
            )

    def _example(self, params: Any) -> Tensor:
        for name in self.parameter_set.fields:
            return getattr(params, name)
        return torch.zeros(())

    def _bound_dt(self) -> float:
        if self.dt is None:
            raise NetworkError(
                f"{type(self).__name__}: dt must be bound before the layer runs, got None. "
                "Put the layer in a network with dt=..., or call layer.build(shape, dt)."
            )
        return self.dt

    def _bound_shape(self) -> Shape:
        assert self.shape is not None
        return self.shape

    def _bound_features(self) -> Shape:
        """The shape of the neurons, which may be fewer than the inputs."""
        if self.features is None:
            self.features = self.output_shape(self._bound_shape())
        return self.features


@dataclass
class _Kept:
    """What follows from fixed parameters: coefficients, and a fresh start for a batch size."""

    key: Any
    coefficients: Any
    batch: int = 0
    start: Any = None


def split_outputs(
    outputs: Any, last: Any, record: tuple[str, ...]
) -> tuple[Tensor, Any, dict[str, Tensor]]:
    """Spikes, state and named traces from the outputs of a recording step."""
    if isinstance(outputs, tuple):
        return outputs[0], last, dict(zip(record, outputs[1:], strict=True))
    return outputs, last, {}


def unwrap(state: Any) -> Any:
    """The model's own state inside those of its options."""
    while isinstance(state, RefractoryState | NoiseState):
        state = state.neuron
    return state


@functools.lru_cache(maxsize=512)
def _assemble(
    step: Callable[..., tuple[Any, Any]],
    options: tuple[tuple[str, Any], ...],
    extras: tuple[bool, bool, tuple[str, ...]],
    record: tuple[str, ...],
) -> Step:
    """One function object for each combination, so that the engine finds its kernel again."""
    bound: Step = functools.partial(step, **dict(options)) if options else step
    noise, refractory, seen = extras
    if noise:
        bound = without_noise(bound) if seen else with_noise(bound)
    if refractory:
        bound = with_refractory(bound)
    if seen:
        bound = with_observation(bound, seen)
    return _recording(bound, record) if record else bound


def _recording(step: Step, record: tuple[str, ...]) -> Step:
    def recording_step(x: Any, state: Any, c: Any) -> tuple[Any, Any]:
        spikes, state = step(x, state, c)
        return (spikes, *(getattr(unwrap(state), name) for name in record)), state

    return recording_step


@functools.cache
def _takes(function: Callable[..., Any], name: str) -> bool:
    import inspect

    return name in inspect.signature(function).parameters


def check_record(where: str, record: Iterable[str], fields: Sequence[str]) -> None:
    """Refuse to record what is no field of the state."""
    for name in record:
        if name not in fields:
            raise ParameterError(
                f"{where}: record must name fields of the state, got {name!r}. "
                f"{nearest(name, fields)}"
            )


def _spread(value: Tensor, batch: int, features: Shape) -> Tensor:
    """A field's start for every sample and neuron, trailing axis kept."""
    trailing = value.shape[len(features) :] if value.ndim > len(features) else ()
    return spread(value, (batch, *features, *trailing))


def _non_negative(where: str, name: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ParameterError(
            f"{where}: {name} must be zero or positive, got {value!r}. Use 0.0 for none."
        )
    return float(value)


def _check_kind(where: str, name: str, value: Any, kind: type, example: str) -> None:
    if not isinstance(value, kind):
        raise ParameterError(
            f"{where}: {name} must be a {kind.__name__}, got {value!r}. "
            f"Pass for example {name}={example}."
        )


def _short(value: Tensor) -> str:
    if value.numel() == 1:
        return f"{value.item():.4g}"
    return f"{value.min().item():.4g}…{value.max().item():.4g}"
