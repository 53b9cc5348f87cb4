"""Radix code: the bits of a number, one a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_unit
from spikewright.coding.invertible import check_train
from spikewright.errors import ParameterError, ShapeError

MOST_BITS = 24
"""Of a code of values: what float32 tells apart."""
LONGEST = 62
"""Bits of a whole number in int64, with room for a sum."""


@dataclass(frozen=True)
class Radix(Encoder):
    """The bits of a value, most significant first: T steps hold 2^T levels.

    q = floor(value (2^T - 1) + 1/2) and s[t] = bit T - 1 - t of q, so that
    q = sum_t s[t] 2^(T - 1 - t): one spike for each set bit. What comes back is q / (2^T - 1), at
    most half of 1 / (2^T - 1) from the value. Order: nothing is known before the last step but
    bounds; a receiver adds up m <- 2 m + s[t]. No gradient to the values.

    Args:
        steps: bits T, at most 24.
        dt: time step, s.

    Source: Wang et al., Efficient spiking neural networks with radix encoding, 2021; Gerlinghoff
    et al., arXiv 2111.10027.

    >>> code = Radix(steps=4, dt=1e-3)
    >>> spikes = code(torch.tensor([[0.0, 0.4, 1.0]]))
    >>> spikes[:, 0].T.int().tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]
    >>> code.decode(spikes)[0, 1].item() == torch.tensor(6 / 15).item()
    True
    """

    name: ClassVar[str] = "radix"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bits(self.where, "steps", self.steps, MOST_BITS)

    @property
    def levels(self) -> Tensor:
        """The values that come back as they are, (2^T,) float64, the least first."""
        return torch.arange(2**self.steps, dtype=torch.float64) / (2**self.steps - 1)

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        return 0.5 / (2**self.steps - 1)

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Send the bits of a batch, values in [0, 1]; see `Encoder.__call__`."""
        return planes_of(self.where, values, self.steps)

    def decode(self, spikes: Tensor) -> Tensor:
        """Values, (batch, *features), of spikes (steps, batch, *features), of their dtype.

        Raises:
            ShapeError: another number of steps, or numbers other than 0 and 1.
        """
        check_train(self.where, spikes, self.steps)
        return (from_bits(spikes).double() / (2**self.steps - 1)).to(spikes.dtype)


def to_bits(q: Tensor, bits: int) -> Tensor:
    """The bits of whole numbers as planes, most significant first: no value is rounded.

    planes[t] = floor(q / 2^(bits - 1 - t)) mod 2.

    Args:
        q: whole numbers from 0 to 2^bits - 1, (...), in any format that holds them.
        bits: planes, 1 to 62.

    Returns:
        (bits, ...) of zeros and ones in the format of q.

    Raises:
        ParameterError: bits out of range.
        ShapeError: numbers that are not whole or out of range.

    >>> to_bits(torch.tensor([0, 6, 9]), 4).T.tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
    """
    where = "coding.to_bits"
    check_bits(where, "bits", bits, LONGEST)
    whole = q.detach().to(torch.int64)
    # NaN and infinity become some whole number, which is another than q.
    bad = int(((whole < 0) | (whole > 2**bits - 1) | (whole != q)).sum())
    if bad:
        raise ShapeError(
            f"{where}: q must be whole numbers from 0 to 2^{bits} - 1 = {2**bits - 1:,}, got "
            f"others in {bad:,} of {q.numel():,} places. "
            "Quantise and clamp them first, or use more bits."
        )
    return _planes(whole, bits).to(q.dtype)


def from_bits(planes: Tensor, before: Tensor | None = None) -> Tensor:
    """The whole numbers of bits, most significant first: m <- 2 m + planes[t].

    Args:
        planes: zeros and ones, (bits, ...), of any format.
        before: (...) int64, what an earlier call returned for the planes before these.

    Returns:
        (...) int64.

    Raises:
        ParameterError: planes that are no or more than 62 bits.
        ShapeError: numbers other than 0 and 1.

    >>> planes = to_bits(torch.tensor([6, 9]), 4)
    >>> from_bits(planes), from_bits(planes[2:], before=from_bits(planes[:2]))
    (tensor([6, 9]), tensor([6, 9]))
    """
    where = "coding.from_bits"
    check_bits(where, "bits", len(planes) if planes.ndim else 0, LONGEST)
    bad = int(((planes != 0) & (planes != 1)).sum())
    if bad:
        raise ShapeError(
            f"{where}: planes must be 0 or 1, got others in {bad:,} of {planes.numel():,} places. "
            "Split whole numbers with to_bits."
        )
    m = torch.zeros_like(planes[0], dtype=torch.int64) if before is None else before
    for plane in planes:
        m = 2 * m + plane.detach().to(torch.int64)
    return m


def planes_of(where: str, values: Tensor, bits: int) -> Tensor:
    """Values in [0, 1] to (bits, *values.shape), of their dtype, rounded half up."""
    check_unit(where, values)
    # In float64: 24 bits and a half do not fit into float32.
    q = torch.floor(values.detach().double() * (2**bits - 1) + 0.5).to(torch.int64)
    return _planes(q, bits).to(values.dtype)


def check_bits(where: str, name: str, bits: int, most: int) -> None:
    """Raise ParameterError unless ``bits`` is a whole number from 1 to ``most``."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= most:
        raise ParameterError(
            f"{where}: {name} must be a whole number from 1 to {most}, got {bits!r}. "
            f"Pass for example {name}=4, for numbers from 0 to 15."
        )


def _planes(q: Tensor, bits: int) -> Tensor:
    shifts = torch.arange(bits - 1, -1, -1, device=q.device)
    return (q >> shifts.reshape(-1, *[1] * q.ndim)) & 1
