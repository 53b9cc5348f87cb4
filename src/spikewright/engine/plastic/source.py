"""The source of a network whose weights change while it runs: `StreamSource` and the changes.

Each plastic connection's lines follow those of the neurons behind it, in the order that
`Plasticity` states. What a spike does is a loop over one row of weights (those from one input lie
side by side) or, after copying it to a line of its own, over one column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spikewright.engine.plastic.changes import SCALE, Changes, Side
from spikewright.engine.plastic.lift import Lifted
from spikewright.engine.plastic.wiring import WHERE, Ends
from spikewright.engine.program import MatrixProduct
from spikewright.engine.stream.source import (
    INPUT,
    Node,
    Place,
    StreamSource,
    indented,
    printed,
)

_NAMES = "steps, stride, learn, w, memory, index, noise, x, r, counts, e, k, tally"
_ENTRY = """
spikes = HELPERS.spikes
ENTRY = types.int64(*[types.int64] * 3, POINTER, POINTER, PLACES, *[POINTER] * 6, PLACES)"""
_STEP = f'''

@numba.cfunc(ENTRY, cache=True)
def step({_NAMES}):
    """Some steps; 1 if the input is not finite, 2 if it is no spikes: nothing is done then."""
    w = numba.carray(w, (WEIGHTS,))
    memory = numba.carray(memory, (1, ROW))
    noise = numba.carray(noise, (steps * NOISE,))
    index = numba.carray(index, (ROW,))
    x = numba.carray(x, ((steps - 1) * stride + INPUTS,))
    r = numba.carray(r, (steps,))
    counts = numba.carray(counts, (COUNTS,))
    e = numba.carray(e, (ELIGIBILITY,))
    k = numba.carray(k, (NUMBERS,))
    tally = numba.carray(tally, (TALLY,))
    if not finite(x):
        return 1
    if SPIKES and not spikes(x):
        return 2
    advance({_NAMES})
    return 0
'''


@dataclass(frozen=True)
class Synapses:
    """A plastic connection: what changes it, between which neurons."""

    name: str
    rule: Lifted
    ends: Ends


@dataclass
class OnlineSource(StreamSource):
    """The source under construction.

    Args:
        plastic: the plastic connections.
        counted: names of the layers whose spikes are counted.
        frozen: name of a layer -> leaves of its state that learning alone changes.

    Attributes:
        rows: where the weights of each plastic connection lie in ``w``.
        traces: where the traces of each, and the scale of its eligibility, lie in a row.
        eligibility: where each has its own in ``e``.
        spikes: where the count of each layer's spikes lies.
    """

    where: str = WHERE
    plastic: Sequence[Synapses] = ()
    counted: Sequence[str] = ()
    frozen: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    numbers: int = 0
    rows: dict[str, Place] = field(default_factory=dict[str, Place])
    traces: dict[str, dict[str, Place]] = field(default_factory=dict[str, dict[str, Place]])
    eligibility: dict[str, Place] = field(default_factory=dict[str, Place])
    spikes: dict[str, Place] = field(default_factory=dict[str, Place])
    _held: set[int] = field(default_factory=set[int])

    def _before_node(self, node: Node) -> None:
        places = self.states[node.name]
        self._held |= {places[leaf].first for leaf in self.frozen.get(node.name, ())}
        if isinstance(node.part, MatrixProduct):  # whose weights are the first it claims
            self.rows[node.name] = Place(self.weights, node.part.weight.numel())

    def _after_node(self, node: Node, values: Mapping[str, Place]) -> None:
        if node.name in self.counted:
            self._count(node.name, values[node.name])
        for number, synapses in enumerate(self.plastic):
            if synapses.ends.target == node.name:
                self._change(number, synapses, values)

    def _change(self, number: int, synapses: Synapses, values: Mapping[str, Place]) -> None:
        ends, rule, name = synapses.ends, synapses.rule, synapses.name
        sizes = {"x": ends.inputs, "y": ends.outputs}
        pre, post = (
            Side(values[end], self._listed(values[end]), self._leaf(end, v))
            for end, v in ((ends.source, ends.x_v), (ends.target, ends.y_v))
        )
        places = {trace.name: self._place(sizes[trace.name[0]]) for trace in rule.traces}
        first = sum(place.size for place in self.eligibility.values())
        if rule.traced is not None:
            places[SCALE] = self._place(1)
            self.eligibility[name] = Place(first, ends.inputs * ends.outputs)
        self.traces[name] = places
        columns = self._place(ends.inputs), self._place(ends.inputs)
        changes = Changes(
            number, rule, pre, post, self.rows[name], first, places, columns, self.dtype
        )
        self._lines += ["if learning:", *indented(changes.lines())]

    def _leaf(self, layer: str, leaf: int | None) -> Place | None:
        return None if leaf is None else self.states[layer][leaf]

    def _assign(self, place: Place, cell: str, value: str) -> str:
        if place.first in self._held:
            return f"{cell} = select(learning, {value}, {cell})"
        return super()._assign(place, cell, value)

    def _count(self, name: str, place: Place) -> None:
        first = sum(other.size for other in self.spikes.values())
        self.spikes[name] = Place(first, place.size)
        self._lines += [
            f"for a in range({self._listed(place)}):",
            f"    i = index[{place.first} + a]",
            f"    counts[{first} + i] += m[{place.first} + i]",
        ]

    def _function(self, x: Place, y: Place) -> str:
        body = [
            *self._before,
            *(f"k{n} = k[{n}]" for n in range(self.numbers)),
            "learning = learn != 0",
            "m = memory[0]",
            "for t in range(steps):",
            "    reward = r[t]",
            f"    xi = noise[t * {self.noise} : (t + 1) * {self.noise}]",
            f"    for i in range({x.size}):",
            f"        m[{x.first} + i] = x[t * stride + i]",
            *indented(self._lines),
        ]
        sizes = {"WEIGHTS": self.weights, "ROW": self.row, "NOISE": self.noise, "INPUTS": x.size}
        sizes |= {
            "COUNTS": sum(place.size for place in self.spikes.values()),
            "ELIGIBILITY": sum(place.size for place in self.eligibility.values()),
            "NUMBERS": self.numbers,
            "TALLY": 2 * len(self.plastic),
            "SPIKES": int(any(synapses.ends.source == INPUT for synapses in self.plastic)),
        }
        return printed(self.dtype, _ENTRY, sizes, _NAMES, body) + _STEP
