"""Which outputs of a convolution each of its inputs reaches."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Padding = tuple[int, ...] | str


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution, in elements.

    Args:
        size: of the input.
        taps: of the kernel.
        before: zeros in front of the input.
        after: zeros behind it.
    """

    size: int
    taps: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def outputs(self) -> int:
        """The number of places of the output."""
        reach = self.dilation * (self.taps - 1)
        return (self.size + self.before + self.after - reach - 1) // self.stride + 1

    @property
    def margin(self) -> int:
        """Places before the first output that inputs would reach without the border."""
        return self.dilation * (self.taps - 1) // self.stride

    @property
    def last(self) -> int:
        """The base of the last input place, see `base`."""
        return (self.size - 1 + self.before) // self.stride

    @property
    def length(self) -> int:
        """Places of the output with margins on both sides, from ``-margin`` on."""
        return self.margin + max(self.last + 1, self.outputs)

    def base(self, place: int) -> tuple[int, int]:
        """(output, phase): the outputs an input reaches are its base plus its phase's shifts."""
        return divmod(place + self.before, self.stride)

    def output(self, place: int, tap: int) -> int | None:
        """The output that an input reaches through a tap."""
        base, phase = self.base(place)
        output = base + self.shift(tap)
        return output if phase == self.phase(tap) and 0 <= output < self.outputs else None

    def order(self) -> list[int]:
        """The taps, neighbours being those that take one input to neighbouring outputs."""
        return sorted(range(self.taps), key=lambda tap: (self.phase(tap), -tap))

    def phase(self, tap: int) -> int:
        """The phase of the inputs that reach outputs through a tap."""
        return tap * self.dilation % self.stride

    def shift(self, tap: int) -> int:
        """From the base of an input to the output it reaches through a tap."""
        return -(tap * self.dilation // self.stride)

    def sections(self, phase: int) -> list[tuple[int, int, int]]:
        """(first place in the order of taps, first shift, how many) of neighbouring outputs."""
        order = self.order()
        found = [(k, self.shift(tap), 1) for k, tap in enumerate(order) if self.phase(tap) == phase]
        return _merged(found)


def _merged(taps: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Neighbours both in the order of taps and among the outputs, joined."""
    found: list[tuple[int, int, int]] = []
    for k, shift, _ in taps:
        if found and (k, shift) == (found[-1][0] + found[-1][2], sum(found[-1][1:])):
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((k, shift, 1))
    return found


class Tables(NamedTuple):
    """What the kernels of ``sources/conv.py`` look up; see there."""

    place: Array
    pieces: Array
    sizes: Array


@dataclass(frozen=True)
class Convolution:
    """The shapes of a convolution.

    Args:
        inputs: channels.
        outputs: channels.
        groups: of channels that are convolved apart.
        axes: one or two.
    """

    inputs: int
    outputs: int
    groups: int
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(outputs, *sizes) of one row of the output."""
        return (self.outputs, *(axis.outputs for axis in self.axes))

    @property
    def places(self) -> int:
        """Places of the output, of one channel."""
        return math.prod(axis.outputs for axis in self.axes)

    @property
    def plane(self) -> int:
        """Places of the input, of one channel."""
        return math.prod(axis.size for axis in self.axes)

    @property
    def taps(self) -> int:
        return math.prod(axis.taps for axis in self.axes)

    @property
    def width(self) -> int:
        """Output channels of a group."""
        return self.outputs // self.groups

    @property
    def in_group(self) -> int:
        """Input channels of a group."""
        return self.inputs // self.groups

    @property
    def wide(self) -> int:
        """Places of the output with margins on both sides, of one channel."""
        return self.axes[-1].length * self.places // self.axes[-1].outputs

    @functools.cached_property
    def added(self) -> float:
        """Outputs that an event adds to, margins included, on average over its places."""
        *first, across = self.axes
        taps = across.taps / across.stride
        for down in first:
            reached = sum(
                down.output(place, tap) is not None
                for place in range(down.size)
                for tap in range(down.taps)
            )
            taps *= reached / down.size
        return taps * self.width


@functools.lru_cache(maxsize=256)
def convolution(
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
) -> Convolution:
    """The convolution of rows of ``shape`` with a weight, options as in torch.

    >>> convolution((1, 5), (2, 1, 3), (1,), "same", (1,), 1).shape
    (2, 5)
    """
    axes: list[Axis] = []
    for k, (size, taps) in enumerate(zip(shape[1:], weight[2:], strict=True)):
        if padding == "same":
            zeros = dilation[k] * (taps - 1)
            before, after = zeros // 2, zeros - zeros // 2
        else:
            before = after = 0 if isinstance(padding, str) else padding[k]
        axes.append(Axis(size, taps, stride[k], dilation[k], before, after))
    return Convolution(shape[0], weight[0], groups, tuple(axes))


@functools.lru_cache(maxsize=64)
def tables(conv: Convolution) -> Tables:
    """The tables of a convolution; one axis counts as a plane one element high."""
    *first, across = conv.axes
    down = first[0] if first else Axis(1, 1, 1, 1, 0, 0)
    width = conv.width
    lists = down.stride * (down.last + 1)
    places = [_place(down, across, divmod(p, across.size), width) for p in range(conv.plane)]
    pieces = list(_pieces(down, across, width))
    line = (down.outputs, across.outputs, across.length, across.margin)
    return Tables(
        np.array(places, dtype=np.int64),
        np.array(pieces, dtype=np.int64).reshape(-1, 5),
        np.array([*line, conv.in_group, width, across.stride * lists], dtype=np.int64),
    )


def _place(down: Axis, across: Axis, place: tuple[int, int], width: int) -> tuple[int, int]:
    """(list of an event at a place, where its base lies on the wide grid)."""
    (y, phase_y), (x, phase_x) = down.base(place[0]), across.base(place[1])
    bases = down.last + 1
    number = (phase_x * down.stride + phase_y) * bases + y
    return number, (y * across.length + x) * width


def _pieces(down: Axis, across: Axis, width: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(first list, last list, start in a kernel, start on the wide grid, elements)."""
    bases = down.last + 1
    for tap in range(down.taps):
        shift = down.shift(tap)
        first, last = max(0, -shift), min(bases, down.outputs - shift)
        if last <= first:
            continue
        for phase in range(across.stride):
            skip = (phase * down.stride + down.phase(tap)) * bases
            for k, over, taps in across.sections(phase):
                kernel = (tap * across.taps + k) * width
                grid = (shift * across.length + over + across.margin) * width
                yield first + skip, last + skip, kernel, grid, taps * width
