"""Sums that are never stored: stages that additions read before they are requantised.

A residual block adds the sums of a convolution, which may be negative, to activations or to other
sums. Spikes stand for 0 or more, so these sums are kept out of the activation memory: the addition
works them out anew, term by term, in sums as wide as accumulators, and requantises only the total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from spikewright.errors import CompileError
from spikewright.targets.fpga.integer import (
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.walk import last_readers


@dataclass(frozen=True, eq=False)
class Term:
    """One part of a sum, 2^shift times what an operation makes of stored activations.

    Args:
        name: of the stage that it stands for.
        operation: ``None`` takes the activations themselves.
        source: name of the stage that gave them.
        shift: 0 or more.
    """

    name: str
    operation: Convolution | Dense | SumPool | None
    source: str
    shift: int = 0

    @property
    def flat(self) -> bool:
        """Whether only the order of its numbers counts, not their rows and columns."""
        return not isinstance(self.operation, Convolution | SumPool)


def unstored(network: IntegerNetwork) -> Mapping[str, Stage]:
    """By name, the stages before the last one that give sums and no activations.

    >>> import torch
    >>> weight, bias = torch.ones(1, 1, 1, 1), torch.zeros(1)
    >>> sums = Stage("sums", ("input",), Convolution(weight, bias))
    >>> add = Stage("add", ("sums", "input"), Add((0, 1)))
    >>> list(unstored(IntegerNetwork((1, 4, 4), 2, (sums, add))))
    ['sums']
    """
    found: dict[str, Stage] = {}
    for stage in network.stages[:-1]:
        it = stage.operation
        sums = not isinstance(it, MaxPool | Flatten) or stage.inputs[0] in found
        if stage.requantise is None and sums:
            found[stage.name] = stage
    return found


def terms(stage: Stage, hidden: Mapping[str, Stage]) -> tuple[Term, ...]:
    """What a stage is the sum of; its products last, for they know how their output lies.

    Args:
        stage: an `Add` or `Flatten`, or one of ``hidden``.
        hidden: see `unstored`.
    """
    return tuple(sorted(_terms(stage, hidden), key=lambda term: term.operation is not None))


def stored_inputs(stage: Stage, hidden: Mapping[str, Stage]) -> tuple[str, ...]:
    """What a stage reads from the activation memory, also for sums that it works out itself."""
    found: list[str] = []
    for name in stage.inputs:
        found += stored_inputs(hidden[name], hidden) if name in hidden else [name]
    return tuple(dict.fromkeys(found))


def last_stored_readers(network: IntegerNetwork) -> Mapping[str, str]:
    """By the name of what is stored, the last stage that reads it."""
    hidden = unstored(network)
    return last_readers(
        [
            replace(stage, inputs=stored_inputs(stage, hidden))
            for stage in network.stages
            if stage.name not in hidden
        ]
    )


def added(network: IntegerNetwork) -> Iterator[tuple[Stage, tuple[Term, ...]]]:
    """The stages that work out sums of others, and their terms."""
    hidden = unstored(network)
    for stage in network.stages:
        if stage.name not in hidden and not hidden.keys().isdisjoint(stage.inputs):
            yield stage, terms(stage, hidden)


def check_terms(network: IntegerNetwork) -> None:
    """Whether only additions, and flattening, read sums.

    Raises:
        CompileError: another stage does; names both.
    """
    hidden = unstored(network)
    for stage in network.stages:
        wrong = [name for name in stage.inputs if name in hidden]
        if wrong and not isinstance(stage.operation, Add | Flatten):
            raise CompileError(
                f"fpga.assemble: stage {wrong[0]!r} must have a requantiser, got sums for stage "
                f"{stage.name!r}, but only additions take those. Put a requantiser there."
            )
    for stage, parts in added(network):
        kinds = {type(term.operation) for term in parts}
        if Dense in kinds and not all(term.flat for term in parts):
            raise CompileError(
                f"fpga.assemble: stage {stage.name!r} must add maps to maps or vectors to vectors, "
                f"got sums of {', '.join(repr(term.name) for term in parts)}. Give the "
                "convolutions requantisers before flattening."
            )


def room_for_sums(
    network: IntegerNetwork, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[int, int]:
    """Words that the memory for sums needs, and how far weights of convolutions are shifted."""
    words, lift = 0, 0
    for stage, parts in added(network):
        flat = all(term.flat for term in parts)
        size = prod(shapes[stage.name]) if flat else prod(shapes[parts[-1].name][1:])
        words = max(words, size if len(parts) > 1 else 2)
        lifts = [t.shift for t in parts if isinstance(t.operation, Convolution | Dense)]
        lift = max([lift, *lifts])
    return (max(words, 2), lift) if words else (0, 0)


def _terms(stage: Stage, hidden: Mapping[str, Stage]) -> Iterator[Term]:
    it = stage.operation
    if isinstance(it, Convolution | Dense | SumPool):
        yield Term(stage.name, it, stage.inputs[0])
        return
    shifts = it.shifts if isinstance(it, Add) else (0,)
    for name, shift in zip(stage.inputs, shifts, strict=True):
        if name in hidden:
            for term in _terms(hidden[name], hidden):
                yield replace(term, shift=term.shift + shift)
        else:
            yield Term(name, None, name, shift)
