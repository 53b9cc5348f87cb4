"""A BrainScaleS-2 chip, or its twin, behind a wire."""

from __future__ import annotations

from pathlib import Path

from spikewright.targets.brainscales2.wire import CODEC
from spikewright.targets.core.device.client import RemoteDevice
from spikewright.targets.core.device.link import Persistence


class RemoteChip(RemoteDevice):
    """A `Chip` that a server keeps; see `RemoteDevice` for what it promises.

    Args:
        url: such as ``http://127.0.0.1:8765``, as the server prints it.
        token: likewise; a `Path` is a file that holds it; by default
            ``$SPIKEWRIGHT_DEVICE_TOKEN``.
        timeout: s without a word from the server, after which `run` raises `DeviceError`.
        retries: how often a request is sent in all while the connection fails.
        patience: s for one run, its wait in the queue included.

    Raises:
        ParameterError: no or an impossible token or address. Nothing is sent before the first use.

    >>> RemoteChip("http://127.0.0.1:8765", "a-token-that-was-printed").url
    'http://127.0.0.1:8765'
    """

    def __init__(
        self,
        url: str,
        token: str | Path | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 8,
        patience: float = 600.0,
    ) -> None:
        super().__init__(CODEC, url, token, Persistence(timeout, retries, patience))
