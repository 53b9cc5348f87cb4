"""Images changed at random while training: drawn by a generator that is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.errors import ParameterError, ShapeError


class ImageAugmentation(Protocol):
    """Makes other images of those of a batch."""

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """New images, (batch, channels, height, width); ``images`` stay as they are."""
        ...


@dataclass(frozen=True)
class CropAndPad:
    """A window cut out at a random place and put back in the middle, zeros around it.

    Args:
        margin: pixels cut away from height and width together on each axis, half of them on each
            side being zero afterwards; an even number. A window of 26 of 28 pixels and a border
            of 1: ``margin=2``.

    Raises:
        ParameterError: the margin is no even number from 0 on.

    >>> cut = CropAndPad(2)(torch.ones(1, 1, 4, 4), torch.Generator().manual_seed(0))
    >>> cut[0, 0]
    tensor([[0., 0., 0., 0.],
            [0., 1., 1., 0.],
            [0., 1., 1., 0.],
            [0., 0., 0., 0.]])
    """

    margin: int

    def __post_init__(self) -> None:
        if type(self.margin) is not int or self.margin < 0 or self.margin % 2:
            raise ParameterError(
                f"CropAndPad: margin must be an even whole number from 0 on, got {self.margin!r}. "
                "Pass 2 for a border of one pixel."
            )

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        height, width = (size - self.margin for size in _checked("CropAndPad", images)[2:])
        if min(height, width) < 1:
            raise ShapeError(
                f"CropAndPad: images must be larger than the margin {self.margin}, got "
                f"{tuple(images.shape)}. Use a smaller margin."
            )
        corner = torch.randint(self.margin + 1, (2, len(images)), generator=generator)
        window = _windows(images, corner, (height, width))
        return functional.pad(window, (self.margin // 2,) * 4)


@dataclass(frozen=True)
class PadAndCrop:
    """Zeros put around an image, and a window of its size cut out at a random place.

    Args:
        padding: zeros on each side, pixels.

    Raises:
        ParameterError: the padding is no whole number from 0 on.

    >>> image = torch.ones(1, 1, 2, 2)
    >>> int(PadAndCrop(1)(image, torch.Generator().manual_seed(0)).sum()) in (1, 2, 4)
    True
    """

    padding: int

    def __post_init__(self) -> None:
        if type(self.padding) is not int or self.padding < 0:
            raise ParameterError(
                f"PadAndCrop: padding must be a whole number from 0 on, got {self.padding!r}. "
                "Pass 4 for CIFAR-10."
            )

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        size = _checked("PadAndCrop", images)[2:]
        corner = torch.randint(2 * self.padding + 1, (2, len(images)), generator=generator)
        return _windows(functional.pad(images, (self.padding,) * 4), corner, (size[0], size[1]))


@dataclass(frozen=True)
class Flip:
    """Each image is mirrored left to right with probability ``p``.

    Raises:
        ParameterError: ``p`` is no probability.

    >>> Flip(1.0)(torch.tensor([[[[1.0, 2.0]]]]), torch.Generator()).flatten()
    tensor([2., 1.])
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ParameterError(
                f"Flip: p must be between 0 and 1, got {self.p!r}. Use 0.5 for every second image."
            )

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        _checked("Flip", images)
        mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < self.p
        return torch.where(mirrored.to(images.device), images.flip(-1), images)


def _checked(where: str, images: Tensor) -> torch.Size:
    if images.ndim != 4:
        raise ShapeError(
            f"{where}: images must be (batch, channels, height, width), got "
            f"{tuple(images.shape)}. Leave them unflattened: flatten=False."
        )
    return images.shape


def _windows(images: Tensor, corner: Tensor, size: tuple[int, int]) -> Tensor:
    """A window of each image, its upper left corner at ``corner`` (2, batch)."""
    (top, left), (height, width) = corner.to(images.device), size
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    number = torch.arange(len(images), device=images.device)[:, None, None]
    return images[number, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
