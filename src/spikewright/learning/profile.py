"""What each layer of a network costs on a batch, and by which path it runs."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from spikewright.borrow import streams_kept
from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.layer import Layer
from spikewright.engine.products.events import active_of, events_of, hand_on
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import ParameterError
from spikewright.learning.window import acting
from spikewright.network import Network


@dataclass(frozen=True)
class LayerCost:
    """What `profile` found in one layer.

    Attributes:
        name, kind: of the layer.
        density: share of its input that is not zero.
        active: share of (step, sample, neuron) inside the surrogate's window, the only ones that
            a backward pass visits; ``None`` without a window.
        forward: time of the forward pass, s.
        backward: time of the backward pass, s; ``None`` where no gradient is needed.
        kept: bytes that the layer keeps for its backward pass: tensors, and lists of events.
        path: how its forward pass runs, and why.
    """

    name: str
    kind: str
    density: float
    active: float | None
    forward: float
    backward: float | None
    kept: int
    path: str

    def cells(self) -> tuple[str, ...]:
        """The values as a table shows them, in the order of `HEAD`."""
        return (
            self.name,
            f"{self.density:.2%}",
            "–" if self.active is None else f"{self.active:.2%}",
            f"{1e3 * self.forward:.2f}",
            "–" if self.backward is None else f"{1e3 * self.backward:.2f}",
            f"{self.kept / 2**20:.2f}",
            self.path,
        )


HEAD = ("layer", "input", "active", "forward, ms", "backward, ms", "kept, MiB", "path")


@dataclass(frozen=True)
class Profile:
    """What each layer costs, in the order in which they run; printed, a table."""

    layers: tuple[LayerCost, ...]

    def __getitem__(self, name: str) -> LayerCost:
        """The layer of a name."""
        return {layer.name: layer for layer in self.layers}[name]

    def __str__(self) -> str:
        rows = [HEAD, *(layer.cells() for layer in self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values by layer."""
        names = [f.name for f in fields(LayerCost) if f.name != "name"]
        return {c.name: {name: getattr(c, name) for name in names} for c in self.layers}


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    left = (0, len(row) - 1)
    pairs = enumerate(zip(row, widths, strict=True))
    return [cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in pairs]


def profile(
    network: Network,
    x: Tensor | SpikeTimes,
    *,
    surrogate: SurrogateGradient | None = None,
    repeats: int = 5,
) -> Profile:
    """Run a batch forward and backward, layer by layer; the network itself is not changed.

    Each layer gets its input as a leaf of its own, with the events and active places that the
    layer before handed over, and then the gradient that comes back to it when the sum of the
    output is differentiated. Times are the least of ``repeats`` runs after two to warm up. The
    search of ``x`` itself for events happens in the first.

    Args:
        x: (time, batch, *features) or spike times.
        surrogate: in place of each neuron's own, as a rule does it; ``None`` leaves those.
        repeats: runs that are timed, at least 1.

    Raises:
        ParameterError: ``repeats`` is below 1.

    >>> from spikewright import LI, LIF, Linear, Sequential, surrogate
    >>> near = surrogate.SuperSpike(window=0.2)
    >>> net = Sequential(Linear(64, 32), LIF(surrogate=near), Linear(32, 4), LI(), dt=1e-3)
    >>> costs = profile(net, (torch.rand(10, 8, 64) < 0.05).float())
    >>> [layer.name for layer in costs.layers]
    ['0_linear', '1_lif', '2_linear', '3_li']
    >>> costs["1_lif"].active is not None, costs["3_li"].active is None
    (True, True)
    """
    if repeats < 1:
        raise ParameterError(f"profile: repeats must be at least 1, got {repeats}. Use 5.")
    x = network.to_floating(x).detach()
    with torch.enable_grad(), streams_kept(), acting(network, surrogate) as activity:
        _Recorder(network).run(x)  # compiles, which cannot be weighed
        warm = _Recorder(network, weigh=True).run(x)
        timed = [_Recorder(network).run(x) for _ in range(repeats)]
    shares = activity.shares()
    runs = {name: [visits[name] for visits in (warm, *timed)] for name in warm}
    return Profile(tuple(_cost(name, *runs[name], active=shares.get(name)) for name in runs))


