"""From a trained PyTorch module to a network in whole numbers, in one call."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from spikewright.errors import CompileError
from spikewright.targets.fpga.floats.check import faults
from spikewright.targets.fpga.floats.fold_batch_norms import fold_batch_norms
from spikewright.targets.fpga.floats.from_module import from_module
from spikewright.targets.fpga.floats.network import FloatNetwork
from spikewright.targets.fpga.floats.put_relu_first import put_relu_first
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.options import quantisation_of
from spikewright.targets.fpga.quantising.calibrate import calibrate
from spikewright.targets.fpga.quantising.quantise import quantise
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.quantising.settings import Quantisation


def convert(
    module: nn.Module | FloatNetwork,
    data: Tensor | Iterable[Tensor],
    settings: Quantisation | Mapping[str, Any] | None = None,
) -> Quantised:
    """Read, fold batch norms, calibrate and quantise. The module is not changed.

    Args:
        module: see `from_module`; or its graph.
        data: to calibrate on, (samples, *features) of 0 or more, or batches of such; one pass.
        settings: bits, ranges and scales, or these by name.

    Raises:
        CompileError: layers that cannot be mapped, numbers that do not fit.
        ParameterError: a setting is out of range.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))
    >>> made = convert(net, torch.rand(20, 1, 6, 6))
    >>> [(stage.name, stage.requantise is not None) for stage in made.network.stages]
    [('_0', True), ('_2', False), ('_3', False)]
    """
    chosen = quantisation_of(settings)
    first, data = _peeked(data)
    network = module if isinstance(module, FloatNetwork) else from_module(module, first)
    network = put_relu_first(fold_batch_norms(network))
    refuse("fpga.convert", faults(network))
    return quantise(network, calibrate(network, data), chosen)


def _peeked(data: Tensor | Iterable[Tensor]) -> tuple[Tensor, Tensor | Iterable[Tensor]]:
    """The first batch, and all data with it."""
    if isinstance(data, Tensor):
        first = data
    else:
        rest = iter(data)
        first = next(rest, None)
        data = () if first is None else itertools.chain([first], rest)
    if first is not None and not isinstance(first, Tensor):
        raise CompileError(
            "fpga.convert: data must be a tensor or batches of tensors, got batches of "
            f"{type(first).__name__}. Pass (x for x, _ in loader) of a loader that gives labels."
        )
    if first is None or not len(first):
        raise CompileError(
            "fpga.convert: data must hold at least one sample, got none. Pass some typical inputs."
        )
    return first, data
