"""What the activations of a network reach on some data: one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import CompileError
from spikewright.targets.fpga.floats.check import signed
from spikewright.targets.fpga.floats.network import FloatNetwork
from spikewright.targets.fpga.integer import INPUT
from spikewright.targets.fpga.quantising.histogram import Histogram

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Calibration:
    """What each stage, and the input, gave; by name, of those that are never negative."""

    seen: Mapping[str, Histogram]

    @property
    def silent(self) -> tuple[str, ...]:
        """Stages that gave nothing but zeros: their range is not known."""
        return tuple(name for name, histogram in self.seen.items() if histogram.most == 0)


def calibrate(network: FloatNetwork, data: Tensor | Iterable[Tensor]) -> Calibration:
    """Run the data through the network once and gather how its activations are spread.

    Args:
        network: its ReLUs right behind their sums, see `put_relu_first`.
        data: inputs (samples, *features) of 0 or more, or batches of them.

    Raises:
        CompileError: the data is empty, negative or not finite, or a layer's values are not.
    """
    negative = signed(network)
    seen = {INPUT: Histogram()}
    samples = 0
    with torch.no_grad():
        for batch in _batches(data):
            samples += len(batch)
            x = batch.detach().cpu().float()  # where and as the network's weights are
            _check(x)
            seen[INPUT] = seen[INPUT].add(x)
            for stage, out in network.walk(x):
                if not bool(out.isfinite().all()):
                    raise _refused(f"outputs of {stage.name!r} must be finite, got others", "net")
                if stage.name not in negative:
                    seen[stage.name] = seen.get(stage.name, Histogram()).add(out)
    if not samples:
        raise _refused("data must hold at least one sample, got none", "data")
    return Calibration(seen)


def _batches(data: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    """Of a tensor, parts of it; empty ones are left out."""
    for batch in data.split(_BATCH) if isinstance(data, Tensor) else data:
        if not isinstance(batch, Tensor):
            found = f"data must be a tensor or batches of tensors, got {type(batch).__name__}"
            raise _refused(found, "batches")
        if batch.numel():
            yield batch


def _check(x: Tensor) -> None:
    if not bool(x.isfinite().all()):
        raise _refused("data must be finite, got NaN or infinite values", "data")
    if bool((x < 0).any()):
        raise _refused(f"data must be 0 or more, as spikes are, got {float(x.min()):g}", "sign")


_WAYS = {
    "net": "Train the network again, or look for such values in the data.",
    "data": "Pass some typical inputs.",
    "batches": "Pass (x for x, _ in loader) of a loader that gives labels too.",
    "sign": "Train on inputs from 0 to 1, say raw pixels over 255. Put (x - mean) / std into the "
    "module's forward, and pass x: a first layer without padding takes it into its weights.",
}


def _refused(fault: str, way: str) -> CompileError:
    return CompileError(f"fpga.calibrate: {fault}. {_WAYS[way]}")
