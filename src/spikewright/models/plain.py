"""Plain PyTorch networks for images, which the FPGA target turns into radix spikes.

All end in sums, one for each class; of the ones with batch norm, convolutions have no bias.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

POOL = 0
"""In a list of channels: max pooling of 2 x 2."""
VGG11 = (64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL)


def lenet5(classes: int = 10) -> nn.Sequential:
    """LeNet-5 with ReLU and max pooling: 1 x 28 x 28, which padding makes 32 x 32 of, to sums.

    LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86 (1998), as E3NE has it.
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip


def fang_cnn(classes: int = 10) -> nn.Sequential:
    """28 x 28 - 32C3 - P2 - 32C3 - P2 - 256 - 10: Fang et al., ICCAD 2020.

    The layers are from memory; convolutions are taken without padding.
    """
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, classes),
    )  # fmt: skip


def alexnet(classes: int = 10, dense: int = 1024) -> nn.Sequential:
    """AlexNet with batch norm for 3 x 32 x 32: five convolutions, two hidden layers.

    Krizhevsky, Sutskever and Hinton, NeurIPS 2012, made smaller as is usual for CIFAR-10; E3NE
    does not say how wide theirs is.

    Args:
        classes: sums.
        dense: neurons of each hidden layer.
    """
    channels = (64, POOL, 192, POOL, 384, 256, 256, POOL)
    hidden = [nn.Linear(256 * 16, dense), nn.ReLU(), nn.Linear(dense, dense), nn.ReLU()]
    return nn.Sequential(*_blocks(channels), nn.Flatten(), *hidden, nn.Linear(dense, classes))


def vgg11(classes: int = 10) -> nn.Sequential:
    """VGG-11 with batch norm for 3 x 32 x 32, one linear layer behind the convolutions.

    Simonyan and Zisserman, ICLR 2015.

    >>> import torch
    >>> vgg11().eval()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    return nn.Sequential(*_blocks(VGG11), nn.Flatten(), nn.Linear(512, classes))


def _blocks(channels: Iterable[int]) -> list[nn.Module]:
    """Convolutions of 3 x 3 pixels, each with batch norm and ReLU, and poolings."""
    made, now = list[nn.Module](), 3
    for count in channels:
        if count == POOL:
            made.append(nn.MaxPool2d(2))
        else:
            made += [nn.Conv2d(now, count, 3, padding=1, bias=False)]
            made += [nn.BatchNorm2d(count), nn.ReLU()]
            now = count
    return made
