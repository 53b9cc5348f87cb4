"""A network in whole numbers beside the weights it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation


@dataclass(frozen=True, eq=False)
class RealWeights:
    """Of one product: weight / scale and bias / unit, rounded, are what the integer network has.

    Args:
        weight, bias: float64, batch norms folded.
        scale: what 1 stands for in the whole weights; unit: in the sums and the bias.
        form: how the weights are rounded.
    """

    weight: Tensor
    bias: Tensor
    scale: float
    unit: float
    form: WeightQuantisation


@dataclass(frozen=True, eq=False)
class Quantised:
    """What `quantise` made.

    Args:
        network: in whole numbers.
        weights: by stage, what they were rounded from.
        settings: that it was made with.
        silent: stages whose activations were all 0 on the calibration data; their ranges hold
            whatever their sums can reach.
        clips: by stage, where its activations end in the trained network too, as with ReLU6.
    """

    network: IntegerNetwork
    weights: Mapping[str, RealWeights]
    settings: Quantisation
    silent: tuple[str, ...] = ()
    clips: Mapping[str, float] = field(default_factory=dict[str, float])
