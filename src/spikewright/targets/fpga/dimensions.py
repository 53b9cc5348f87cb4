"""How large an accelerator is: what its modules are told by ``network_pkg.sv``."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Hardware:
    """What is done at once, and where weights are kept: the choices that a user has.

    Args:
        lanes: columns of an output row; ``None`` is as many as the widest output row has. More
            than that are idle.
        units: output channels of a convolution.
        linear: outputs of a fully connected layer.
        word: columns of a word of the activation memory, at least 2 and as many as the widest map
            has, which is ``None``.
        stream_kernels, stream_weights: come over a stream instead of from a memory on the chip.
        code: how activations of b bits are sent: "radix", b spikes that count 2^(b-1) .. 1, or
            "rate", 2^b - 1 spikes that count 1 each. Both give the same numbers; the second is
            there to be compared with.

    Raises:
        ParameterError: a number below 1, or another code.
    """

    lanes: int | None = None
    units: int = 2
    linear: int = 16
    word: int | None = None
    stream_kernels: bool = False
    stream_weights: bool = False
    code: Literal["radix", "rate"] = "radix"

    def __post_init__(self) -> None:
        for name in ("lanes", "units", "linear", "word"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ParameterError(
                    f"fpga.Hardware: {name} must be at least 1 and whole, got {value!r}. "
                    "One works on everything in turn."
                )
        if self.code not in ("radix", "rate"):
            raise ParameterError(
                f"fpga.Hardware: code must be 'radix' or 'rate', got {self.code!r}. Take 'radix'."
            )


@dataclass(frozen=True)
class Dimensions:
    """The parameters of ``network_pkg.sv``; all whole numbers.

    Args:
        value: bits of a setting; address: bits of an address, the first says which bank.
        word, lanes, units, linear: see `Hardware`.
        sum: bits of an accumulator; weight: of a weight; activation: most bits of an activation.
        left: as far as a requantiser shifts to the left; pad: most columns of padding.
        offset: bits of a shift of an input row; stride: largest of columns.
        window: positions of the largest max pooling window, 0 without one.
        taps: most of one kernel over its channels.
        sums: words of the memory that keeps sums for an addition, 0 without one; lift: as far as
            weights are shifted to the left before they are added.
        depth_0, depth_1: words of the two banks of the activation memory.
        instructions, kernels, weights, kernel_biases, weight_biases: words of the memories.
        stream_kernels, stream_weights: 1 where they come over a stream.
        rate: 1 where spikes are a rate code.
    """

    value: int = 2
    address: int = 2
    word: int = 2
    lanes: int = 1
    units: int = 1
    linear: int = 1
    sum: int = 2
    weight: int = 2
    activation: int = 2
    left: int = 0
    pad: int = 0
    offset: int = 1
    stride: int = 1
    window: int = 0
    taps: int = 2
    sums: int = 0
    lift: int = 0
    depth_0: int = 2
    depth_1: int = 2
    instructions: int = 2
    kernels: int = 2
    weights: int = 2
    kernel_biases: int = 2
    weight_biases: int = 2
    stream_kernels: int = 0
    stream_weights: int = 0
    rate: int = 0

    def planes(self, bits: int) -> int:
        """Steps that activations of so many bits take, each one plane of spikes.

        >>> Dimensions().planes(4), Dimensions(rate=1).planes(4)
        (4, 15)
        """
        return 2**bits - 1 if self.rate else bits

    def union(self, other: Dimensions) -> Dimensions:
        """The smallest that holds both.

        >>> Dimensions(word=8, pad=2).union(Dimensions(word=6, units=4)).word
        8
        """
        return replace(self, **{k: max(v, getattr(other, k)) for k, v in asdict(self).items()})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Dimensions:
        """From whole numbers by name; ``KeyError`` if one is missing.

        Programs that were written before there was a rate code have none.
        """
        known = {"rate": 0} | dict(values)
        return cls(**{field.name: int(known[field.name]) for field in fields(cls)})


def identity(d: Dimensions) -> int:
    """A checksum, which the control registers show."""
    return zlib.crc32(repr(asdict(d)).encode())


def package_text(d: Dimensions) -> str:
    """``network_pkg.sv``.

    >>> print(package_text(Dimensions()).splitlines()[3])
      localparam integer ADDRESS = 2;
    """
    lines = [f"  localparam integer {name.upper()} = {value};" for name, value in asdict(d).items()]
    return "\n".join(
        [
            "// Made by spikewright: the sizes of one network's accelerator (see dimensions.py).",
            "package network_pkg;",
            *lines,
            f"  localparam [31:0] IDENTITY = 32'h{identity(d):08x};",
            "endpackage",
            "",
        ]
    )
