"""The designs that a network could have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.integer import Convolution, Dense, IntegerNetwork
from spikewright.targets.fpga.shapes import output_shapes


def grid(network: IntegerNetwork) -> Iterator[Hardware]:
    """Each sensible choice: powers of two up to what the largest layer can use.

    Columns of a row, output channels and outputs of a linear layer at once: from one up to as many
    as there are, and all of them.
    """
    shapes = output_shapes(network)
    most = {"lanes": 1, "units": 1, "linear": 1}
    for stage in network.stages:
        shape = shapes[stage.name]
        if len(shape) == 3:
            most["lanes"] = max(most["lanes"], shape[2])
        if isinstance(stage.operation, Convolution):
            most["units"] = max(most["units"], shape[0])
        if isinstance(stage.operation, Dense):
            most["linear"] = max(most["linear"], shape[0])
    lanes = [each for each in up_to(most["lanes"]) if each * 4 >= most["lanes"]]
    for choice in product(lanes, up_to(most["units"]), up_to(most["linear"])):
        yield Hardware(*choice)


def up_to(most: int) -> list[int]:
    """Powers of two below a number, and the number.

    >>> up_to(6), up_to(8), up_to(1)
    ([1, 2, 4, 6], [1, 2, 4, 8], [1])
    """
    return [*(2**k for k in range((most - 1).bit_length())), most]
