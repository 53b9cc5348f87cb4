"""A NIR graph under construction, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.connections_out import WRITERS, write_delay, write_delayed_linear
from spikewright.compiler.exchange.conventions import DTYPES
from spikewright.compiler.exchange.firing import carry_firing, is_known
from spikewright.compiler.exchange.metadata import VERSION, pack
from spikewright.compiler.exchange.neurons import OF_LAYER, write_neurons
from spikewright.compiler.exchange.report import Notes
from spikewright.connections import (
    BatchNorm,
    Conv1d,
    Conv2d,
    Delay,
    DelayedLinear,
    Dropout,
    Recurrent,
    StepDropout,
)
from spikewright.engine.layer import Layer
from spikewright.errors import ExchangeError
from spikewright.network import Network
from spikewright.neurons import Neuron
from spikewright.units import format_seconds


@dataclass
class Writing:
    """A graph under construction."""

    network: Network
    allow: frozenset[str]
    nodes: dict[str, Any] = field(default_factory=dict[str, Any])
    edges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    ends: dict[str, str] = field(default_factory=dict[str, str])
    notes: Notes = field(default_factory=Notes)

    def graph(self) -> nir.NIRGraph:
        """The whole graph."""
        network = self.network
        self.notes.add("network", "carried", f"dt {format_seconds(network.dt)}")
        self.ends["input"] = self._add("input", nir.Input({"input": np.array(network.shape)}))
        shape = network.shape
        for name, layer in network.layers.items():
            sources = [self.ends[source] for source in network.sources[name]]
            entry, self.ends[name] = self._layer(name, layer, sources)
            self.edges += [(source, entry) for source in sources]
            shape = layer.output_shape(layer.shape or ())
        last = self.ends[next(reversed(network.layers))]
        self.edges.append((last, self._add("output", nir.Output({"output": np.array(shape)}))))
        values = {"version": VERSION, "dt": network.dt, **self._dtype()}
        return nir.NIRGraph(self.nodes, self.edges, metadata=pack(values), type_check=False)

    def refuse_unsaid(self) -> None:
        """Raise ExchangeError if NIR has no node for some layers, or none that says all."""
        faults = [
            f"{name!r}: {fault}"
            for name, layer in self.network.layers.items()
            for fault in _unsaid(layer, self.allow)
        ]
        kind = type(self.network)
        if kind.forward is not Network.forward or kind.run is not Network.run:
            faults.append(f"{kind.__name__}, which runs its layers in a way of its own")
        if faults:
            raise ExchangeError(
                f"export_nir: layers must be ones that NIR has, got {'; '.join(faults)}. Compile "
                "the network itself instead, which loses nothing; or leave what is named in "
                "quotes to the metadata with allow=(...)."
            )

    def _layer(self, name: str, layer: Layer, sources: list[str]) -> tuple[str, str]:
        """Add the nodes of a layer; the names of its first and its last one."""
        if isinstance(layer, Recurrent):
            assert layer.connection is not None
            cells, _ = self._layer(name, layer.neuron, sources)
            # The delays of a cycle in NIR count the step that closing it takes here.
            back = self._connection(name, layer.connection, self.network.dt)
            first, last = self._chain(f"{name}_feedback", back)
            self.edges += [(cells, first), (last, cells)]
            return cells, cells
        if isinstance(layer, Neuron):
            added = self._add(name, self._neurons(name, layer))
            return added, added
        return self._chain(name, self._connection(name, layer))

    def _connection(self, name: str, layer: Layer, more: float = 0.0) -> list[Any]:
        """The nodes of a connection, its delays ``more`` seconds longer."""
        self._note_connection(name, layer)
        if isinstance(layer, Delay):
            return write_delay(layer, more)
        try:
            if isinstance(layer, DelayedLinear):
                return write_delayed_linear(layer, more)
            return WRITERS[type(layer)](layer)
        except ExchangeError as cause:
            raise ExchangeError(f"export_nir: layer {name!r}: {cause}") from cause

    def _neurons(self, name: str, layer: Neuron) -> Any:
        carried: dict[str, Any] = {}
        if "order" in layer.options_of_step:
            carried["order"] = layer.options_of_step["order"]
            self.notes.add(name, "carried", f"order {carried['order']!r}")
        if layer.spiking:
            carried |= carry_firing(layer)
            self._note_firing(name, layer)
        for option in ("refractory", "noise"):
            if amount := getattr(layer, option):
                carried[option] = amount
                self.notes.add(name, "carried", f"{option} {amount:g}, which others pass over")
        learned = [key for key, _ in layer.parameter_set.named_parameters()]
        if learned:
            self.notes.add(name, "lost", f"that {', '.join(learned)} is learnable")
        return write_neurons(layer, self.network.dt, pack(carried))

    def _note_firing(self, name: str, layer: Neuron) -> None:
        firing = layer.firing
        if "firing" in layer.options_of_step:
            self.notes.add(name, "carried", f"reset {firing.reset!r}")
            if firing.inclusive:
                most = "a spike at the threshold itself, where others see none"
                self.notes.add(name, "carried", most)
            if firing.max_spikes > 1:
                most = f"up to {firing.max_spikes} spikes a step, where others see one"
                self.notes.add(name, "carried", most)
        kind = type(layer.surrogate).__name__
        if is_known(layer.surrogate):
            self.notes.add(name, "carried", f"surrogate {kind}")
        else:
            self.notes.add(name, "lost", f"surrogate {kind}, which is not of this package")

    def _note_connection(self, name: str, layer: Layer) -> None:
        if isinstance(layer, Dropout | StepDropout):
            what = f"{type(layer).__name__}, which acts only while training"
            self.notes.add(name, "lost", what)
        if isinstance(layer, BatchNorm):
            self.notes.add(name, "changed", "BatchNorm written as the map of its running means")
        if isinstance(layer, Conv1d | Conv2d) and _misread(layer):
            self.notes.add(
                name,
                "lost",
                "nir's own check of shapes, which does not know groups or "
                "kernels of unequal sides: others read the file with type_check=False",
            )
        if isinstance(layer, DelayedLinear):
            self.notes.add(name, "changed", "DelayedLinear written as Delay and product")
            if layer.learnable:
                self.notes.add(name, "lost", "that delays are learnable")
        elif isinstance(layer, Delay):
            self.notes.add(name, "carried", "rounding of delays")

    def _chain(self, name: str, nodes: list[Any]) -> tuple[str, str]:
        names = [self._add(name if k == 0 else f"{name}_{k}", node) for k, node in enumerate(nodes)]
        self.edges += pairwise(names)
        return names[0], names[-1]

    def _add(self, name: str, node: Any) -> str:
        """Add a node; its name is free and one that an HDF5 group may have."""
        fit = name.replace("/", "_")
        while fit in self.nodes or (fit in self.network.layers and fit != name):
            fit += "_"
        if fit != name:
            self.notes.add(name, "changed", f"written as node {fit!r}")
        self.nodes[fit] = node
        return fit

    def _dtype(self) -> dict[str, str]:
        held = [*self.network.parameters(), *self.network.buffers()]
        found = {value.dtype for value in held}
        known = [word for word, dtype in DTYPES.items() if dtype in found]
        return {"dtype": known[-1]} if known else {}


def _unsaid(layer: Layer, allow: frozenset[str]) -> list[str]:
    """What NIR cannot say of a layer."""
    if any(getattr(layer, hooks) for hooks in ("_forward_hooks", "_forward_pre_hooks")):
        return [f"{type(layer).__name__} with a hook"]
    if isinstance(layer, Recurrent):
        inner = layer.connection
        return _unsaid(layer.neuron, allow) + ([] if inner is None else _unsaid(inner, allow))
    kind = type(layer)
    if isinstance(layer, Neuron) and kind in OF_LAYER:
        firing = layer.firing.max_spikes if "firing" in layer.options_of_step else 1
        has = {"refractory": layer.refractory, "noise": layer.noise, "max_spikes": firing - 1}
        return [f"'{name}'" for name, amount in has.items() if amount and name not in allow]
    return [] if kind in WRITERS else [kind.__name__]


def _misread(layer: Conv1d | Conv2d) -> bool:
    """Whether nir 1.0.8 works out other shapes than those of the layer."""
    return layer.groups > 1 or len(set(layer.kernel_size)) > 1
