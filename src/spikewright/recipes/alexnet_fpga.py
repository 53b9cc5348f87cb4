"""AlexNet with batch norm on CIFAR-10, weights of 6 bits and radix spikes of 6 steps.

After E3NE, arXiv 2111.10027, see `lenet_fpga`. The small size is a trial on 2700 images.
"""

from __future__ import annotations

from torch import nn

from spikewright.models.plain import alexnet
from spikewright.recipes.core.radix_cifar import RadixCIFARRecipe, RadixCIFARSettings


class AlexNetFPGA(RadixCIFARRecipe):
    """The recipe `alexnet-fpga`."""

    title = "AlexNet in radix spikes on an FPGA: CIFAR-10"

    def module(self, settings: RadixCIFARSettings) -> nn.Module:
        return alexnet()


RECIPE = AlexNetFPGA()
