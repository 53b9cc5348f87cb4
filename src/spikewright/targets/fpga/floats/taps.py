"""Kernels as the accelerator sweeps them: taps side by side, as many zeros on both sides."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from spikewright.targets.fpga.integer import Pair


def spread(weight: Tensor, dilation: Pair) -> Tensor:
    """A dilated kernel as a larger one, zeros between its taps.

    Args:
        weight: (out, in, rows, columns).

    >>> import torch
    >>> spread(torch.ones(1, 1, 1, 2), (1, 3)).tolist()
    [[[[1.0, 0.0, 0.0, 1.0]]]]
    """
    rows, columns = ((n - 1) * d + 1 for n, d in zip(weight.shape[2:], dilation, strict=True))
    found = weight.new_zeros(*weight.shape[:2], rows, columns)
    found[:, :, :: dilation[0], :: dilation[1]] = weight
    return found


def centred(weight: Tensor) -> tuple[Tensor, Pair]:
    """What ``padding="same"`` means: an odd kernel, and half of it as padding.

    PyTorch puts one zero more behind an even kernel's input than before; a first tap of 0, which
    never reads anything, makes both sides alike.

    >>> import torch
    >>> weight, padding = centred(torch.ones(1, 1, 3, 4))
    >>> tuple(weight.shape[2:]), padding
    ((3, 5), (1, 2))
    """
    rows, columns = weight.shape[2:]
    weight = functional.pad(weight, (1 - columns % 2, 0, 1 - rows % 2, 0))
    return weight, (rows // 2, columns // 2)
