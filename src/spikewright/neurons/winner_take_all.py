"""Neurons that compete: of those above their threshold only the foremost fire."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine.checks import check_sequence
from spikewright.engine.forward import Observation
from spikewright.engine.layer import Layer, Shape
from spikewright.engine.program import Competition, Pointwise, part_of
from spikewright.engine.reference import scan_reference
from spikewright.engine.scan import Choice
from spikewright.engine.spike import gated, surrogate_in_force, watching
from spikewright.engine.tracing.trace import Step
from spikewright.errors import BackendError, NetworkError, ParameterError, ShapeError
from spikewright.neurons.base import Neuron, check_record, split_outputs, unwrap
from spikewright.neurons.extras import replace_membrane
from spikewright.neurons.parameters import as_tensor
from spikewright.units import format_seconds


class WinnerTakeAllState(NamedTuple):
    """State of the neurons, and how many steps each is held silent yet, (batch, *n)."""

    neuron: Any
    held: Tensor


class WinnerTakeAll(Layer):
    """Neurons of which at most ``winners`` of a sample fire in a step; the others are inhibited.

    u = v - v_threshold of each neuron that would fire;  s = 1 for the ``winners`` with the largest
    u (the first of those that are equal). Where somebody fires, all others: v <- v_inhibited, and
    held there, silent, for the next ``clamp`` seconds.
    Order: as the neuron's; threshold, competition, reset and inhibition act in the same step. A
    neuron that is held, or in its refractory period, does not compete. Its currents and its
    adaptation go on.

    The gradient of a spike is the neuron's surrogate where the neuron won, else zero.

    Args:
        neuron: neurons that spike at most once a step, with a membrane v and without noise.
        winners: the most spikes of a sample in one step.
        clamp: time, s, for which the others are held.
        v_inhibited: the membrane they are set to, a number or one for each neuron; by default
            the neuron's v_reset.

    Raises:
        NetworkError: ``neuron`` is no layer of neurons.
        ParameterError: it cannot compete, or an option is out of range.

    State: `WinnerTakeAllState`.

    >>> import torch
    >>> from spikewright.neurons import LIF
    >>> layer = WinnerTakeAll(LIF(tau_mem=10e-3), clamp=2e-3)
    >>> _ = layer.build((3,), dt=1e-3)
    >>> spikes, _ = layer(torch.tensor([20.0, 30.0, 10.0]).expand(2, 1, 3))
    >>> spikes[:, 0]
    tensor([[0., 1., 0.],
            [0., 1., 0.]])
    """

    spiking = True
    stateful = True
    v_inhibited: Tensor | None

    def __init__(
        self,
        neuron: Neuron,
        winners: int = 1,
        clamp: float = 0.0,
        v_inhibited: float | Tensor | None = None,
    ) -> None:
        super().__init__()
        _check_neuron(neuron)
        if isinstance(winners, bool) or not isinstance(winners, int) or winners < 1:
            raise ParameterError(
                f"WinnerTakeAll: winners must be a whole number from 1, got {winners!r}. "
                "Use 1 for a single winner."
            )
        if not (math.isfinite(clamp) and clamp >= 0):
            raise ParameterError(
                f"WinnerTakeAll: clamp must be a time in seconds from 0, got {clamp!r}. "
                "Use 0.0 to let the others go on at once."
            )
        self.neuron, self.winners, self.clamp = neuron, winners, float(clamp)
        value = None if v_inhibited is None else as_tensor(v_inhibited)
        if value is not None and not bool(value.isfinite().all()):
            raise ParameterError(
                f"WinnerTakeAll: v_inhibited must be finite, got {v_inhibited!r}. "
                "Leave it out for the neuron's v_reset."
            )
        self.register_buffer("v_inhibited", value)

    def output_shape(self, shape: Shape) -> Shape:
        output = self.neuron.output_shape(shape)
        if self.v_inhibited is not None and tuple(self.v_inhibited.shape) not in ((), output):
            raise ParameterError(
                "WinnerTakeAll: v_inhibited must be one value, or one for each neuron in shape "
                f"{output}, got shape {tuple(self.v_inhibited.shape)}. Pass a number or a tensor "
                "of that shape."
            )
        return output

    def build(self, shape: Shape, dt: float) -> Shape:
        output = super().build(shape, dt)
        self.neuron.build(shape, dt)
        if self.clamp > 0 and round(self.clamp / dt) < 1:
            raise ParameterError(
                f"WinnerTakeAll: clamp must be zero or at least one dt = {format_seconds(dt)}, "
                f"got {format_seconds(self.clamp)}. Use a smaller dt."
            )
        return output

    def initial_state(self, batch: int) -> WinnerTakeAllState:
        neuron = self.neuron.initial_state(batch)
        return WinnerTakeAllState(neuron, torch.zeros_like(unwrap(neuron).v))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run over a sequence; see `Layer.forward`."""
        outputs, state, _ = self.run(x, state)
        return outputs, state

    def run(
        self,
        x: Tensor,
        state: Any = None,
        record: tuple[str, ...] = (),
        seen: Observation | None = None,
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Like `forward`, and traces of the neurons' state fields, (time, batch, *n) each."""
        check_sequence("WinnerTakeAll", x, self.shape)
        check_record("WinnerTakeAll", record, self.field_names())
        if seen is not None:
            raise BackendError(
                "WinnerTakeAll: the layer must run in software, got a device that stands in for "
                "it. Let the program leave the layer's spikes out."
            )
        if self.dt is None:
            raise NetworkError(
                "WinnerTakeAll: dt must be bound before the layer runs, got None. "
                "Put the layer in a network with dt=..., or call layer.build(shape, dt)."
            )
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        state = self._start(x.shape[1], state)
        step = _competing(self.neuron.bound_step(), self.winners, record)
        surrogate = surrogate_in_force(self.neuron.surrogate)
        outputs, last = scan_reference(step, x, state, self._coefficients(), surrogate)
        return split_outputs(outputs, last, record)

    def part(self) -> Competition:
        neurons = part_of(self.neuron)
        assert isinstance(neurons, Pointwise)
        own: dict[str, Any] = {
            "features": neurons.features,
            "inputs": neurons.inputs,
            "example": self.initial_state(1),
            "coefficients": self._coefficients(),
        }
        trial = Pointwise(_trial(neurons.step), **own)
        return Competition(trial, Pointwise(_judged(neurons.step), **own, signals=1), self.winners)

    def choice(self, x: Tensor) -> Choice:
        """The backend that would run ``x``, and why."""
        return Choice("reference", "its neurons compete in each step; net.stream() compiles it")

    def field_names(self) -> tuple[str, ...]:
        """State fields of the neurons that can be recorded."""
        return self.neuron.field_names()

    def extra_repr(self) -> str:
        return f"winners={self.winners}, clamp={format_seconds(self.clamp)}"

    def _start(self, batch: int, state: Any) -> Any:
        fresh = self.initial_state(batch)
        if state is None:
            return fresh
        wanted, got = (pytree.tree_structure(value) for value in (fresh, state))
        shapes = [[leaf.shape for leaf in pytree.tree_leaves(value)] for value in (fresh, state)]
        if wanted != got or shapes[0] != shapes[1]:
            raise ShapeError(
                f"WinnerTakeAll: state must be what this layer returned for {batch} samples, a "
                f"WinnerTakeAllState, got {type(state).__name__} with {shapes[1]}. "
                "Pass state=None for a fresh start."
            )
        return state

    def _coefficients(self) -> Any:
        """Those of the neurons, the membrane of the inhibited, and steps for which it is held."""
        assert self.dt is not None
        params, inner = self.neuron.params(), self.neuron.bound_coefficients()
        v = params.v_reset if self.v_inhibited is None else self.v_inhibited
        like = pytree.tree_leaves(inner)[0]
        return inner, v.to(like), like.new_tensor(float(round(self.clamp / self.dt)))


@functools.lru_cache(maxsize=64)
def _trial(step: Step) -> Step:
    """How far above its threshold a neuron that would fire is, -inf for others; nothing moves."""

    def trial_step(x: Any, state: WinnerTakeAllState, c: Any) -> tuple[Tensor, Any]:
        with watching() as seen:
            spikes, _ = step(x, state.neuron, c[0])
        if len(seen) != 1:
            raise ParameterError(
                "WinnerTakeAll: the step of its neurons must call spike once, got one that calls "
                f"it {len(seen)} times. Compare the membrane with its threshold in one place."
            )
        return torch.where((spikes > 0) & (state.held <= 0), seen[0], -math.inf), state

    return trial_step


@functools.lru_cache(maxsize=64)
def _judged(step: Step) -> Step:
    """The step of neurons that are told how they fared: 1 won, -1 lost, 0 nobody fired."""

    def judged_step(inputs: Any, state: WinnerTakeAllState, c: Any) -> tuple[Tensor, Any]:
        x, verdict = inputs
        inner, v_inhibited, clamp = c
        with gated(verdict > 0):
            spikes, neuron = step(x, state.neuron, inner)
        lost = verdict < 0
        v = torch.where(state.held > 0, unwrap(state.neuron).v, unwrap(neuron).v)
        neuron = replace_membrane(neuron, torch.where(lost, v_inhibited, v))
        held = torch.where(lost, clamp, torch.clamp(state.held - 1, min=0))
        return spikes, WinnerTakeAllState(neuron, held)

    return judged_step


def _competing(step: Step, winners: int, record: tuple[str, ...]) -> Step:
    """The step of all neurons at once."""
    trial, judged = _trial(step), _judged(step)

    def competing_step(x: Any, state: Any, c: Any) -> tuple[Any, Any]:
        with torch.no_grad():
            verdict = judge(trial(x, state, c)[0], winners)
        spikes, state = judged((x, verdict), state, c)
        if not record:
            return spikes, state
        own = unwrap(state.neuron)
        return (spikes, *(getattr(own, name) for name in record)), state

    return competing_step


def judge(excess: Tensor, winners: int) -> Tensor:
    """1 for the ``winners`` of each sample with the largest excess, -1 for others, else 0.

    Args:
        excess: (batch, *n); -inf takes no part, and a sample without others is all 0.

    >>> judge(torch.tensor([[0.1, 0.3, 0.3], [-torch.inf] * 3]), 1)
    tensor([[-1.,  1., -1.],
            [ 0.,  0.,  0.]])
    """
    flat = excess.flatten(1)
    values, order = flat.sort(dim=1, descending=True, stable=True)
    taken = min(winners, flat.shape[1])
    able = (values > -math.inf).to(flat)
    fires = torch.zeros_like(flat).scatter(1, order[:, :taken], able[:, :taken])
    some = fires.amax(1, keepdim=True)
    return (2 * fires - some).reshape(excess.shape)


def _check_neuron(neuron: Any) -> None:
    if not isinstance(neuron, Neuron):
        raise NetworkError(
            f"WinnerTakeAll: neuron must be a layer of neurons, got {type(neuron).__name__}. "
            "Pass for example WinnerTakeAll(LIF())."
        )
    name = type(neuron).__name__
    faults = {
        "neurons that spike": not neuron.spiking,
        "neurons with a membrane v": "v" not in neuron.field_names(),
        "neurons without noise": bool(neuron.noise),
        "neurons that fire once a step at most": neuron.firing.max_spikes > 1,
    }
    for rule, broken in faults.items():
        if broken:
            raise ParameterError(
                f"WinnerTakeAll: neuron must be a layer of {rule}, got {name} with "
                f"noise={neuron.noise:g}, {neuron.firing}. Choose another neuron, or options of it."
            )
