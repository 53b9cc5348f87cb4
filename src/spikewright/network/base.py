"""What every network does: layers in their order, with their state threaded through."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright.borrow import streams_kept
from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.activity import activity_noted
from spikewright.engine.checks import check_finite, check_in_graph, check_sequence
from spikewright.engine.custom_ops.enrolled import enrol
from spikewright.engine.forward import (
    ForwardProgram,
    Observation,
    forward_program,
    observe,
    refuse_program,
)
from spikewright.engine.layer import Layer, Shape, State
from spikewright.engine.products.events import (
    events_for,
    forget_inference,
    is_sequence_of_spikes,
    look_for_events,
)
from spikewright.engine.segments import Memory, Part, check_memory, run_again, run_in_parts
from spikewright.engine.stream.stream import Stream
from spikewright.engine.traced import is_traced
from spikewright.errors import NetworkError, ParameterError, ShapeError, SpikewrightError, nearest
from spikewright.units import check_dt, format_seconds

INPUT = "input"
COUNTS = "counts"
NetworkState = dict[str, State]


class Run(NamedTuple):
    """What `Network.run` returns.

    ``output`` (time, batch, *features) and ``state`` as `Network.forward` gives them;
    ``records[layer][field]`` is a trace, (time, batch, *n), or for ``"counts"`` (batch, *n).
    """

    output: Tensor
    state: NetworkState
    records: dict[str, dict[str, Tensor]]


class Network(nn.Module):
    """Layers and the edges between them; see `Sequential` and `Graph`.

    Attributes:
        layers: the layers by name, in the order in which they run.
        sources: the names each layer takes its input from; several are added up.
        dt: time step in seconds.
        shape: shape of one input without time and batch, once known.
    """

    def __init__(
        self, layers: Mapping[str, Layer], sources: Mapping[str, tuple[str, ...]], dt: float
    ) -> None:
        super().__init__()
        self.dt = check_dt(type(self).__name__, dt)
        self.shape: Shape | None = None
        for name, layer in layers.items():
            _check_layer(type(self).__name__, name, layer)
        self.nodes = nn.ModuleDict(layers)
        self.sources = dict(sources)
        self.enrolled = enrol(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.enrolled = enrol(self)  # a copy is a network of its own

    @property
    def layers(self) -> dict[str, Layer]:
        return dict(self.nodes.items())  # type: ignore[arg-type]

    def build(self, shape: Iterable[int]) -> Shape:
        """Bind all layers to the feature shape of one input; return that of the output.

        Makes the parameters whose sizes were left open. The first forward pass does the same;
        an optimiser needs it done before.

        Raises:
            NetworkError: two layers do not fit together; names them.
        """
        shape = tuple(int(size) for size in shape)
        # A shape that does not fit must not leave the first layers bound to it.
        self._walk(shape, lambda layer, inputs: layer.output_shape(inputs))
        output = self._walk(shape, lambda layer, inputs: layer.build(inputs, self.dt))
        self.shape = shape
        return output

    def _walk(self, shape: Shape, visit: Callable[[Layer, Shape], Shape]) -> Shape:
        """Take a shape through all layers; return that of the output."""
        shapes: dict[str, Shape] = {INPUT: shape}
        for name, layer in self.layers.items():
            found = {source: shapes[source] for source in self.sources[name]}
            if len(set(found.values())) > 1:
                raise NetworkError(
                    f"network: inputs of layer {name!r} must have one shape, got {found}. "
                    "They are added up; make the shapes equal."
                )
            try:
                shapes[name] = visit(layer, next(iter(found.values())))
            except SpikewrightError as cause:
                raise type(cause)(f"network: layer {name!r}: {cause}") from cause
        return shapes[next(reversed(shapes))]

    def forward(
        self, x: Tensor | SpikeTimes, state: NetworkState | None = None
    ) -> tuple[Tensor, NetworkState]:
        """Run the network over a sequence.

        Args:
            x: (time, batch, *features); integers are converted. `SpikeTimes` are put on the
                grid of dt.
            state: what an earlier call returned for the same samples; ``None`` starts afresh.
                Two runs of T1 and T2 steps equal one of T1 + T2.

        Returns:
            The output of the last layer, (time, batch, *features), and the state by layer name.

        Raises:
            ShapeError: ``x`` has another rank or size, is empty or not finite, or ``state``
                belongs to another batch size or network.
        """
        output, state, _ = self.run(x, state, record=())
        return output, state

    def run(
        self,
        x: Tensor | SpikeTimes,
        state: NetworkState | None = None,
        record: Iterable[str] = ("spikes",),
        memory: Memory = "full",
        truncate: int | None = None,
    ) -> Run:
        """Like `forward`, with traces of what the neurons did.

        Args:
            record: ``"spikes"`` (output of spiking layers), ``"counts"`` (its sum over time,
                (batch, *n)) and names of state fields such as ``"v"``; each layer gives those it
                has. They take part in the gradient.
            memory: ``"full"`` keeps what the backward pass needs of every step; ``"checkpoint"``
                keeps the input and the state at every sqrt(T)-th step or so, and runs the steps
                between again in the backward pass.
            truncate: steps after which no gradient passes on; ``None`` for the whole sequence.

        Raises:
            ParameterError: no layer has a field of that name, or an option is out of range.
            NetworkError: the sequence must run in parts, and a layer needs all of it at once.
        """
        record = tuple(record)
        if isinstance(x, SpikeTimes):
            x = self.to_floating(x)
        if torch.compiler.is_dynamo_compiling():
            from spikewright.engine.custom_ops.in_graph import run_in_graph

            check_in_graph("network", self.shape, memory)
            return run_in_graph(self, x, state, (record, memory, truncate))
        self._check_record(record)
        check_memory("network", memory, truncate)
        x = self._accept(x, state, memory)
        program = forward_program()
        seen = {} if program is None else self._observe(program, x, state)

        def part(x: Tensor, state: NetworkState | None, first: int) -> Part:
            return self._run_part(x, state, record, _cut(seen, first, len(x)))

        if memory == "checkpoint":
            self._check_parts()
            parameters = [p for p in self.parameters() if p.requires_grad]
            whole = run_again(part, x, state, parameters, truncate)
        elif truncate is not None:
            self._check_parts()
            whole = run_in_parts(part, x, state, truncate)
        elif torch.is_grad_enabled() and not (is_traced(x) or self._needs_whole()):
            whole = run_in_parts(part, x, state)
        else:
            whole = part(x, state, 0)
        (output, records), counts, after = whole
        for name, count in counts.items():
            records[name] = {**records.get(name, {}), COUNTS: count}
        return Run(output, after, records)

    def _observe(
        self, program: ForwardProgram, x: Tensor, state: NetworkState | None
    ) -> dict[str, Observation]:
        """What the program sees of a batch."""
        if is_traced(x):
            refuse_program("torch.compile, torch.export or torch.func around it")
        if state is not None:
            refuse_program("a state to go on from, which a device does not take")
        shapes: list[Shape] = []

        def note(layer: Layer, inputs: Shape) -> Shape:
            shapes.append(layer.output_shape(inputs))
            return shapes[-1]

        self._walk(tuple(x.shape[2:]), note)
        return observe(program, self, x, dict(zip(self.layers, shapes, strict=True)))

    def _run_part(
        self,
        x: Tensor,
        state: NetworkState | None,
        record: tuple[str, ...],
        seen: Mapping[str, Observation],
    ) -> Part:
        """Some steps: the output and the traces, the counts, and the state."""
        values: dict[str, Tensor] = {INPUT: x}
        after: NetworkState = {}
        records: dict[str, dict[str, Tensor]] = {}
        counts: dict[str, Tensor] = {}
        unread, activity = Counter(chain(*self.sources.values())), activity_noted()
        for name, layer in self.layers.items():
            total = sum_inputs([values[source] for source in self.sources[name]])
            unread.subtract(self.sources[name])
            values = {known: value for known, value in values.items() if unread[known]}
            before = (state or {}).get(name)
            with events_for(self._has_reader(name) or (layer.spiking and activity is not None)):
                values[name], last, traces = _run_layer(
                    layer, total, before, record, seen.get(name)
                )
            if activity is not None:
                activity.note(name, values[name])
            if last is not None:
                after[name] = last
            if COUNTS in traces:
                counts[name] = traces.pop(COUNTS)
            if traces:
                records[name] = traces
        if torch.is_inference_mode_enabled():
            forget_inference()
        return Part((values[next(reversed(values))], records), counts, after)

    def _needs_whole(self) -> str | None:
        """The first layer that must be given all steps at once."""
        layers = self.layers.items()
        return next((name for name, it in layers if it.whole_sequence and it.training), None)

    def _check_parts(self) -> None:
        """Raise NetworkError unless running a sequence in parts is the same as in one go."""
        name = self._needs_whole()
        if name is not None:
            raise NetworkError(
                f"network: layer {name!r} must be one that can run a sequence in parts, got "
                f"{type(self.layers[name]).__name__}, which while training looks at all steps at "
                "once. Use memory='full' without truncate, or leave the layer out."
            )

    def _has_reader(self, name: str) -> bool:
        """Whether a layer that takes its input from ``name`` alone gains from lists of events."""
        layers = self.layers
        return any(
            sources == (name,) and layers[target].reads_events()
            for target, sources in self.sources.items()
        )

    def explain(self, x: Tensor | SpikeTimes) -> str:
        """A line for each layer: what runs it for the input ``x``, and why. Runs the network."""
        x = self._accept(self.to_floating(x), None)
        width = max(map(len, self.layers))
        lines = [f"{'network':<{width}}  dt {format_seconds(self.dt)}, input {tuple(x.shape)}"]
        values: dict[str, Tensor] = {INPUT: x}
        with torch.no_grad(), streams_kept():
            for name, layer in self.layers.items():
                total = sum_inputs([values[source] for source in self.sources[name]])
                choice = getattr(layer, "choice", None)
                how = str(choice(total)) if choice else "torch (all steps in one call)"
                lines.append(f"{name:<{width}}  {type(layer).__name__}: {how}")
                with events_for(self._has_reader(name)):
                    values[name], _ = layer(total)
        return "\n".join(lines)

    def stream(self, batch: int = 1, state: NetworkState | None = None) -> Stream:
        """The network compiled into one kernel, to be run step by step; see `Stream`.

        Args:
            batch: number of samples that run side by side.
            state: what an earlier call returned for the same samples; ``None`` starts afresh.

        Raises:
            BackendError: a layer cannot be compiled; names it.
            ShapeError: ``state`` belongs to another batch size or network.
            NetworkError: the shape of the input is not known yet.
        """
        return Stream(self, batch, state)

    def check_state(self, state: NetworkState, batch: int) -> None:
        """Raise ShapeError unless ``state`` belongs to this network and ``batch`` samples."""
        if not isinstance(state, Mapping):
            raise ShapeError(
                "network: state must be a mapping of layer names to their states, got "
                f"{type(state).__name__}. Pass what the network returned, or None."
            )
        for name, value in state.items():
            if name not in self.nodes:
                raise ShapeError(
                    f"network: state must name layers of this network, got {name!r}. "
                    f"{nearest(name, self.nodes)}"
                )
            for leaf in pytree.tree_leaves(value):
                if isinstance(leaf, Tensor) and leaf.shape[:1] != (batch,):
                    raise ShapeError(
                        f"network: state of layer {name!r} must be of the input's batch size "
                        f"{batch}, got {leaf.shape[0] if leaf.ndim else 'no batch axis'}. "
                        "Pass None for a fresh start, or the state of the same samples."
                    )
        missing = [n for n, layer in self.layers.items() if layer.stateful and n not in state]
        if missing:
            raise ShapeError(
                f"network: state must hold every layer that keeps one, got none for {missing}. "
                "Pass all that the network returned, or None for a fresh start."
            )

    def _check_record(self, record: tuple[str, ...]) -> None:
        fields = {"spikes", COUNTS}
        for layer in self.layers.values():
            fields |= set(getattr(layer, "field_names", tuple)())
        for name in record:
            if name not in fields:
                raise ParameterError(
                    f"network: record must name 'spikes' or state fields of its layers, got "
                    f"{name!r}. {nearest(name, sorted(fields))}"
                )

    def _accept(self, x: Tensor, state: NetworkState | None, memory: Memory = "full") -> Tensor:
        check_sequence("network", x, self.shape)
        x = self.to_floating(x)
        varies = len(x) == 1 or x.stride(0) != 0
        reads = varies and self._has_reader(INPUT) and is_sequence_of_spikes(x)
        if is_traced(x):
            check_in_graph("network", self.shape, memory)
        elif not (reads and look_for_events(x)):
            check_finite("network", x)
        if self.shape is None:
            self.build(x.shape[2:])
        if state is not None:
            self.check_state(state, x.shape[1])
        return x

    def to_floating(self, x: Tensor | SpikeTimes) -> Tensor:
        """``x`` on the grid, what is not floating in the dtype of the network's weights.

        Raises:
            ShapeError: ``x`` is complex, or spike times of a trial that is no whole number of dt.
        """
        if isinstance(x, SpikeTimes):
            return x.raster(self.dt, self._weight_dtype())
        if x.is_complex():
            raise ShapeError(
                f"network: input must be real, got {x.dtype}. Pass real and imaginary part as "
                "features of their own."
            )
        return x if x.is_floating_point() else x.to(self._weight_dtype())

    def _weight_dtype(self) -> torch.dtype:
        known = (p.dtype for p in self.parameters() if p.is_floating_point())
        return next(known, torch.get_default_dtype())

    def extra_repr(self) -> str:
        return f"dt={format_seconds(self.dt)}"


def sum_inputs(values: list[Tensor]) -> Tensor:
    """The sum of the inputs that meet at a layer."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _run_layer(
    layer: Layer, x: Tensor, state: State, record: tuple[str, ...], seen: Observation | None
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """One layer's output, state and the traces it has of those asked for."""
    given: dict[str, Any] = {} if seen is None else {"seen": seen}
    names: tuple[str, ...] = getattr(layer, "field_names", tuple)()
    fields = tuple(field for field in record if field in names)
    run: Any = functools.partial(layer.run, record=fields, **given) if fields or given else layer  # type: ignore[attr-defined]
    y, state, *more = run(x, state)
    traces: dict[str, Tensor] = more[0] if more else {}
    made = {"spikes": lambda: y, COUNTS: lambda: y.sum(0)} if layer.spiking else {}
    return y, state, {**{k: make() for k, make in made.items() if k in record}, **traces}


def _cut(seen: Mapping[str, Observation], first: int, steps: int) -> dict[str, Observation]:
    """What was seen from step ``first`` on."""
    return {name: observation.part(first, steps) for name, observation in seen.items()}


def _check_layer(where: str, name: str, layer: Any) -> None:
    if not isinstance(layer, Layer):
        way = "Wrap it: Fold(module) applies a torch module at each step."
        raise NetworkError(
            f"{where}: layer {name!r} must be a spikewright Layer, got {type(layer).__name__}. "
            f"{way if isinstance(layer, nn.Module) else 'Pass layers.'}"
        )
    if name == INPUT or "." in name or not name:
        raise NetworkError(
            f"{where}: a layer's name must be non-empty, without '.', and not 'input', got "
            f"{name!r}. Rename it."
        )