def _cost(name: str, warm: _Visit, *timed: _Visit, active: float | None) -> LayerCost:
    how = warm.way
    return LayerCost(
        name=name,
        kind=type(warm.layer).__name__,
        density=warm.density,
        active=active,
        forward=min(visit.forward for visit in timed),
        backward=min((v.backward for v in timed if v.backward is not None), default=None),
        kept=sum(warm.kept.values()),
        path="torch" if how is None else str(how),
    )


@dataclass
class _Visit:
    """One layer in one run."""

    layer: Layer
    x: Tensor
    y: Tensor
    started: float = 0.0
    forward: float = 0.0
    backward: float | None = None
    kept: dict[int, int] = field(default_factory=dict[int, int])
    way: Any = None
    density: float = 0.0


class _Recorder:
    """Runs a network once, each layer from a leaf of its own."""

    def __init__(self, network: Network, weigh: bool = False) -> None:
        self.network, self.weigh = network, weigh
        self.visits: dict[str, _Visit] = {}
        self.weights = {p.data_ptr() for p in network.parameters()}

    def run(self, x: Tensor) -> dict[str, _Visit]:
        """All layers forward, then all backward, the last one first."""
        with contextlib.ExitStack() as stack:
            for name, layer in self.network.layers.items():
                stack.enter_context(layer.register_forward_pre_hook(self._before(name)))
                stack.enter_context(layer.register_forward_hook(self._after(name)))
            if self.weigh:
                stack.enter_context(saved_tensors_hooks(self._keep, lambda tensor: tensor))
            self.network(x)
        last = next(reversed(self.visits))
        gradients = {last: torch.ones_like(self.visits[last].y)}
        for name in reversed(self.visits):
            if name in gradients and self.visits[name].y.requires_grad:
                found = _differentiate(self.visits[name], gradients.pop(name))
                self._hand_back(name, found, gradients)
        return self.visits

    def _hand_back(self, name: str, found: Tensor | None, gradients: dict[str, Tensor]) -> None:
        """Add the gradient of a layer's input to those of the layers it comes from."""
        for source in self.network.sources[name]:
            before = gradients.get(source)
            if found is not None:
                gradients[source] = found if before is None else before + found

    def _before(self, name: str) -> Any:
        def hook(layer: Layer, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            x: Tensor = arguments[0]
            leaf = hand_on(x, x.detach().requires_grad_()) if x.requires_grad else x
            self.visits[name] = _Visit(layer, leaf, leaf, started=time.perf_counter())
            return (leaf, *arguments[1:])

        return hook

    def _after(self, name: str) -> Any:
        def hook(layer: Layer, arguments: tuple[Any, ...], output: tuple[Tensor, Any]) -> None:
            visit = self.visits[name]
            visit.forward, visit.y = time.perf_counter() - visit.started, output[0]
            if self.weigh:
                _weigh(visit)

        return hook

    def _keep(self, tensor: Tensor) -> Tensor:
        """Note what autograd saves, each storage once, the weights left out."""
        size = min(tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size())
        if tensor.data_ptr() not in self.weights:
            self.visits[next(reversed(self.visits))].kept[tensor.data_ptr()] = size
        return tensor


def _weigh(visit: _Visit) -> None:
    """Note the path, the density of the input and the lists of events that are kept."""
    choice = getattr(visit.layer, "choice", None)
    visit.way = choice(visit.x) if choice else None
    visit.density = float((visit.x.detach() != 0).double().mean())
    if getattr(visit.way, "events", None) is not None:
        for events in (events_of(visit.x), active_of(visit.x)):
            if events is not None:
                arrays = (events.indptr, events.index, events.count)
                visit.kept[-id(events)] = sum(array.nbytes for array in arrays)


def _differentiate(visit: _Visit, gradient: Tensor) -> Tensor | None:
    """The gradient of a layer's input, if it needs one; notes the time."""
    weights = [p for p in visit.layer.parameters() if p.requires_grad]
    inputs = [visit.x, *weights] if visit.x.requires_grad else weights
    started = time.perf_counter()
    found = torch.autograd.grad(visit.y, inputs, gradient, allow_unused=True)
    visit.backward = time.perf_counter() - started
    return found[0] if visit.x.requires_grad else None
