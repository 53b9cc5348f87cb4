"""Shapes of all stages, and the dimensions that follow from layers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from spikewright.errors import CompileError
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Operation,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.terms import room_for_sums, unstored


def output_shapes(network: IntegerNetwork) -> Mapping[str, tuple[int, ...]]:
    """By stage, the shape of what it gives for one sample.

    >>> from spikewright.targets.fpga.integer import Flatten
    >>> pool = Stage("pool", (INPUT,), MaxPool((2, 2), (2, 2)))
    >>> net = IntegerNetwork((3, 4, 6), 2, (pool, Stage("flat", ("pool",), Flatten())))
    >>> output_shapes(net)
    {'pool': (3, 2, 3), 'flat': (18,)}
    """
    shapes: dict[str, tuple[int, ...]] = {INPUT: network.shape}
    for stage in network.stages:
        given = tuple(torch.empty(1, *shapes[name], device="meta") for name in stage.inputs)
        shapes[stage.name] = tuple(_meta(stage.operation).accumulate(given).shape[1:])
    del shapes[INPUT]
    return shapes


def _meta(operation: Operation) -> Operation:
    """The same without numbers: only shapes are worked out."""
    if isinstance(operation, Convolution):
        o = operation
        weight, bias = o.weight.to("meta"), o.bias.to("meta")
        return Convolution(weight, bias, o.stride, o.padding, o.groups)
    if isinstance(operation, Dense):
        return Dense(operation.weight.to("meta"), operation.bias.to("meta"))
    return operation


def activation_bits(network: IntegerNetwork) -> Mapping[str, int]:
    """By stage that gives activations, and for the input, how many bits they have."""
    return {name: most.bit_length() for name, most in network.most.items()}


def required(
    network: IntegerNetwork, hardware: Hardware, at_least: Dimensions | None = None
) -> Dimensions:
    """What the layers need; depths and addresses come with placement.

    Raises:
        CompileError: words that do not hold the widest map.
    """
    shapes = {INPUT: network.shape, **output_shapes(network)}
    columns = [shape[2] for shape in shapes.values() if len(shape) == 3]
    word = max([2, *columns])
    if hardware.word is not None:
        if hardware.word < word:
            raise CompileError(
                f"fpga.assemble: word must be at least {word}, the columns of the widest map, "
                f"got {hardware.word}. Leave it out, or make it as wide."
            )
        word = hardware.word
    elif not columns:
        word = max(2, min(32, *(max(shape) for shape in shapes.values())))
    outputs = [shapes[stage.name] for stage in network.stages]
    # An addition goes over rows of a word, also of vectors.
    widest = max([1, *(shape[-1] if len(shape) == 3 else 1 for shape in outputs)])
    lanes = hardware.lanes or min(widest, word)
    activation, total = _bits(network)
    left = max([0, *(-s.requantise.shift for s in network.stages if s.requantise)])
    found = Dimensions(
        word=word,
        lanes=lanes,
        units=hardware.units,
        linear=hardware.linear,
        sum=total,
        activation=activation,
        left=left,
        stream_kernels=int(hardware.stream_kernels),
        stream_weights=int(hardware.stream_weights),
        rate=int(hardware.code == "rate"),
    )
    sums, lift = room_for_sums(network, shapes)
    found = found.union(Dimensions(sums=sums, lift=lift))
    for stage in network.stages:
        found = found.union(_of_stage(stage))
    if at_least is not None:
        found = found.union(at_least)
    return found.union(Dimensions(offset=_offset_bits(network, found)))


def _bits(network: IntegerNetwork) -> tuple[int, int]:
    """Most bits of an activation, and those of an accumulator."""
    hidden = unstored(network)
    kept = {name for stage in network.stages for name in stage.inputs if name not in hidden}
    kept |= {stage.name for stage in network.stages if stage.requantise}
    bits = activation_bits(network)
    activation = max(bits[name] for name in kept)
    for stage in network.stages:
        sums = stage.name in hidden or not hidden.keys().isdisjoint(stage.inputs)
        if isinstance(stage.operation, Add) and len(stage.inputs) > 1 and not sums:
            # Sums of some inputs of several are stored; so is an input with as many bits as others.
            partial = bits_of_partial_sums(stage, [bits[name] for name in stage.inputs])
            activation = max([activation, *partial])
    total = max(bound.bit_length() for bound in network.bounds.values()) + 1
    return max(2, activation), max(total, activation + 1, 3)


def bits_of_partial_sums(stage: Stage, bits: list[int]) -> list[int]:
    """Of an addition of three inputs and more: bits of the sums of the first two, three, ..."""
    assert isinstance(stage.operation, Add)
    sums: list[int] = []
    most = 0
    for k, (each, shift) in enumerate(zip(bits, stage.operation.shifts, strict=True)):
        most += (2**each - 1) << shift
        if 0 < k < len(bits) - 1:
            sums.append(most.bit_length())
    return sums


def _of_stage(stage: Stage) -> Dimensions:
    it = stage.operation
    if isinstance(it, Dense):
        return Dimensions(weight=_weight_bits(it.weight))
    if isinstance(it, Convolution):
        taps = it.weight[0].numel()
        padding, stride = it.padding[1], it.stride[1]
        return Dimensions(weight=_weight_bits(it.weight), taps=taps, pad=padding, stride=stride)
    if isinstance(it, (MaxPool, SumPool)):
        size = it.window[0] * it.window[1]
        window = size if isinstance(it, MaxPool) else 0
        return Dimensions(taps=size, pad=it.padding[1], stride=it.stride[1], window=window)
    return Dimensions()


def _weight_bits(weight: torch.Tensor) -> int:
    """Two's complement.

    >>> [_weight_bits(torch.tensor([w])) for w in (-4, 3, 4)]
    [3, 3, 4]
    """
    if not weight.numel():
        return 1
    return max(0, int(weight.max()), int(-weight.min() - 1)).bit_length() + 1


def _offset_bits(network: IntegerNetwork, found: Dimensions) -> int:
    """Of the largest shift: the padding, and on to the last tile."""
    most = found.pad
    for stride, columns in _sweeps(network, found):
        most = max(most, found.pad + (columns - 1) // found.lanes * found.lanes * stride)
    return max(1, most.bit_length())


def _sweeps(network: IntegerNetwork, found: Dimensions) -> Iterator[tuple[int, int]]:
    """Stride and output columns of all that the map unit does."""
    shapes = output_shapes(network)
    for stage in network.stages:
        if isinstance(stage.operation, (Convolution, MaxPool, SumPool)):
            yield stage.operation.stride[1], shapes[stage.name][2]
    last = network.stages[-1]
    copied = last.requantise is not None or isinstance(last.operation, Flatten)
    if copied or any(_goes_over_rows(stage) for stage in network.stages):
        yield 1, found.word


def _goes_over_rows(stage: Stage) -> bool:
    return isinstance(stage.operation, Add) or (
        isinstance(stage.operation, Flatten) and stage.requantise is not None
    )
