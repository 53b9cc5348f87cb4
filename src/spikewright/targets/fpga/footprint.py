"""How much memory an accelerator has on the chip."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.targets.fpga.dimensions import Dimensions

WORD = 32
"""Bits of an instruction."""


def memory_bits(d: Dimensions) -> Mapping[str, int]:
    """Bits of each memory; one whose words come over a stream has none.

    >>> memory_bits(Dimensions(depth_0=8, depth_1=8, word=4))["activations"]
    64
    """
    return {
        "activations": (d.depth_0 + d.depth_1) * d.word,
        "instructions": d.instructions * WORD,
        "kernels": 0 if d.stream_kernels else d.kernels * d.units * d.weight,
        "weights": 0 if d.stream_weights else d.weights * d.linear * d.weight,
        "biases": (d.kernel_biases * d.units + d.weight_biases) * d.sum,
    }
