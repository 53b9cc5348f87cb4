"""Biases in units of the sums they are added to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from spikewright.compiler.target import Broken
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.quantising.quantised import RealWeights
from spikewright.targets.fpga.quantising.settings import MOST_MARGIN, Quantisation


def whole_bias(bias: Tensor, unit: float) -> Tensor:
    """floor(bias / unit + 1/2), in the bias's own type."""
    return torch.floor(bias / unit + 0.5)


def check_biases(weights: Mapping[str, RealWeights], settings: Quantisation) -> None:
    """Whether all fit into weight bits + T + margin_bits, with the sign.

    Raises:
        CompileError: names the layers, what they need and the fix.
    """
    broken: list[Broken] = []
    for name, real in weights.items():
        bits = real.form.bits + settings.bits + settings.margin_bits
        largest = float(whole_bias(real.bias, real.unit).abs().max())
        if largest >= 2.0 ** (bits - 1):
            need = f"a bias of {largest:,.0f} times what 1 stands for in its sums"
            have = f"{bits} bits for it, up to {2 ** (bits - 1) - 1:,}"
            more = int(largest).bit_length() + 1 - bits + settings.margin_bits
            way = f"Use margin_bits={more}, or train with smaller biases."
            if more > MOST_MARGIN:
                way = "Set its weights to 0: beside such biases they are nothing."
            broken.append(Broken(name, "bias", need, have, way))
    refuse("fpga.quantise", broken)
