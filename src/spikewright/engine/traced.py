"""Whether tensors stand for others: under a compiler, an exporter or a function transform."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_torch: Any = torch
transforming: Any = _torch._C._are_functorch_transforms_active
"""Whether the code runs inside a transform of ``torch.func``."""
_OWN_VALUES = _torch.Tensor.__torch_dispatch__


def is_traced(x: Tensor) -> bool:
    """Whether ``x`` has no values to look at, for it stands for what comes later, or for several.

    True inside ``torch.func`` transforms, and while ``torch.compile`` or ``torch.export`` make
    their graph: the engine then runs as registered operations, see
    `spikewright.engine.custom_ops`.

    >>> is_traced(torch.ones(1)), torch.func.vmap(lambda x: x * is_traced(x))(torch.ones(1))
    (False, tensor([1.]))
    """
    return transforming() or _is_stand_in(x)


def has_values(x: Tensor) -> bool:
    """Whether ``x`` itself can be looked at, wherever the code runs."""
    return not (_torch._C._functorch.is_functorch_wrapped_tensor(x) or _is_stand_in(x))


def _is_stand_in(x: Tensor) -> bool:
    kind: Any = type(x)
    return kind is not Tensor and kind.__torch_dispatch__ is not _OWN_VALUES
