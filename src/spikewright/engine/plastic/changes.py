"""The lines that change one connection in a time step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from spikewright.engine.plastic.description import Expression, Updates
from spikewright.engine.plastic.expressions import Lines
from spikewright.engine.plastic.lift import Lifted, LiftedTrace, names
from spikewright.engine.stream.source import Place, indented

SCALE = "scale"
"""Where the common factor of the eligibilities lies, among the traces."""
_FADED = "1e-30"
"""A trace below that is zero: numbers near the least that exist are slow to compute with."""
_RENEWED = "1e-9"
"""The scale of eligibilities at which they are multiplied out."""
_OF_ROW = {"w": "w_row[j]", "e": "e_row[j]"}
_REAL = {torch.float32: "f32", torch.float64: "f64"}


@dataclass(frozen=True)
class Side:
    """The neurons on one side.

    Args:
        spikes: where their spikes of this step lie.
        count: name of how many places of them are listed in ``index``.
        v: where their membranes lie, if they have any.
    """

    spikes: Place
    count: str
    v: Place | None


@dataclass(frozen=True)
class Changes:
    """A plastic connection in the kernel.

    Args:
        number: its place in ``tally``.
        rule: what changes it.
        pre, post: the neurons on both sides.
        rows: where its weights lie in ``w``, those from one input side by side.
        eligibility: where its eligibilities begin in ``e``, laid out alike.
        traces: where its traces lie.
        columns: room for a column of weights, and for one of eligibilities.
        dtype: of all numbers.
    """

    number: int
    rule: Lifted
    pre: Side
    post: Side
    rows: Place
    eligibility: int
    traces: Mapping[str, Place]
    columns: tuple[Place, Place]
    dtype: torch.dtype

    def lines(self) -> list[str]:
        """One step, in the order of `Plasticity`."""
        body = ["changed, wrong = 0, 0"]
        for trace in self.rule.traces:
            body += self._decayed(trace)
        if self.rule.decay is not None:
            body += self._eligibility_decayed(self.rule.decay)
        body += self._before() + self._jumps("x") + self._behind() + self._jumps("y")
        for number, updates in enumerate(self.rule.all_updates):
            body += self._everywhere(updates, self._target(number))
        at = 2 * self.number
        return [*body, f"tally[{at}] += changed", f"tally[{at + 1}] += wrong"]

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.pre.spikes.size, self.post.spikes.size

    def _target(self, number: int) -> str:
        """What the updates of that number change: "w", or before it "e"."""
        return "w" if number == len(self.rule.all_updates) - 1 else "e"

    def _decayed(self, trace: LiftedTrace) -> list[str]:
        place = self.traces[trace.name]
        return [
            f"for i in range({place.size}):",
            f"    z = m[{place.first} + i]",
            f"    m[{place.first} + i] = {self._unless_faded(f'z * {trace.decay}')}",
        ]

    def _unless_faded(self, value: str) -> str:
        real = _REAL[self.dtype]
        return f"select(abs({value}) < {real}({_FADED}), {real}(0), {value})"

    def _eligibility_decayed(self, decay: str) -> list[str]:
        """All at once by their scale, which now and then is multiplied out."""
        real, cell = _REAL[self.dtype], f"m[{self.traces[SCALE].first}]"
        first, size = self.eligibility, self._sizes[0] * self._sizes[1]
        return [
            f"scale = {cell} * {decay}",
            f"if scale < {real}({_RENEWED}):",
            f"    for i in range({first}, {first + size}):",
            f"        e[i] = {self._unless_faded('e[i] * scale')}",
            f"    scale = {real}(1)",
            f"{cell} = scale",
            f"growth = {real}(1) / scale",
        ]

    def _jumps(self, side: str) -> list[str]:
        end = self.pre if side == "x" else self.post
        lines = [f"for a in range({end.count}):", f"    i = index[{end.spikes.first} + a]"]
        for trace in self.rule.traces:
            if trace.name[0] == side:
                cell = f"m[{self.traces[trace.name].first} + i]"
                spikes = f"m[{end.spikes.first} + i]"
                more = f"= {trace.jump}" if trace.nearest else f"+= {trace.jump} * {spikes}"
                lines.append(f"    {cell} {more}")
        return lines if len(lines) > 2 else []

    def _before(self) -> list[str]:
        """Each presynaptic spike, along its row."""
        terms = [updates.pre for updates in self.rule.all_updates]
        if terms == [None] * len(terms):
            return []
        first, outputs = self.pre.spikes.first, self._sizes[1]
        symbols = {**self._symbols(self.post, "y", "j"), **self._fixed("x")}
        each: list[str] = []
        for number, term in enumerate(terms):
            change = self._change(self._target(number), term, symbols, _OF_ROW, f"p{number}")
            each += _loop("j", outputs, change)
        changes = int(terms[-1] is not None) * outputs
        return [
            f"for a in range({self.pre.count}):",
            f"    i = index[{first} + a]",
            *indented(self._row()),
            *indented(self._loads(terms, self.pre, "x", "i")),
            f"    for again in range(i64(m[{first} + i])):",
            f"        changed += {changes}",
            *indented(each, 2),
        ]

    def _row(self) -> list[str]:
        """What belongs to input ``i``, side by side."""
        size, firsts = self._sizes[1], {"w": self.rows.first, "e": self.eligibility}
        used = [name for name in firsts if name == "w" or self.rule.traced is not None]
        spans = {n: f"{firsts[n]} + i * {size} : {firsts[n]} + (i + 1) * {size}" for n in used}
        return [f"{n}_row = {n}[{span}]" for n, span in spans.items()]

    def _behind(self) -> list[str]:
        """Each postsynaptic spike, along its column, copied to lie side by side."""
        terms = [updates.post for updates in self.rule.all_updates]
        if terms == [None] * len(terms):
            return []
        first, (inputs, outputs) = self.post.spikes.first, self._sizes
        lines = {"w": self.columns[0].first, "e": self.columns[1].first}
        sources = {
            "w": f"w[{self.rows.first} + j + i * {outputs}]",
            "e": f"e[{self.eligibility} + j + i * {outputs}]",
        }
        cells = {name: f"m[{line} + i]" for name, line in lines.items()}
        symbols = {**self._symbols(self.pre, "x", "i"), **self._fixed("y")}
        each: list[str] = []
        for number, term in enumerate(terms):
            change = self._change(self._target(number), term, symbols, cells, f"q{number}")
            each += _loop("i", inputs, change)
        used = [name for name in ("w", "e") if name == "w" or self.rule.traced is not None]
        changes = int(terms[-1] is not None) * inputs
        return [
            f"for b in range({self.post.count}):",
            f"    j = index[{first} + b]",
            *indented(self._loads(terms, self.post, "y", "j")),
            *indented(_loop("i", inputs, [f"{cells[n]} = {sources[n]}" for n in used])),
            f"    for again in range(i64(m[{first} + j])):",
            f"        changed += {changes}",
            *indented(each, 2),
            *indented(_loop("i", inputs, [f"{sources[n]} = {cells[n]}" for n in used])),
        ]

    def _everywhere(self, updates: Updates, target: str) -> list[str]:
        """The term of each step, for all synapses."""
        if updates.step is None:
            return []
        inputs, outputs = self._sizes
        fixed = self._symbols(self.pre, "x", "i")
        symbols = {**self._symbols(self.post, "y", "j"), **{n: f"h_{n}" for n in fixed}}
        change = self._change(target, updates.step, symbols, _OF_ROW, f"t{target}")
        used = names(updates.step)
        row = [
            *self._row(),
            *(f"h_{name} = {text}" for name, text in fixed.items() if name in used),
            *_loop("j", outputs, change),
        ]
        lines = _loop("i", inputs, row)
        if target == "w":
            lines.append(f"changed += {inputs * outputs}")
        return ["if reward != 0:", *indented(lines)] if updates.modulated else lines

    def _symbols(self, side: Side, letter: str, index: str) -> dict[str, str]:
        """What the kernel calls the symbols of one side at a place."""
        found = {f"{letter}0": f"m[{side.spikes.first} + {index}]"}
        if side.v is not None:
            found[f"{letter}_v"] = f"m[{side.v.first} + {index}]"
        for trace in self.rule.traces:
            if trace.name[0] == letter:
                found[trace.name] = f"m[{self.traces[trace.name].first} + {index}]"
        return found

    def _fixed(self, letter: str) -> dict[str, str]:
        """The symbols of the side whose spike it is: each spike is one."""
        side = self.pre if letter == "x" else self.post
        found = {name: f"h_{name}" for name in self._symbols(side, letter, "")}
        return {**found, f"{letter}0": f"{_REAL[self.dtype]}(1)"}

    def _loads(
        self, terms: Sequence[Expression | None], side: Side, letter: str, index: str
    ) -> list[str]:
        used = set[str]().union(*map(names, terms)) - {f"{letter}0"}
        symbols = self._symbols(side, letter, index)
        return [f"h_{name} = {symbols[name]}" for name in sorted(used & set(symbols))]

    def _change(
        self,
        target: str,
        term: Expression | None,
        symbols: Mapping[str, str],
        cells: Mapping[str, str],
        prefix: str,
    ) -> list[str]:
        """Add the value of ``term`` to the target's cell; leave it out if it is not finite."""
        if term is None:
            return []
        cell = cells[target]
        known = {**symbols, "w": cells["w"], "e": f"(scale * {cells['e']})", "r": "reward"}
        work = Lines(known, self.dtype, f"g{self.number}{prefix}")
        value = work.print(term)
        low, high = self.rule.bounds
        within = f"select(new < {low}, {low}, select(new > {high}, {high}, new))"
        return [
            *work.lines,
            f"old = {cell}",
            f"new = old + {value}" if target == "w" else f"new = old + growth * {value}",
            "good = new - new == 0",
            f"{cell} = select(good, {within if target == 'w' else 'new'}, old)",
            "wrong += select(good, i64(0), i64(1))",
        ]


def _loop(name: str, count: int, body: Sequence[str]) -> list[str]:
    return [f"for {name} in range({count}):", *indented(body)] if body else []
