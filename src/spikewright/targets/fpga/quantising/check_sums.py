"""Whether the sums of a network in whole numbers fit into the accumulators."""

from __future__ import annotations

from spikewright.compiler.target import Broken
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.quantising.settings import Quantisation


def check_sums(network: IntegerNetwork, settings: Quantisation) -> None:
    """No sum may leave the accumulators, whatever the input.

    Raises:
        CompileError: names the stages, the bound of their sums and the fix.
    """
    bits = settings.accumulator_bits
    if bits is None:
        return
    most = 2 ** (bits - 1) - 1
    way = "Use accumulator_bits={}, or fewer bits of weights or activations."
    broken = [
        Broken(
            name,
            "accumulator",
            f"sums up to {bound:,}",
            f"accumulators of {bits} bits, up to {most:,}",
            way.format(bound.bit_length() + 1),
        )
        for name, bound in network.bounds.items()
        if bound > most
    ]
    refuse("fpga.quantise", broken)
