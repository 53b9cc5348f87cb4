"""How every form of a network is worked through: stage by stage, forgetting what is done with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar


class Step(Protocol):
    """A stage, whatever its operation is."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


S = TypeVar("S", bound=Step)
Kept = TypeVar("Kept")
Shown = TypeVar("Shown")


def last_readers(stages: Sequence[Step]) -> Mapping[str, str]:
    """By the name of what is read, the last stage that reads it."""
    return {name: stage.name for stage in stages for name in stage.inputs}


def walk(
    stages: Sequence[S],
    given: Mapping[str, Kept],
    work: Callable[[S, tuple[Kept, ...]], tuple[Kept, Shown]],
) -> Iterator[tuple[S, Shown]]:
    """Each stage and what is shown of it.

    Args:
        stages: in the order of their work.
        given: what the first of them read, by name.
        work: from a stage and its inputs to what later stages read and what is shown. The former
            is forgotten after its last reader.
    """
    values, last = dict(given), last_readers(stages)
    for stage in stages:
        values[stage.name], shown = work(stage, tuple(values[name] for name in stage.inputs))
        yield stage, shown
        for name in stage.inputs:
            if last[name] == stage.name:
                values.pop(name, None)
