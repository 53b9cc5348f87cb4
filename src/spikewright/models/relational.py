"""The relational network: answers from all pairs of sentences, in spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from spikewright.connections import Dropout, Linear, Recurrent
from spikewright.connections.base import positive
from spikewright.connections.pairs import Pairs
from spikewright.connections.place import Place
from spikewright.connections.repeat import Repeat
from spikewright.connections.select import Select
from spikewright.connections.shared import Shared
from spikewright.connections.total import Total
from spikewright.engine.layer import Layer
from spikewright.errors import ParameterError
from spikewright.network import INPUT, Graph
from spikewright.neurons import AHPLIF, LI, LIF

Make = Callable[[], Layer]


class RelationalNetwork(Graph):
    """Answers a question on a story from all pairs of the story's sentences.

    answer = f(gain * sum over i <= j of g(s_i, s_j, q))

    One encoder for all sentences, which hears the question with each of them, one for the
    question, one function g for all pairs: layers of spiking neurons whose weights all places
    share. The gate of a row cues its encoder, and what the encoder says reaches g while the gate
    is open; a sentence whose gate stays closed takes no part in anything, whatever stands in its
    row.

    Args:
        sentences: rows of the story, S; the input has one more, the question.
        inputs: neurons a row for words and places in the story, W; the input has one more, the
            gate.
        classes: answers.
        encoder: neurons of each encoder.
        relation: neurons of each layer of g.
        answer: neurons of each layer of f.
        encoder_neurons: makes the neurons of an encoder; `AHPLIF` by default.
        neurons: makes those of a layer of g or f; `LIF` by default.
        readout: makes the membranes that answer; `LI` by default.
        recurrent: whether the neurons of an encoder reach each other.
        asked: whether the question's words reach the encoders of the sentences too, through
            weights of their own, so that a sentence is read for what it says about the question.
            Published: not.
        dropout: share of the sum over pairs and of each layer of f that is silenced in training.
        gain: factor on the sum over pairs, to make up for their number.
        dt: time step, s.

    Shapes: x (time, batch, S + 1, W + 1), as `spikewright.data.Babi` hands it out, to membranes
    (time, batch, classes). The last row of x is the question, the last column the gates.

    Raises:
        ParameterError: a size is no positive whole number, or ``relation`` is empty.

    Source: Rao, Plank, Wild and Maass, Nature Machine Intelligence 4, 2022; Santoro et al., "A
    simple neural network module for relational reasoning", 2017.

    >>> import torch
    >>> net = RelationalNetwork(5, 30, 4, encoder=16, relation=(16, 16), answer=(16,))
    >>> net(torch.zeros(12, 2, 6, 31))[0].shape
    torch.Size([12, 2, 4])
    """

    def __init__(  # noqa: PLR0913 - one for each part that a user may choose
        self,
        sentences: int,
        inputs: int,
        classes: int,
        *,
        encoder: int = 64,
        relation: Sequence[int] = (64, 64, 64, 64),
        answer: Sequence[int] = (64,),
        encoder_neurons: Make = AHPLIF,
        neurons: Make = LIF,
        readout: Make = LI,
        recurrent: bool = True,
        asked: bool = True,
        dropout: float = 0.0,
        gain: float = 1.0,
        dt: float = 1e-3,
    ) -> None:
        for name, value in (("sentences", sentences), ("inputs", inputs), ("encoder", encoder)):
            positive("RelationalNetwork", name, value)
        if not relation:
            raise ParameterError(
                "RelationalNetwork: relation must hold at least one layer of g, got none. "
                "Pass for example relation=(64, 64)."
            )
        rows = sentences + 1
        encoders = [
            _encoder(name, part, (inputs, encoder, rows), encoder_neurons, recurrent)
            for name, part in (("sentence", (0, sentences)), ("question", (sentences, rows)))
        ]
        gates: dict[str, Layer] = {
            "gate": Select((0, rows), (inputs, inputs + 1)),
            "gate_place": Place((rows, encoder + 1), at=(0, encoder)),
        }
        head = {
            **_relation(relation, neurons, gain),
            **_answer((relation[-1], *answer, classes), (neurons, readout), dropout),
        }
        branches = [*encoders, gates]
        question = _asked(sentences, inputs, encoder) if asked else {}
        parts = (question, *branches, head)
        layers = {name: layer for part in parts for name, layer in part.items()}
        edges = [edge for part in branches for edge in pairwise([INPUT, *part, "pairs"])]
        edges += pairwise([INPUT, *question, "sentence"] if asked else [])
        super().__init__(layers, [*edges, *pairwise(head)], dt=dt, shape=(rows, inputs + 1))


def _encoder(
    name: str, rows: tuple[int, int], sizes: tuple[int, int, int], make: Make, recurrent: bool
) -> dict[str, Layer]:
    """From the words of some rows to spikes at their place among all rows and the gates."""
    inputs, encoder, all_rows = sizes
    cells = Recurrent(make()) if recurrent else make()
    return {
        f"{name}_rows": Select(rows, None),
        f"{name}_in": Shared(Linear(inputs + 1, encoder, bias=False)),
        name: Shared(cells),
        f"{name}_place": Place((all_rows, encoder + 1), at=(rows[0], 0)),
    }


def _asked(sentences: int, inputs: int, encoder: int) -> dict[str, Layer]:
    """From the question's words to the encoder of each sentence."""
    return {
        "asked_row": Select((sentences, sentences + 1), None),
        "asked_in": Shared(Linear(inputs + 1, encoder, bias=False)),
        "asked": Repeat(sentences),
    }


def _relation(sizes: Sequence[int], make: Make, gain: float) -> dict[str, Layer]:
    """g of all pairs, and their sum. Without biases, so that closed pairs stay silent."""
    layers: dict[str, Layer] = {"pairs": Pairs(sizes[0]), "g0": Shared(make())}
    for k, (before, size) in enumerate(pairwise(sizes), 1):
        layers[f"g{k}_in"] = Shared(Linear(before, size, bias=False))
        layers[f"g{k}"] = Shared(make())
    return {**layers, "sum": Total(gain)}


def _answer(sizes: Sequence[int], make: tuple[Make, Make], dropout: float) -> dict[str, Layer]:
    """f, and the membranes that answer."""
    layers: dict[str, Layer] = {}
    for k, (before, size) in enumerate(pairwise(sizes)):
        last = k == len(sizes) - 2
        name = "answer" if last else f"f{k}"
        if dropout:
            layers[f"{name}_drop"] = Dropout(dropout)
        layers[f"{name}_in"] = Linear(before, size)
        layers[name] = make[last]()
    return layers
