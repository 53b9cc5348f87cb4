"""Serve a chip until told to stop."""

from __future__ import annotations

import ipaddress
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from spikewright.targets.core.device.codec import Codec, Device
from spikewright.targets.core.device.desk import Limits
from spikewright.targets.core.device.server import LOOPBACK, PORT, DeviceServer, no_log
from spikewright.targets.core.device.turns import Done

AWAKE = 0.5
"""Seconds after which it looks whether it was told to stop."""


def serve(
    chip: Device,
    codec: Codec,
    address: tuple[str, int] = (LOOPBACK, PORT),
    tokens: Mapping[str, str] | str | None = None,
    limits: Limits | None = None,
    ready: Callable[[DeviceServer], None] = lambda _: None,
    done: Done = no_log,
) -> None:
    """Serve a chip from the main thread until Ctrl-C or SIGTERM; the run at work is finished.

    Args:
        chip: what runs.
        codec: how its target's data go over the wire.
        address: host and port; port 0 takes a free one.
        tokens: by user, or one for all; made if not given.
        limits: see `Limits`.
        ready: called once it listens.
        done: called after each run.

    Raises:
        DeviceError: the address cannot be had.
        ParameterError: a token, or what the chip says of itself, is unfit.
        KeyboardInterrupt: it was told to stop, and has.
    """
    with (
        _terminated_as_interrupted(),
        DeviceServer(chip, codec, address, tokens, limits, done) as s,
    ):
        _warn_of_strangers(s)
        ready(s)
        while True:  # a signal that reaches another thread ends no wait of this one
            time.sleep(AWAKE)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _warn_of_strangers(server: DeviceServer) -> None:
    host = str(server.server_address[0])
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        warnings.warn(
            f"device.serve: {server.url} can be reached from other machines by plain HTTP: whoever "
            "listens on the way reads the token and all data. Serve on 127.0.0.1 behind an SSH "
            "tunnel or a proxy with TLS, unless the network is yours alone.",
            stacklevel=3,
        )
