"""Batches of clips that were heard by a front end."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.data.split import Arrays, Split


class ClipSplit(Split):
    """Clips as frames: ``values`` (clips, copies, steps, channels), whole counts as uint8.

    A batch takes of each clip one of its copies, and so many steps of it, drawn anew each time.
    ``lead`` steps come before them: of the clip itself, and of the one before it in that copy's
    stream.

    Args:
        load: gives the frames and their classes.
        steps: of a sample, without those before it.
        shape: of a frame.
        lead: steps before a sample, no more than a clip has.
        seed: of the streams' orders.
    """

    def __init__(
        self,
        load: Callable[[], Arrays],
        steps: int,
        shape: tuple[int, ...],
        lead: int,
        seed: int,
    ) -> None:
        super().__init__(load, lead + steps, shape)
        self._lead, self._seed = lead, seed

    @cached_property
    def _before(self) -> Tensor:
        """The clip that comes before each, (clips, copies)."""
        clips, copies = self.values.shape[:2]
        order = stream_order(clips, copies, self._seed)
        return torch.empty_like(order).scatter_(0, order, order.roll(1, 0))

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        _, copies, whole, _ = self.values.shape
        steps = self.steps - self._lead
        copy, first = (
            _drawn(choices, len(index), generator) for choices in (copies, whole - steps + 1)
        )
        place = first + torch.arange(-self._lead, steps)[:, None]
        clip = torch.where(place < 0, self._before[index, copy], index) if self._lead else index
        return self.values[clip, copy, place].float()  # places below 0 count from a clip's end


def stream_order(clips: int, copies: int, seed: int) -> Tensor:
    """In which order clips follow each other in the stream of each copy, (clips, copies).

    >>> stream_order(4, 2, seed=0).sort(0).values[:, 1].tolist()
    [0, 1, 2, 3]
    """
    sources = [seeding.generator(seed, "stream", copy) for copy in range(copies)]
    return torch.stack([torch.randperm(clips, generator=source) for source in sources], 1)


def _drawn(choices: int, count: int, generator: torch.Generator | None) -> Tensor:
    """Numbers below ``choices``; the stream is left alone where there is but one."""
    if choices == 1:
        return torch.zeros(count, dtype=torch.int64)
    return torch.randint(choices, (count,), generator=generator)
