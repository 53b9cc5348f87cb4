"""Device, precision and processes, from Lightning Fabric."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor, nn

from spikewright import optional
from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import SettingsError
from spikewright.training.settings import FitSettings

_DTYPES = {"32-true": torch.float32, "64-true": torch.float64}


class Place:
    """Where training happens: moves tensors there and sets the precision of a block."""

    def __init__(self, network: nn.Module, fabric: Any = None) -> None:
        self.device = device_of(network)
        self._dtype = _dtype_of(network)
        self._fabric = fabric

    @overload
    def to(self, x: Tensor) -> Tensor: ...

    @overload
    def to(self, x: Tensor | SpikeTimes) -> Tensor | SpikeTimes: ...

    def to(self, x: Tensor | SpikeTimes) -> Tensor | SpikeTimes:
        """The tensor on the device, and where it is floating in the network's precision.

        Spike times keep theirs.
        """
        if isinstance(x, SpikeTimes):
            return x.to(self.device)
        return x.to(self.device, self._dtype if x.is_floating_point() else x.dtype)

    def autocast(self) -> AbstractContextManager[Any]:
        """The block in which the network runs."""
        return self._fabric.autocast() if self._fabric else contextlib.nullcontext()


def _dtype_of(network: nn.Module) -> torch.dtype:
    kinds = (p.dtype for p in network.parameters() if p.is_floating_point())
    return next(kinds, torch.get_default_dtype())


def device_of(network: nn.Module) -> torch.device:
    """Where the network's tensors are; the CPU where it has none."""
    tensor = next(iter(network.state_dict().values()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def open_place(network: nn.Module, settings: FitSettings) -> Place:
    """Start Fabric for this network, and join the processes where torchrun started several.

    The process group lasts as long as the process: it is destroyed at its exit, without which
    gloo aborts.

    Raises:
        SettingsError: the device is not there.
    """
    device = _parse_device(network, settings.device)
    launched = dist.is_available() and dist.is_torchelastic_launched()
    world = int(os.environ["WORLD_SIZE"]) if launched else 1
    local = int(os.environ["LOCAL_WORLD_SIZE"]) if launched else 1
    numbered = device.type == "cuda" and str(device) != "cuda"
    index = [device.index] if numbered else 1
    joined = dist.is_available() and dist.is_initialized()
    with _quiet():
        fabric = optional.require("lightning_fabric").Fabric(
            accelerator=device.type,
            devices=local if launched else index,
            num_nodes=world // local,
            strategy="ddp" if launched else "auto",
            precision=settings.precision or "32-true",
        )
        fabric.launch()
    if launched and not joined:
        atexit.register(_leave)
    network.to(fabric.device)
    if settings.precision in _DTYPES:
        network.to(_DTYPES[settings.precision])
    return Place(network, fabric)


def _parse_device(network: nn.Module, name: str | None) -> torch.device:
    if name is None:
        return device_of(network)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as cause:
        raise SettingsError(
            f"fit: device must be one that torch has here, got {name!r} "
            f"({str(cause).splitlines()[0]}). Pass device='cpu'."
        ) from cause
    return device


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Fabric announces its processes in a log that it prints; the display says what matters."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
