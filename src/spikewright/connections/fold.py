"""Any torch module, applied to each step of each sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikewright.connections.base import Connection
from spikewright.engine.layer import Layer, Shape, State
from spikewright.errors import NetworkError, ParameterError, SpikewrightError

PROBE = 2
FIX = "Check the module on a batch of plain tensors of that shape."


class Fold(Connection):
    """Apply a plain torch module to all steps of all samples at once.

    y[t] = module(x[t]); the module sees (time x batch, *features) in one call, so a module that
    looks across its batch axis (batch norm) looks across time and batch.

    Args:
        module: maps one tensor (n, *features) to one tensor (n, *others).

    Raises:
        ParameterError: ``module`` is no torch module, or is a layer of this package.
        NetworkError: at build, the module fails on the feature shape. It is tried in evaluation
            mode on two rows of zeros.

    >>> y, state = Fold(nn.PixelShuffle(2))(torch.zeros(7, 3, 4, 5, 5))
    >>> y.shape
    torch.Size([7, 3, 1, 10, 10])
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if isinstance(module, Layer) or not isinstance(module, nn.Module):
            raise ParameterError(
                f"Fold: module must be a plain torch module, got {type(module).__name__}. "
                "Layers of spikewright go into the network without Fold."
            )
        self.module = module
        self.whole_sequence = any(
            isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm))
            for m in module.modules()
        )

    def output_shape(self, shape: Shape) -> Shape:
        modes = {part: part.training for part in self.module.modules()}
        self.module.eval()
        try:
            with torch.no_grad():
                y = self.module(self._zeros(shape))
        except SpikewrightError:
            raise
        except Exception as cause:
            raise NetworkError(f"{self._complaint(shape)}, got {cause}. {FIX}") from cause
        finally:
            for part, training in modes.items():
                part.training = training
        if not isinstance(y, Tensor) or y.shape[:1] != (PROBE,):
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise NetworkError(f"{self._complaint(shape)}, got {got}. {FIX}")
        return tuple(y.shape[1:])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_steps(self.module, x, state)

    def _zeros(self, shape: Shape) -> Tensor:
        tensor = next(self.module.parameters(), None)
        device = tensor.device if tensor is not None else None
        return torch.zeros(PROBE, *shape, device=device, dtype=self.weight_dtype())

    def _complaint(self, shape: Shape) -> str:
        rows = (PROBE, *shape)
        return (
            f"Fold({type(self.module).__name__}): module must map {rows} to a tensor of {PROBE} "
            "rows"
        )
