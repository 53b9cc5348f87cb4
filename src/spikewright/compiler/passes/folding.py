"""What scaling and shifting before or after a product does to its weights.

Worked out in float64 and rounded once to the dtype of the weights.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from spikewright.compiler.discrete import Convolution, DelayedProduct, MatrixProduct, Shape

Product = MatrixProduct | Convolution | DelayedProduct


def scaled_after(product: Product, scale: Tensor, shift: Tensor | None) -> Product:
    """``scale * (W x + b) + shift`` as a product.

    Args:
        scale, shift: (outputs,), float64; a shift of ``None`` is zero.

    >>> import torch
    >>> product = MatrixProduct(torch.ones(2, 3), torch.ones(2))
    >>> scaled_after(product, torch.tensor([2.0, 3.0]), torch.tensor([0.5, 0.5])).bias
    tensor([2.5000, 3.5000])
    """
    weight, bias = _weight(product), product.bias
    each = scale.reshape(-1, *[1] * (weight.ndim - 1))
    after = None if bias is None else bias.double() * scale
    return _with(product, weight.double() * each, _sum(after, shift))


def scaled_before(product: Product, scale: Tensor, shift: Tensor | None) -> Product | None:
    """``W (scale x + shift) + b`` as a product, or ``None`` if it is none.

    A shift reaches neither the zeros that pad an image nor those before the first step.

    Args:
        scale, shift: (inputs,), float64; a shift of ``None`` is zero.
    """
    weight = _weight(product).double()
    if shift is not None and not _reaches_all(product):
        return None
    groups = product.geometry.groups if isinstance(product, Convolution) else 1
    rows = weight.shape[0] // groups
    own = scale.reshape(groups, 1, -1).expand(groups, rows, -1).reshape(weight.shape[0], -1)
    added = None
    if shift is not None:
        drive = shift.reshape(groups, 1, -1).expand(groups, rows, -1).reshape(weight.shape[0], -1)
        added = (weight.flatten(2).sum(-1) if weight.ndim > 2 else weight).mul(drive).sum(1)
    each = own.reshape(*own.shape, *[1] * (weight.ndim - 2))
    before = None if product.bias is None else product.bias.double()
    return _with(product, weight * each, _sum(before, added))


def per_channel(value: Tensor, shape: Shape, channels: int) -> Tensor | None:
    """(channels,) if a value that broadcasts to ``shape`` is one for each channel, else ``None``.

    >>> import torch
    >>> per_channel(torch.tensor([[[2.0]], [[3.0]]]), (2, 4, 4), 2)
    tensor([2., 3.], dtype=torch.float64)
    """
    if value.numel() == 1:
        return value.double().reshape(()).expand(channels)
    each = value.double().expand(shape).reshape(channels, -1)
    return each[:, 0] if bool((each == each[:, :1]).all()) else None


def _weight(product: Product) -> Tensor:
    return product.taps if isinstance(product, DelayedProduct) else product.weight


def _with(product: Product, weight: Tensor, bias: Tensor | None) -> Product:
    dtype = _weight(product).dtype
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    if isinstance(product, DelayedProduct):
        return replace(product, taps=weight, bias=bias)
    return replace(product, weight=weight, bias=bias)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _reaches_all(product: Product) -> bool:
    if isinstance(product, Convolution):
        return all(axis.before == axis.after == 0 for axis in product.geometry.axes)
    return isinstance(product, MatrixProduct)
