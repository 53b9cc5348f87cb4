"""Requests to a device, repeated while nobody answers; the token goes to that one address only."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from spikewright.errors import DeviceError, ParameterError
from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.words import ARRAYS, CHIP, JSON, ROOT, USER

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
MOST_ANSWER = 1 << 30
"""Bytes of an answer; a device that announces more is not believed."""


@dataclass(frozen=True)
class Persistence:
    """How long a client goes on.

    Args:
        timeout: s without any word from the device.
        retries: times that a request is sent in all while the connection fails.
        patience: s for a run, its wait in the queue included.
    """

    timeout: float = 30.0
    retries: int = 8
    patience: float = 600.0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("timeout", self.timeout, 0.0),
            ("patience", self.patience, 0.0),
            ("retries", self.retries, 0),
        ):
            if not least < value < float("inf"):
                raise ParameterError(
                    f"device: {name} must be positive and finite, got {value}. Choose another."
                )


@dataclass(frozen=True)
class Request:
    """A request that may be sent again without harm."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Received:
    """An answer that is no fault."""

    status: int
    body: bytearray
    kind: str
    chip: str


class Link:
    """A connection to a device, made when it is needed and again after it broke.

    Args:
        url: ``http://host:port``, or https where a proxy in front of the device speaks it.
        token: shown with each request.
        user: shown likewise, for the queue and the log of a device with one token for all.
        persistence: see `Persistence`.
    """

    def __init__(self, url: str, token: str, user: str, persistence: Persistence) -> None:
        self.url, self.persistence = url.rstrip("/"), persistence
        self._make, self._prefix = _connector(self.url)
        self._headers = {"Authorization": f"Bearer {token}", USER: user}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, request: Request, until: float) -> Received:
        """Send the request until it is answered.

        Args:
            request: what to ask.
            until: ``time.monotonic`` at which a device that is busy is given up.

        Raises:
            Fault: the device refuses.
            DeviceError: it does not answer, or not as a device does.
        """
        while True:
            try:
                return self._answered(request)
            except Fault as fault:
                pause = fault.retry_after
                if pause is None or time.monotonic() + pause > until:
                    raise
                time.sleep(pause)

    def get(self, what: str, until: float) -> dict[str, Any]:
        """The JSON object at this path of the protocol; see `ask`."""
        answer = self.ask(Request("GET", f"{ROOT}/{what}"), until)
        try:
            value = json.loads(answer.body) if answer.kind == JSON else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.stranger(f"no JSON object but {answer.kind!r}")
        return value

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self.close()

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _answered(self, request: Request) -> Received:
        """The first answer of however many tries it takes."""
        began, tries, pause = time.monotonic(), 0, FIRST_PAUSE
        end = began + self.persistence.timeout
        while True:
            tries += 1
            try:
                return self._once(request, end)
            except (OSError, http.client.HTTPException) as cause:
                self.close()
                now = time.monotonic()
                if tries >= self.persistence.retries or now + pause >= end:
                    raise self._silent(now - began, tries, cause) from cause
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Fault:
                raise
            except BaseException:
                # Half an answer may still be on its way: it belongs to nothing that follows.
                self.close()
                raise

    def _once(self, request: Request, end: float) -> Received:
        connection = self._connected(max(0.001, end - time.monotonic()))
        kind = {"Content-Type": ARRAYS} if request.body else {}
        headers = {**self._headers, **kind, **request.headers}
        connection.request(request.method, self._prefix + request.path, request.body, headers)
        response = connection.getresponse()
        body = _read(response, end)
        if response.will_close:
            self.close()
        kind = response.headers.get_content_type()
        self._require_success(response, kind, body)
        return Received(response.status, body, kind, response.getheader(CHIP, ""))

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection or self._make()
        self._connection, connection.timeout = connection, timeout
        if connection.sock is None:
            connection.connect()
        cast(socket.socket, connection.sock).settimeout(timeout)
        return connection

    def _require_success(
        self, response: http.client.HTTPResponse, kind: str, body: bytearray
    ) -> None:
        status = response.status
        if status < 300:
            return
        if status < 400:
            raise DeviceError(
                f"device: {self.url} must answer itself, got {status}, a redirect to "
                f"{response.getheader('Location', 'nowhere')[:200]!r}, where the token was not "
                "sent. If that is your device, use its address."
            )
        fault = _fault(status, kind, body)
        if fault is None:
            raise self.stranger(f"status {status}")
        after = response.getheader("Retry-After", "")
        wait = int(after) if after.isascii() and after.isdigit() and len(after) < 6 else None
        text = str(fault[1]).removeprefix("device: ")
        raise Fault(str(fault[0]), f"device at {self.url}: {text}", status, wait)

    def stranger(self, got: str) -> DeviceError:
        """Something answers at this address, but not as a device does."""
        return DeviceError(
            f"device: {self.url} must answer as the device protocol says, got {got}. "
            "Check the address, and that server and client are of one version."
        )

    def _silent(self, seconds: float, tries: int, cause: Exception) -> DeviceError:
        word = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        return DeviceError(
            f"device: {self.url} must answer, got no answer for {seconds:.1f} s in {tries} "
            f"{'try' if tries == 1 else 'tries'} ({word}). Nothing is lost: the same call works "
            "again once the device is back. See whether its server runs and the address is right."
        )


def _connector(url: str) -> tuple[Any, str]:
    """A function that makes an unconnected connection, and what each path begins with."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        wrong = parts.scheme not in {"http", "https"} or not host or parts.query or parts.username
    except ValueError:
        wrong, parts, host, port = True, urlsplit(""), None, None
    if wrong or host is None:
        raise ParameterError(
            f"device: url must be like http://127.0.0.1:8765, got {url!r}. "
            "Copy what the server prints when it starts."
        )
    if parts.scheme == "http":
        return lambda: http.client.HTTPConnection(host, port), parts.path
    context = ssl.create_default_context()
    return lambda: http.client.HTTPSConnection(host, port, context=context), parts.path


def _read(response: http.client.HTTPResponse, end: float) -> bytearray:
    """The body, into memory that its arrays may be views of."""
    length = response.length
    if length is None or length > MOST_ANSWER:
        raise http.client.HTTPException("an answer without a sensible length")
    body = bytearray(length)
    view, done = memoryview(body), 0
    while done < length:
        if time.monotonic() > end:
            raise TimeoutError("timed out")
        count = response.readinto(view[done:])
        if not count:
            raise http.client.IncompleteRead(b"", length - done)
        done += count
    return body


def _fault(status: int, kind: str, body: bytearray) -> tuple[Any, Any] | None:
    """Name and text of the fault that a device sends as JSON."""
    try:
        error = json.loads(body)["error"] if kind == JSON else {}
        return error["name"], error["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
