"""A chip served over HTTP to several users."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Mapping
from socketserver import ThreadingTCPServer
from typing import Any, Self

from spikewright.errors import DeviceError
from spikewright.targets.core.device.codec import Codec, Device
from spikewright.targets.core.device.desk import Desk, Limits
from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.handler import Handler
from spikewright.targets.core.device.tokens import SHARED, Tokens, new_token
from spikewright.targets.core.device.turns import Done, Run
from spikewright.targets.core.device.words import JSON

LOOPBACK, PORT = "127.0.0.1", 8765
"""Where a device is by default."""
POLL = 0.05
"""Seconds between looks at connections that take too long."""
LAST_ANSWERS = 1.0
"""Seconds for answers on their way when the server stops."""
logger = logging.getLogger(__name__)


def no_log(_: Run) -> None:
    """Say nothing of a run."""


class DeviceServer(ThreadingTCPServer):
    """A chip on a port; a context manager that serves until it is left.

    Args:
        chip: what runs, one run at a time, in a thread of its own.
        codec: how its target's data go over the wire.
        address: host and port to listen on; port 0 takes a free one.
        tokens: by user, or one for all; made if not given.
        limits: see `Limits`.
        done: called after each run.

    Raises:
        DeviceError: the address cannot be had.
        ParameterError: a token, or what the chip says of itself, is unfit.
    """

    daemon_threads, block_on_close, allow_reuse_address = True, False, True
    request_queue_size = 64

    def __init__(
        self,
        chip: Device,
        codec: Codec,
        address: tuple[str, int] = (LOOPBACK, 0),
        tokens: Mapping[str, str] | str | None = None,
        limits: Limits | None = None,
        done: Done = no_log,
    ) -> None:
        shared = tokens if isinstance(tokens, str) else new_token()
        by_user = tokens if isinstance(tokens, Mapping) else {SHARED: shared}
        self.tokens, self.token = Tokens(by_user), by_user.get(SHARED)
        self.limits = limits or Limits()
        self.desk = Desk(chip, codec, self.limits, done)
        self.stopping = False
        self.handlers: set[Handler] = set()
        self._began = time.monotonic()
        self._places = threading.Semaphore(self.limits.connections)
        self._accepting = threading.Thread(
            target=self.serve_forever, args=(POLL,), name="device-server", daemon=True
        )
        self._bind(address)

    def _bind(self, address: tuple[str, int]) -> None:
        host, port = address
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__(address, Handler)
        except (OSError, OverflowError) as cause:
            raise DeviceError(
                f"device.serve: {host}:{port} must be a free address of this machine, "
                f"got {getattr(cause, 'strerror', None) or cause}. "
                "Choose another port, or 0 for any that is free."
            ) from cause

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"

    def start(self) -> Self:
        """Begin to serve, in threads of its own."""
        self.desk.turns.start()
        self._accepting.start()
        return self

    def stop(self, seconds: float = 30.0) -> bool:
        """Finish the run at work, refuse the others, close; whether that took below ``seconds``."""
        self.stopping = True
        ended = self.desk.turns.stop(seconds)
        if self._accepting.is_alive():
            self.shutdown()
        self.server_close()
        end = time.monotonic() + LAST_ANSWERS
        while time.monotonic() < end and any(h.active for h in self._open()):
            time.sleep(0.005)
        _close(self._open())
        return ended

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def status(self) -> dict[str, Any]:
        """What the queue looks like, and the server itself."""
        uptime = round(time.monotonic() - self._began, 3)
        return {**self.desk.status(), "connections": len(self.handlers), "uptime": uptime}

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection."""
        room = self._places.acquire(blocking=False)
        if not room:
            with contextlib.suppress(OSError):
                request.sendall(_turned_away(self.limits.connections))
        return room

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread of its own."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection, then give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def service_actions(self) -> None:
        """Close connections whose request or answer takes too long."""
        latest = time.monotonic() - self.limits.seconds
        _close([h for h in self._open() if h.busy_since is not None and h.busy_since < latest])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is its client's affair; anything else is logged."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("a connection failed")

    def _open(self) -> list[Handler]:
        return list(self.handlers.copy())


def _close(handlers: list[Handler]) -> None:
    for handler in handlers:
        with contextlib.suppress(OSError):
            handler.connection.shutdown(socket.SHUT_RDWR)


def _turned_away(most: int) -> bytes:
    text = f"device: connections must be at most {most}, got one more. Try again in 1 s."
    body = Fault("too_many_connections", text).body()
    head = "HTTP/1.1 503 Service Unavailable", f"Content-Type: {JSON}", "Retry-After: 1"
    lines = (*head, f"Content-Length: {len(body)}", "Connection: close", "", "")
    return "\r\n".join(lines).encode() + body
