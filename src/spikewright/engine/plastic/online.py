"""A network that learns while it runs, one sample after the other, in one compiled loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.engine.checks import check_finite
from spikewright.engine.layer import State
from spikewright.engine.plastic.changes import SCALE
from spikewright.engine.plastic.check import check_plasticity
from spikewright.engine.plastic.description import Plasticity
from spikewright.engine.plastic.lift import Numbers, lift
from spikewright.engine.plastic.program import Extent, OnlineProgram, make_online_program
from spikewright.engine.plastic.source import Synapses
from spikewright.engine.plastic.wiring import WHERE, field_place, find_ends
from spikewright.engine.program import MatrixProduct, part_of
from spikewright.engine.stream.machine import Machine, Streamed
from spikewright.engine.stream.source import Node
from spikewright.errors import RuleError, ShapeError, nearest

_NONE: Mapping[str, Any] = MappingProxyType({})


class PlasticState(NamedTuple):
    """What a plastic connection remembers.

    ``traces``: by name, (n,), and ``"scale"``, the factor of all eligibilities, (1,).
    ``eligibility``: (inputs, outputs) before that factor, or ``None``.
    ``counts``: synaptic changes so far, and those left out for they were not finite, (2,) int64.
    """

    traces: dict[str, Tensor]
    eligibility: Tensor | None
    counts: Tensor


class OnlineState(NamedTuple):
    """State of an `Online`: that of the layers as the network has it, and of the connections."""

    layers: dict[str, State]
    plastic: dict[str, PlasticState]


class Moment(NamedTuple):
    """The numbers of a state, as `Online.moment` gives them."""

    memory: Tensor
    eligibility: Tensor


class Online(Machine[OnlineProgram]):
    """A network whose weights change while it runs: one sample a call, all steps in one kernel.

    Each step runs all layers as the network does; then, behind the neurons that a plastic
    connection leads to, the connection changes as its `Plasticity` says. State, traces and
    weights are carried on from call to call. The weights are a copy: `write_back` hands them to
    the network, and `refresh` reads what has changed there since.

    A spike event counts once for each spike, with x0 (y0) one in its own expression. Where the
    presynaptic side is the network's input, that holds numbers of spikes.

    Args:
        network: built, in evaluation mode where a layer asks for it.
        plastic: what changes each connection, by the name of its layer, a `Linear`; between it
            and the neurons there may be layers that keep each feature by itself.
        frozen: state fields of layers, by the layer's name, that keep their value while
            ``learn`` is false: thresholds that adapt.
        state: what an `Online` of this network had; ``None`` for a fresh start.

    Raises:
        RuleError: a connection cannot be plastic, or its weights are outside their bounds.
        BackendError: a layer cannot be compiled; names it.

    Attributes:
        updates: synaptic changes so far, by connection; a spike changes all its synapses.
        skipped: changes that were left out for they were not finite.

    >>> from spikewright import LIF, Linear, Sequential
    >>> from spikewright.engine.plastic.description import Operation, Symbol, Trace, Updates
    >>> net = Sequential(Linear(2, 1, bias=False), LIF(tau_mem=5e-3), dt=1e-3)
    >>> net.layers["0_linear"].weight.data.fill_(0.5).shape
    torch.Size([1, 2])
    >>> grow = Plasticity(Updates(post=Symbol("x1")), (Trace("x1", 20e-3, jump=0.1),))
    >>> online = Online(net, {"0_linear": grow})
    >>> counts = online.present(torch.tensor([20.0, 0.0]).expand(3, 2))
    >>> counts["1_lif"]
    tensor([3.])
    """

    def __init__(
        self,
        network: Streamed,
        plastic: Mapping[str, Plasticity],
        frozen: Mapping[str, tuple[str, ...]] = _NONE,
        state: OnlineState | None = None,
    ) -> None:
        super().__init__(network, 1, WHERE)
        self._plastic, self._frozen = dict(plastic), dict(frozen)
        self.refresh(state)

    def refresh(self, state: OnlineState | None = None) -> None:
        """Read all weights and parameters of the network anew and start from ``state``.

        As a new `Online` would, at less cost while only numbers have changed.
        """
        self._compile()
        self._check_weights()
        self.state = state

    def serves(
        self,
        network: Streamed,
        plastic: Mapping[str, Plasticity],
        frozen: Mapping[str, tuple[str, ...]],
    ) -> bool:
        """Whether a new `Online` of these would be this one, refreshed."""
        return self._network is network and (self._plastic, self._frozen) == (plastic, frozen)

    def present(
        self, x: Tensor, modulator: Tensor | float | None = None, learn: bool = True
    ) -> Mapping[str, Tensor]:
        """Run one sample from where the last one ended.

        Args:
            x: (time, *features), whole numbers or the network's dtype; a constant input may be
                an expanded view, which is not copied.
            modulator: r of each step, (time,), or one number; ``None`` is zero.
            learn: whether weights, traces, eligibilities and ``frozen`` fields change.

        Returns:
            How often each neuron of each spiking layer fired, (*n), by layer.

        Raises:
            ShapeError: ``x`` or ``modulator`` has another shape, or is not finite, or holds no
                spikes where a plastic connection needs them; nothing has changed then.
        """
        x, stride = self._rows(x)
        r = self._rewards(modulator, len(x))
        state, noise = self._draw(len(x))
        counts = torch.zeros(self._counts, dtype=self._dtype)
        arrays = (noise, x, r, counts, *self._own)
        addresses = (array.data_ptr() for array in arrays)
        fault = self._entry(len(x), stride, learn, *self._addresses, *addresses)
        if fault:
            check_finite(f"{WHERE}.present", x)
            raise ShapeError(
                f"{WHERE}.present: input must be numbers of spikes, 0, 1, 2, ..., as a plastic "
                "connection reads it, got other values. Encode it, or put neurons before the "
                "connection."
            )
        self._state = state
        spans = self._program.spikes.items()
        return {
            name: counts[first : first + size].view(self._shapes[name])
            for name, (first, size) in spans
        }

    @property
    def state(self) -> OnlineState:
        """All that a later call depends on beside the weights, in memory of its own."""
        plastic = {name: self._plastic_state(i, name) for i, name in enumerate(self._plastic)}
        return OnlineState(self._layer_states(), plastic)

    @state.setter
    def state(self, state: OnlineState | None) -> None:
        self._set_layer_states(None if state is None else state.layers)
        for number, name in enumerate(self._plastic):
            self._tally[2 * number : 2 * number + 2] = 0
            for key, (first, size) in self._program.traces[name].items():
                self._memory[0, first : first + size] = float(key == SCALE)
            if name in self._program.eligibility:
                self._eligibilities(name).zero_()
            if state is not None:
                self._restore(number, name, state.plastic)

    def moment(self) -> Moment:
        """The state's numbers as they are, to `return_to` between samples at little cost."""
        return Moment(self._memory.clone(), self._eligibility.clone())

    def return_to(self, moment: Moment, but: Sequence[tuple[int, int]] = ()) -> None:
        """Go back to an earlier moment of this `Online`, but for the places ``but``.

        Places in random streams, ``updates`` and ``skipped`` are not taken back.
        """
        kept = [self._memory[:, first : first + size].clone() for first, size in but]
        self._memory.copy_(moment.memory)
        self._eligibility.copy_(moment.eligibility)
        for (first, size), values in zip(but, kept, strict=True):
            self._memory[:, first : first + size] = values

    def places(self, fields: Sequence[str]) -> list[tuple[int, int]]:
        """Where state fields of these names are, in all layers that have them."""
        layers, places = self._network.layers, self._program.states
        with_state = [name for name in layers if places.get(name)]
        found = [(n, field_place(layers[n], field)) for n in with_state for field in fields]
        return [places[name][leaf] for name, leaf in found if leaf is not None]

    def weights(self, name: str) -> Tensor:
        """The weights of a plastic connection, (inputs, outputs): those that the kernel reads.

        What is written there counts from the next call on.
        """
        self._check_name(name)
        first, size = self._program.rows[name]
        return self._weights[first : first + size].view(-1, self._outputs[name])

    def write_back(self) -> None:
        """Copy the weights of all plastic connections to the network's parameters."""
        with torch.no_grad():
            for name in self._plastic:
                part = part_of(self._network.layers[name])
                assert isinstance(part, MatrixProduct)
                part.weight.copy_(self.weights(name).T)

    @property
    def updates(self) -> dict[str, int]:
        return {name: int(self._tally[2 * i]) for i, name in enumerate(self._plastic)}

    @property
    def skipped(self) -> int:
        return int(self._tally[1::2].sum())

    def _program_of(self, nodes: Sequence[Node], inputs: int) -> OnlineProgram:
        layers, numbers = self._network.layers, Numbers()
        synapses: list[Synapses] = []
        for name, plasticity in self._plastic.items():
            ends = find_ends(name, nodes, layers)
            check_plasticity(name, plasticity, ends)
            synapses.append(Synapses(name, lift(plasticity, self._network.dt, numbers), ends))
        self._outputs = {synapse.name: synapse.ends.outputs for synapse in synapses}
        counted = tuple(name for name, layer in layers.items() if layer.spiking)
        frozen = {name: self._leaves(name, fields) for name, fields in self._frozen.items()}
        extent = Extent(tuple(synapses), counted, frozen, len(numbers.values))
        self._numbers = torch.tensor(numbers.values, dtype=self._dtype)
        return make_online_program(nodes, inputs, self._dtype, extent)

    def _allocate(self) -> None:
        super()._allocate()
        program = self._program
        size = sum(size for _, size in program.eligibility.values())
        self._eligibility = torch.zeros(size, dtype=self._dtype)
        self._tally = torch.zeros(2 * len(self._plastic), dtype=torch.int64)
        self._own = self._eligibility, self._numbers, self._tally
        self._counts = sum(size for _, size in program.spikes.values())
        layers = self._network.layers
        self._shapes = {n: layers[n].output_shape(layers[n].shape or ()) for n in program.spikes}

    def _leaves(self, name: str, fields: tuple[str, ...]) -> tuple[int, ...]:
        """Which leaves of a layer's state the frozen fields are."""
        layers = self._network.layers
        if name not in layers:
            raise RuleError(
                f"{WHERE}: frozen must name layers of the network, got {name!r}. "
                f"{nearest(name, layers)}"
            )
        found = {field: field_place(layers[name], field) for field in fields}
        for field, leaf in found.items():
            if leaf is None:
                raise RuleError(
                    f"{WHERE}: frozen must name fields of the layer's state, got {field!r} of "
                    f"layer {name!r}, a {type(layers[name]).__name__}. Name one that it has."
                )
        return tuple(leaf for leaf in found.values() if leaf is not None)

    def _check_name(self, name: str) -> None:
        if name not in self._plastic:
            raise RuleError(
                f"{WHERE}: name must be that of a plastic connection, got {name!r}. "
                f"{nearest(name, self._plastic)}"
            )

    def _check_weights(self) -> None:
        for name, plasticity in self._plastic.items():
            low, high = plasticity.bounds
            least, most = (float(v) for v in self.weights(name).aminmax())
            slack = 1e-6 * max(1.0, abs(low) if math.isfinite(low) else 1.0)
            if least < low - slack or most > high + slack:
                raise RuleError(
                    f"{WHERE}: weights of {name!r} must be within the bounds of their plasticity, "
                    f"{low:g} to {high:g}, got {least:g} to {most:g}. Draw them there, for "
                    f"example with weight.data.uniform_({low:g}, {high:g})."
                )

    def _rows(self, x: Tensor) -> tuple[Tensor, int]:
        """The input as the kernel reads it, and how far its steps are apart."""
        shape = self._network.shape
        if not isinstance(x, Tensor) or x.ndim == 0 or tuple(x.shape[1:]) != shape or not len(x):
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(
                f"{WHERE}.present: input must be (time, *features) = (time, "
                f"{', '.join(map(str, shape or ()))}), got {got}. Present one sample a call."
            )
        if x.is_complex() or not x.is_cpu:
            raise ShapeError(
                f"{WHERE}.present: input must be real and on the CPU, got {x.dtype} on "
                f"{x.device}. Convert it."
            )
        x = x.detach()
        if x.stride(0) == 0 and len(x) > 1:
            return x[:1].to(self._dtype).contiguous().expand(x.shape), 0
        return x.to(self._dtype).contiguous(), math.prod(x.shape[1:])

    def _rewards(self, modulator: Tensor | float | None, steps: int) -> Tensor:
        r = torch.as_tensor(0.0 if modulator is None else modulator, dtype=self._dtype).detach()
        if r.ndim > 1 or r.numel() not in (1, steps) or not bool(r.isfinite().all()):
            raise ShapeError(
                f"{WHERE}.present: modulator must be a finite number, or one for each of {steps} "
                f"steps, got shape {tuple(r.shape)}. Pass (time,)."
            )
        return r.expand(steps).contiguous()

    def _eligibilities(self, name: str) -> Tensor:
        first, size = self._program.eligibility[name]
        return self._eligibility[first : first + size].view_as(self.weights(name))

    def _plastic_state(self, number: int, name: str) -> PlasticState:
        spans = self._program.traces[name].items()
        traces = {
            key: self._memory[0, first : first + size].clone() for key, (first, size) in spans
        }
        known = name in self._program.eligibility
        held = self._eligibilities(name).clone() if known else None
        return PlasticState(traces, held, self._tally[2 * number : 2 * number + 2].clone())

    def _restore(self, number: int, name: str, plastic: Mapping[str, PlasticState]) -> None:
        state, wanted = plastic.get(name), self._plastic_state(number, name)
        if state is None or _form(state) != _form(wanted):
            got = "none" if state is None else _form(state)
            raise ShapeError(
                f"{WHERE}: state of connection {name!r} must be {_form(wanted)}, got {got}. "
                "Pass what an Online of the same network and rules had, or None."
            )
        for key, (first, size) in self._program.traces[name].items():
            self._memory[0, first : first + size] = state.traces[key]
        if state.eligibility is not None:
            self._eligibilities(name).copy_(state.eligibility)
        self._tally[2 * number : 2 * number + 2] = state.counts


def _form(state: PlasticState) -> str:
    traces = {name: tuple(trace.shape) for name, trace in state.traces.items()}
    held = None if state.eligibility is None else tuple(state.eligibility.shape)
    return f"traces {traces}, eligibility {held}"
