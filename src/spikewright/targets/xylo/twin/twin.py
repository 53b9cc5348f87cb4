"""The chip by the engine's kernels: exact, and fast over batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikewright.connections.linear import Linear
from spikewright.connections.recurrent import Recurrent, RecurrentState
from spikewright.engine.forward import forward_by
from spikewright.targets.core.whole_products import matrices_keep_float32
from spikewright.targets.xylo.chips import MOST_HIDDEN, MOST_OUT
from spikewright.targets.xylo.configuration import Configuration, Population, Whole
from spikewright.targets.xylo.twin.neuron import XyloNeurons, XyloState
from spikewright.targets.xylo.twin.plain import ChipState, run_plain

DTYPE = torch.float32
V = ("v",)


class Shown(NamedTuple):
    """What a run shows, (time, batch, *n), in codes; clipped numbers by sample and neuron."""

    spikes: Tensor
    out: Tensor
    v: Tensor | None
    v_out: Tensor | None
    clipped: Tensor
    clipped_out: Tensor


class TwinState(NamedTuple):
    """States of the hidden layer and of the outputs."""

    hidden: RecurrentState
    out: XyloState


class Twin:
    """A configuration, run by the engine's kernels.

    What reaches a current in a step is summed apart by sign. As long as no current leaves its 16
    bits in the middle of a mixed sum, the order of its terms does not matter and the sums are the
    chip's; samples where one may have are run once more by `plain`, term by term. So are
    samples in which aliases fill the 31 events of a neuron.

    Args:
        configuration: what is loaded.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = c = configuration
        n, core = len(c.hidden), c.kind.core
        self._handed = handed_on(c.alias)
        self._aliased = bool((c.alias >= 0).any())
        self.input = _product(c.weights_in << c.shifts.input, np.eye(c.inputs, dtype=np.int64))
        back = _product(c.weights_rec << c.shifts.recurrent, self._handed)
        self.hidden = Recurrent(_neurons(c.hidden, MOST_HIDDEN, core), back)
        self.output = _product((c.weights_out << c.shifts.output)[None], self._handed)
        self.out = _neurons(c.out, MOST_OUT, core)
        for layer, size in ((self.input, c.inputs), (self.output, n)):
            layer.build((size,), c.dt)
        self.hidden.build((2 * c.synapses * n,), c.dt)
        self.out.build((2 * len(c.out),), c.dt)

    def start(self, batch: int) -> TwinState:
        """A fresh start."""
        return TwinState(self.hidden.initial_state(batch), self.out.initial_state(batch))

    def run(
        self, x: Tensor, state: TwinState | None = None, record: bool = True, exact: bool = True
    ) -> tuple[Shown, TwinState]:
        """Run a batch.

        Args:
            x: events, (time, batch, inputs), whole numbers.
            state: where an earlier run ended.
            record: whether membranes are shown.
            exact: whether samples whose sums may depend on their order are run again.

        Returns:
            What is shown, and the last state.
        """
        before = self.start(x.shape[1]) if state is None else state
        with torch.no_grad(), forward_by(None), torch.autocast("cpu", enabled=False):
            shown, after = self._by_kernels(x.to(DTYPE), before, V if record else ())
            again = self._unsure(before, shown, after)
            if exact and bool(again.any()):
                self._run_again(x, before, (shown, after), again)
        return shown, after

    def _by_kernels(
        self, x: Tensor, state: TwinState, record: tuple[str, ...]
    ) -> tuple[Shown, TwinState]:
        hidden, out = _tallied_anew(state)
        spikes, hidden_after, traces = self.hidden.run(self.input(x)[0], hidden, record)
        arrived = torch.cat([hidden.spikes[None], spikes[:-1]])
        fired, out_after, seen = self.out.run(self.output(arrived)[0], out, record)
        after = TwinState(hidden_after, out_after)
        clipped = hidden_after.neuron.clipped, out_after.clipped
        return Shown(spikes, fired, traces.get("v"), seen.get("v"), *clipped), after

    def _unsure(self, before: TwinState, shown: Shown, after: TwinState) -> Tensor:
        """By sample, whether its sums may depend on the order of their terms."""
        found = (after.hidden.neuron.unsure > 0).any(-1) | (after.out.unsure > 0).any(-1)
        if self._aliased:
            spikes = torch.cat([before.hidden.spikes[None], shown.spikes])
            events = spikes @ torch.from_numpy(self._handed).to(DTYPE)
            found = found | (events > MOST_HIDDEN).any(0).any(-1)
            # Sums of the chip's weights; one alone has 8 bits, which every precision keeps.
            found = found | (not matrices_keep_float32())
        return found

    def _run_again(
        self, x: Tensor, before: TwinState, made: tuple[Shown, TwinState], which: Tensor
    ) -> None:
        """Put what the judge shows into the samples in question, in place."""
        shown, after = made
        where = torch.nonzero(which).flatten()
        run, last = run_plain(
            self.configuration, _whole(x[:, where]), self._plain_state(before, where)
        )
        pairs = [(shown.spikes, run.spikes), (shown.out, run.out)]
        pairs += [(shown.v, run.v), (shown.v_out, run.v_out)] if shown.v is not None else []
        for mine, plain in pairs:
            assert mine is not None
            mine[:, where] = torch.from_numpy(plain).to(DTYPE)
        for mine, plain in ((shown.clipped, run.clipped), (shown.clipped_out, run.clipped_out)):
            mine[where] = torch.from_numpy(plain.sum(0)).to(DTYPE)
        neuron = after.hidden.neuron
        states = [
            (neuron.i, last.i), (neuron.v, last.v), (after.hidden.spikes, run.spikes[-1]),
            (after.out.i, last.i_out), (after.out.v, last.v_out),
        ]  # fmt: skip
        for mine, plain in states:
            mine[where] = torch.from_numpy(plain).to(DTYPE)

    def _plain_state(self, state: TwinState, where: Tensor) -> ChipState:
        neuron = state.hidden.neuron
        events = np.minimum(_whole(state.hidden.spikes[where]) @ self._handed, MOST_HIDDEN)
        codes = (_whole(t[where]) for t in (neuron.i, neuron.v, state.out.i, state.out.v))
        i, v, i_out, v_out = codes
        return ChipState(i, v, events, i_out, v_out)


