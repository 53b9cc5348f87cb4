"""How each stage becomes runs of the units."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from spikewright.errors import CompileError
from spikewright.targets.fpga.instructions import KEEP_ON, Mode, Operation, Setting
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Pair,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.placement import Banks, Map, map_of
from spikewright.targets.fpga.shapes import bits_of_partial_sums, output_shapes
from spikewright.targets.fpga.terms import (
    Term,
    last_stored_readers,
    stored_inputs,
    terms,
    unstored,
)
from spikewright.targets.fpga.writing import Writing, keep, only_window

S = Setting


class Lowering:
    """Writes the instructions of a network.

    Args:
        network: what is lowered; `assemble` has checked it.
        writing: where they go.
    """

    layers: list[dict[str, Any]]
    """What each stage became."""

    def __init__(self, network: IntegerNetwork, writing: Writing) -> None:
        self.network, self.to = network, writing
        self.shapes = output_shapes(network)
        self.banks = Banks()
        self.layers = []
        self._maps: dict[str, Map] = {}
        self._unstored = unstored(network)
        self._last = last_stored_readers(network)

    def write(self) -> None:
        """All of it, from the input to the results."""
        last = self.network.stages[-1]
        self.to.set({S.RESULTS: prod(self.shapes[last.name])})
        given = map_of(self.network.shape, self.network.bits, self.to.dimensions)
        self._maps[INPUT] = self._take_input(self.banks.take(given, 0))
        for stage in self.network.stages:
            first = len(self.to.instructions)
            made = self._stage(stage, stage is last)
            if made is not None:
                self._maps[stage.name] = made
            self._free(stage)
            self._note(stage, made, first)
        self.to.run(Operation.END)

    def _take_input(self, placed: Map) -> Map:
        self._into(placed, self.to.address(placed))
        self.to.set({S.COLUMNS_OUT: placed.shape[2], S.FEATURES: placed.features, S.UNITS: 1})
        self.to.run(Operation.TAKE)
        return placed

    def _stage(self, stage: Stage, last: bool) -> Map | None:
        """Where its activations are; ``None`` if they, or the sums, went out."""
        if stage.name in self._unstored:
            return None  # additions work it out themselves
        if not self._unstored.keys().isdisjoint(stage.inputs):
            made = self._sum(stage)
        elif isinstance(stage.operation, Flatten) and stage.requantise is None:
            made = self._maps[stage.inputs[0]]
        else:
            made = self._operation(stage, last)
        if last and made is not None:
            self._send(made)
        return made

    def _operation(self, stage: Stage, last: bool) -> Map | None:
        sources = [self._maps[name] for name in stage.inputs]
        it = stage.operation
        kept = not last or stage.requantise is not None
        made = self._place(stage, sources[0]) if kept else None
        if isinstance(it, Convolution):
            self._convolution(it, sources[0], made, stage)
        elif isinstance(it, Dense):
            self._dense(it, sources[0], made, stage)
        elif isinstance(it, Add):
            self._add(it, sources, made, stage)
        elif isinstance(it, Flatten):
            self._rows(sources[:1], (0,), made, stage)
        else:
            self._pool(it, sources[0], made, stage)
        return made

    def _place(self, stage: Stage, source: Map) -> Map:
        bits = stage.requantise.bits if stage.requantise else source.bits
        if isinstance(stage.operation, (Add, Flatten)):
            wanted = self._like(source, bits)  # as its input is laid out, also if that is flat
        else:
            wanted = map_of(self.shapes[stage.name], bits, self.to.dimensions)
        return self.banks.take(wanted, 1 - source.bank)

    def _like(self, source: Map, bits: int) -> Map:
        return replace(source, bits=bits, planes=self.to.dimensions.planes(bits))

    def _free(self, stage: Stage) -> None:
        """What nobody reads after this stage, unless a flattened view of it goes on."""
        if stage.name in self._unstored:
            return
        for name in stored_inputs(stage, self._unstored):
            if self._last[name] == stage.name:
                gone = self._maps.pop(name)
                if not any(gone is other for other in self._maps.values()):
                    self.banks.free(gone)

    def _note(self, stage: Stage, made: Map | None, first: int) -> None:
        self.layers.append(
            {
                "name": stage.name,
                "kind": type(stage.operation).__name__,
                "inputs": list(stage.inputs),
                "shape": list(self.shapes[stage.name]),
                "bits": made.bits if made else None,
                "bank": made.bank if made else None,
                "index": made.index if made else None,
                "scale": stage.scale,
                "instructions": [first, len(self.to.instructions)],
            }
        )

    # Settings that several operations share.

    def _into(self, made: Map | None, address: int) -> None:
        """Where the output goes; nowhere: to the results."""
        if self.to.dimensions.sums:
            self.to.set({S.KEEP: 0})
        if made is None:
            self.to.set({S.BITS: 0})
        else:
            values = {S.BITS: made.bits, S.TARGET: address, S.TARGET_STEP: made.channel_words}
            self.to.set(values)

    def _lift(self, shift: int) -> None:
        """By how much the weights of a product are shifted to the left."""
        if self.to.dimensions.lift:
            self.to.set({S.LIFT_0: shift, S.LIFT_1: shift})

    def _requantise(self, stage: Stage | None) -> None:
        d = self.to.dimensions
        shift = stage.requantise.shift if stage and stage.requantise else 0
        self.to.set({S.SHIFT: min(shift, d.sum) + d.left})

    def _windows(self, source: Map, out: tuple[int, ...], window: Pair, stride: Pair, pad: Pair):
        """How windows go over a map's rows and columns."""
        d = self.to.dimensions
        self.to.set(
            {
                S.CHANNEL_STEP: source.channel_words,
                S.STEPS: source.planes,
                S.ROW_STEP: stride[0] * source.planes,
                S.ROW_START: -pad[0] * source.planes,
                S.ROWS_IN: source.shape[1],
                S.KERNEL_ROWS: window[0],
                S.KERNEL_COLUMNS: window[1],
                S.STRIDE_ROWS: stride[0],
                S.PAD_ROWS: pad[0],
                S.ROWS_OUT: out[1],
                S.COLUMNS_OUT: out[2],
                S.OFFSET: d.pad - pad[1],
                S.TILE_STEP: d.lanes * stride[1],
                S.STRIDE_COLUMNS: stride[1],
            }
        )

    # Operations.

    def _convolution(self, it: Convolution, source: Map, made: Map | None, stage: Stage) -> None:
        outputs, per_group = it.weight.shape[0], it.weight.shape[0] // it.groups
        weight = it.weight.reshape(outputs, -1).numpy()
        bias = it.bias.tolist()
        # Sums leave channel after channel: then one unit works.
        units = min(self.to.dimensions.units, per_group) if made else 1
        self._windows(source, self.shapes[stage.name], _pair(it), it.stride, it.padding)
        self._requantise(stage)
        self.to.set({S.MODE: Mode.CONVOLVE, S.CHANNELS: it.weight.shape[1]})
        self.to.set({S.TAPS: weight.shape[1]})
        self._lift(0)
        starts = [
            (group, first, min(units, per_group - first))
            for group in range(it.groups)
            for first in range(0, per_group, units)
        ]
        for group, first, count in starts:
            channel = group * per_group + first
            self.to.kernel(weight[channel : channel + count])
            self.to.biases(bias[channel : channel + count])
        blocks = [(g * per_group + f, n, g * it.weight.shape[1]) for g, f, n in starts]
        self._blocks(blocks, source, made)

    def _blocks(self, blocks: list[tuple[int, int, int]], source: Map, made: Map | None) -> None:
        """Runs of the map unit, (output channel, units, input channel), alike ones in a loop."""
        while blocks:
            (output, units, first), *_ = blocks
            steps = _steps(blocks)
            self.to.set({S.SOURCE: self.to.address(source) + first * source.channel_words})
            self.to.set({S.UNITS: units})
            self._into(made, self.to.address(made) + output * made.channel_words if made else 0)
            ahead = blocks[1] if steps > 1 else blocks[0]
            with self.to.loop(steps):
                self.to.run(Operation.RUN_MAP)
                if ahead[2] != first:
                    self.to.step(S.SOURCE, (ahead[2] - first) * source.channel_words)
                if made and ahead[0] != output:
                    self.to.step(S.TARGET, (ahead[0] - output) * made.channel_words)
            blocks = blocks[steps:]

    def _pool(self, it: MaxPool | SumPool, source: Map, made: Map | None, stage: Stage) -> None:
        self._windows(source, self.shapes[stage.name], it.window, it.stride, it.padding)
        self._requantise(stage)
        self.to.set(only_window(Mode.MAXIMUM if isinstance(it, MaxPool) else Mode.ADD))
        self._blocks([(c, 1, c) for c in range(source.shape[0])], source, made)

    def _dense(self, it: Dense, source: Map, made: Map | None, stage: Stage) -> None:
        self._requantise(stage)
        self._into(made, self.to.address(made) if made else 0)
        self._lift(0)
        self._linear(it, source, 0)

    def _linear(self, it: Dense, source: Map, lift: int) -> None:
        self.to.set({S.SOURCE: self.to.address(source), S.STEPS: source.planes, S.UNITS: 1})
        self.to.set({S.FEATURES: source.features, S.COLUMNS_IN: source.shape[2]})
        self.to.set({S.OUTPUTS: it.weight.shape[0]})
        self.to.matrix(it.weight.numpy(), it.bias.numpy().astype(np.int64) << lift)
        self.to.run(Operation.RUN_LINEAR)

    def _add(self, it: Add, sources: list[Map], made: Map | None, stage: Stage) -> None:
        """Two at a time; sums of the first few of more are stored exactly."""
        if len({source.shape for source in sources}) > 1:
            raise CompileError(
                f"fpga.lowering: inputs of stage {stage.name!r} must lie alike in the memory, got "
                f"{', '.join(str(source.shape) for source in sources)}. Add before flattening."
            )
        partial = bits_of_partial_sums(stage, [source.bits for source in sources])
        total, shift, extra = sources[0], it.shifts[0], list[Map]()
        for k, source in enumerate(sources[1:], 1):
            left, right = self._alike(total, source, extra)
            last = k == len(sources) - 1
            if not last:
                wanted = self._like(left, partial[k - 1])
                total = self.banks.take(wanted, 1 - left.bank)
                extra.append(total)
            into = made if last else total
            self._rows([left, right], (shift, it.shifts[k]), into, stage if last else None)
            shift = 0
        if len(sources) == 1:
            self._rows(sources, it.shifts, made, stage)
        for each in extra:
            self.banks.free(each)

    def _alike(self, left: Map, right: Map, extra: list[Map]) -> tuple[Map, Map]:
        """Both with as many planes as the larger one has."""
        bits = max(left.bits, right.bits)
        return self._widened(left, bits, extra), self._widened(right, bits, extra)

    def _widened(self, source: Map, bits: int, extra: list[Map]) -> Map:
        if source.bits == bits:
            return source
        made = self.banks.take(self._like(source, bits), 1 - source.bank)
        self._rows([source], (0,), made, None)
        extra.append(made)
        return made

    # Sums of sums, term by term: all but the last are kept, all but the first add to what is kept.

    def _sum(self, stage: Stage) -> Map | None:
        parts = terms(stage, self._unstored)
        sources = [self._maps[term.source] for term in parts]
        self._requantise(stage)
        if all(term.flat for term in parts):
            return self._sum_of_vectors(stage, parts, sources)
        shape = self.shapes[parts[-1].name]
        for term, source in zip(parts, sources, strict=True):
            if term.operation is None and source.shape != shape:
                raise CompileError(
                    f"fpga.lowering: inputs of stage {stage.name!r} must lie alike in the memory, "
                    f"got {source.shape} of {term.name!r} and {shape}. Add before flattening."
                )
        made = self._placed(stage, map_of(shape, 1, self.to.dimensions), sources[0])
        first = 0
        while first < shape[0]:
            count = self._units(parts, shape[0] - first, first, made)
            for k, (term, source) in enumerate(zip(parts, sources, strict=True)):
                into = made if k == len(parts) - 1 else None
                address = self.to.address(into) + first * into.channel_words if into else 0
                self._into(into, address)
                self.to.set(keep(k, len(parts)))
                self._term(term, source, first, count)
            first += count
        return made

    def _placed(self, stage: Stage, wanted: Map, source: Map) -> Map | None:
        """Laid out as wanted; ``None`` if the sums go out."""
        if stage.requantise is None:
            return None
        return self.banks.take(self._like(wanted, stage.requantise.bits), 1 - source.bank)

    def _units(self, parts: tuple[Term, ...], left: int, first: int, made: Map | None) -> int:
        """Output channels at once: of one group, and one after another if sums go out."""
        most = min(left, self.to.dimensions.units) if made else 1
        groups = [t.operation for t in parts if isinstance(t.operation, Convolution)]
        for it in groups:
            each = it.weight.shape[0] // it.groups
            most = min(most, each - first % each)
        return most

    def _term(self, term: Term, source: Map, first: int, count: int) -> None:
        """Some channels of a product, of a sum over windows, or of what was stored."""
        it = term.operation
        self.to.set({S.UNITS: count, S.LIFT_0: term.shift, S.LIFT_1: term.shift})
        if isinstance(it, Convolution):
            outputs = slice(first, first + count)
            each = it.weight.shape[0] // it.groups
            weight = it.weight[outputs].reshape(count, -1).numpy()
            self._windows(source, self.shapes[term.name], _pair(it), it.stride, it.padding)
            self.to.set({S.MODE: Mode.CONVOLVE, S.CHANNELS: it.weight.shape[1]})
            self.to.set({S.TAPS: weight.shape[1]})
            self.to.kernel(weight)
            self.to.biases([bias << term.shift for bias in it.bias[outputs].tolist()])
            channel = first // each * it.weight.shape[1]
        else:
            window, stride, padding = (1, 1), (1, 1), (0, 0)
            if isinstance(it, SumPool):
                window, stride, padding = it.window, it.stride, it.padding
            out = self.shapes[term.name] if isinstance(it, SumPool) else source.shape
            self._windows(source, out, window, stride, padding)
            self.to.set({S.MODE: Mode.OWN, S.CHANNELS: count})
            channel = first
        self.to.set({S.SOURCE: self.to.address(source) + channel * source.channel_words})
        self.to.run(Operation.RUN_MAP)

    def _sum_of_vectors(
        self, stage: Stage, parts: tuple[Term, ...], sources: list[Map]
    ) -> Map | None:
        """Number after number, however each of them lies in the memory."""
        wanted = sources[-1]
        if isinstance(parts[-1].operation, Dense):
            wanted = map_of(self.shapes[stage.name], 1, self.to.dimensions)
        made = self._placed(stage, wanted, sources[0])
        for k, (term, given) in enumerate(zip(parts, sources, strict=True)):
            into = made if k == len(parts) - 1 else None
            if isinstance(term.operation, Dense):
                self._into(into, self.to.address(into) if into else 0)
                self.to.set(keep(k, len(parts)))
                self._lift(term.shift)
                self._linear(term.operation, given, term.shift)
            else:
                self._rows([given], (term.shift,), into, stage, keep(k, len(parts)))
        return made

    def _send(self, source: Map) -> None:
        """Activations to the results."""
        self._rows([source], (0,), None, None)

    def _rows(
        self,
        sources: list[Map],
        lifts: tuple[int, ...],
        made: Map | None,
        stage: Stage | None,
        kept: dict[Setting, int] | None = None,
    ) -> None:
        """One or two maps, row by row of all their channels: sums of q 2^lift."""
        source = sources[0]
        short = source.features % source.shape[2]
        for first, rows, columns in (
            (0, source.features // source.shape[2], source.shape[2]),
            (source.features // source.shape[2], int(short > 0), short),
        ):
            if rows:
                part = replace(
                    source, shape=(1, rows, columns), index=source.index + first * source.planes
                )
                self._windows(part, part.shape, (1, 1), (1, 1), (0, 0))
                self._requantise(stage)
                self.to.set(only_window(Mode.ADD) | {S.CHANNELS: len(sources)})
                self.to.set({S.LIFT_0: lifts[0], S.LIFT_1: lifts[-1]})
                apart = self.to.address(sources[-1]) - self.to.address(source)
                self.to.set({S.CHANNEL_STEP: apart, S.SOURCE: self.to.address(part)})
                self._into(made, self.to.address(made) + first * made.planes if made else 0)
                if kept is not None:
                    on = KEEP_ON if first else 0
                    self.to.set({S.KEEP: kept[S.KEEP] | on})
                self.to.run(Operation.RUN_MAP)


def _pair(it: Convolution) -> Pair:
    return it.weight.shape[2], it.weight.shape[3]


def _steps(blocks: list[tuple[int, int, int]]) -> int:
    """How many of the first blocks are equally far apart and use as many units."""
    if len(blocks) < 2:
        return 1
    (a, units, b), (c, _, d), *_ = blocks
    for k, block in enumerate(blocks):
        if block != (a + k * (c - a), units, b + k * (d - b)):
            return k
    return len(blocks)