def handed_on(alias: Whole) -> Whole:
    """How many events neurons hand on for one of their own: from the first axis to the second.

    A neuron hands on what is there at its turn, so a chain of aliases goes on upwards only.

    >>> handed_on(np.array([1, 2, -1]))
    array([[1, 1, 1],
           [0, 1, 1],
           [0, 0, 1]])
    """
    own = np.eye(len(alias), dtype=np.int64)
    found = own.copy()
    for n in reversed(range(len(alias))):
        other = int(alias[n])
        if other >= 0:
            found[n] += found[other] if other > n else own[other]
    return found


def _product(weights: Whole, handed: Whole) -> Linear:
    """A product that sums what adds to a current and what takes from it apart.

    Args:
        weights: (synapses, sources, neurons). handed: see `handed_on`.
    """
    signs = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)], axis=1)
    synapses, _, sources, neurons = signs.shape
    rows = (handed @ signs).transpose(3, 0, 1, 2).reshape(neurons * synapses * 2, sources)
    with torch.random.fork_rng(devices=[]):
        product = Linear(sources, len(rows), bias=False)
    product.weight.data = torch.from_numpy(np.ascontiguousarray(rows)).to(DTYPE)
    return product.requires_grad_(False)


def _neurons(p: Population, most: int, core: int) -> XyloNeurons:
    codes = {
        "lost_mem": 0.5**p.dash_mem,
        "lost_syn": 0.5**p.dash_syn,
        "v_threshold": p.threshold,
        "bias": p.bias,
    }
    return XyloNeurons(
        most=most, core=core, **{name: torch.tensor(v, dtype=DTYPE) for name, v in codes.items()}
    )


def _tallied_anew(state: TwinState) -> TwinState:
    """The state with its tallies at zero."""

    def anew(it: XyloState) -> XyloState:
        zero = torch.zeros_like(it.clipped)
        return it._replace(clipped=zero, unsure=zero)

    hidden: Any = state.hidden
    return TwinState(hidden._replace(neuron=anew(hidden.neuron)), anew(state.out))


def _whole(x: Tensor) -> Whole:
    return x.to(torch.int64).numpy()
