"""The protocol over HTTP/1.1: one request after another on a connection."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast

from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.tokens import SHARED, user_word
from spikewright.targets.core.device.turns import Run
from spikewright.targets.core.device.words import (
    ARRAYS,
    CHIP,
    JSON,
    PROTOCOL,
    ROOT,
    RUN_ID,
    USER,
    WAIT,
)

if TYPE_CHECKING:
    from spikewright.targets.core.device.server import DeviceServer

_VERSION = re.compile(r"/v(\d+)(/.*)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RUN_ID = re.compile(r"[A-Za-z0-9-]{16,64}")
_WAIT = re.compile(r"wait=(\d{1,6}(\.\d{1,6})?)")
_LINGER = 1.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection; every fault is sent as JSON that names it."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"spikewright-device/{PROTOCOL}", ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Time-outs are the server's."""
        self.busy_since: float | None = None
        """When the request began to come or its answer to go; ``None`` while neither does."""
        self.active = False
        self._unread = 0
        super().setup()
        self.connection.settimeout(self._device.limits.idle)
        self._device.handlers.add(self)

    def finish(self) -> None:
        """The connection ends."""
        self._device.handlers.discard(self)
        super().finish()

    def handle_one_request(self) -> None:
        """Wait for the first byte as long as the connection may idle, then be quick."""
        try:
            waiting = self.rfile.peek(1)  # pyright: ignore[reportAttributeAccessIssue]
        except TimeoutError:
            waiting = b""
        if not waiting:
            self.close_connection = True
            return
        self.active, self.busy_since, self._unread = True, time.monotonic(), 0
        try:
            super().handle_one_request()
        finally:
            self.active, self.busy_since = False, None

    @property
    def _device(self) -> DeviceServer:
        return cast("DeviceServer", self.server)

    def _serve(self) -> None:
        try:
            reply = self._reply()
        except Fault as fault:
            reply = self._refusal(fault)
        except OSError:
            raise
        except Exception as error:
            logger.exception("a request failed")
            text = f"device: the server must answer, got {type(error).__name__}. Tell who keeps it."
            reply = self._refusal(Fault("server_error", text))
        self._send(reply)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = _serve

    def _reply(self) -> Reply:
        self._unread = self._announced()
        user = self._user()
        version, path = self._path()
        if version != PROTOCOL:
            text = f"device: the version must be v{PROTOCOL}, got v{version}. Use /v{PROTOCOL}."
            raise Fault("unknown_version", text)
        first, _, rest = path[1:].partition("/")
        match self.command, first, rest:
            case "GET", "identity", "":
                return _json(200, self._device.desk.identity())
            case "GET", "status", "":
                return _json(200, self._device.status())
            case "PUT", "configurations", digest if _DIGEST.fullmatch(digest):
                new = self._device.desk.configure(digest, self._body())
                return _json(201 if new else 200, {"configuration": digest})
            case "POST", "runs", "":
                run = self._device.desk.submit(user, self._run_id(), self._body())
                return self._outcome(run)
            case "GET", "runs", name if _RUN_ID.fullmatch(name):
                return self._outcome(self._device.desk.turns.find(user, name))
            case _:
                raise self._unknown(first)

    def _unknown(self, first: str) -> Fault:
        methods = {"identity": "GET", "status": "GET", "configurations": "PUT", "runs": "POST, GET"}
        if first in methods and self.command not in methods[first]:
            text = f"device: the method must be {methods[first]}, got {self.command}. Use that."
            return Fault("wrong_method", text)
        text = "device: the path must be one of the protocol, got another. See its documentation."
        return Fault("unknown_path", text)

    def _user(self) -> str:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        user = self._device.tokens.user(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            text = "device: the token must be that of this server, got none or another one."
            raise Fault("wrong_token", f"{text} Ask who keeps the server.")
        return user if user != SHARED else user_word(self.headers.get(USER, ""))

    def _path(self) -> tuple[int, str]:
        found = _VERSION.fullmatch(self.path.partition("?")[0])
        if found is None or len(found[1]) > 9:
            text = f"device: the path must begin with /v{PROTOCOL}/, got another. Correct it."
            raise Fault("unknown_path", text)
        return int(found[1]), found[2]

    def _announced(self) -> int:
        """Length of the body, by the headers."""
        if "Transfer-Encoding" in self.headers:
            self._unread = 1
            text = "device: the body must come with its Content-Length, got Transfer-Encoding."
            raise Fault("length_required", f"{text} Send it in one piece.")
        lengths = self.headers.get_all("Content-Length", ["0"])
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,15}", lengths[0].strip()):
            self._unread = 1
            text = "device: Content-Length must be one whole number, got another. Correct it."
            raise Fault("bad_request", text)
        return int(lengths[0])

    def _body(self) -> bytearray:
        """The body, whole; refused by its length before it is read."""
        length, most = self._unread, self._device.limits.body
        if length > most:
            text = f"device: a body must be at most {most} bytes long, got {length}. Send less."
            raise Fault("body_too_large", text)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        body = bytearray(length)
        view, done = memoryview(body), 0
        while done < length:
            count = self.rfile.readinto(view[done:])  # pyright: ignore[reportAttributeAccessIssue]
            if not count:
                raise ConnectionAbortedError(f"body ended after {done} of {length} bytes")
            done += count
        self._unread = 0
        return body

    def handle_expect_100(self) -> bool:
        """Said only once token and length are right."""
        return True

    def _run_id(self) -> str:
        name = self.headers.get(RUN_ID, "")
        if not _RUN_ID.fullmatch(name):
            text = f"device: header {RUN_ID} must be 16 to 64 letters, digits or -, got another."
            raise Fault("bad_request", f"{text} Choose a random one for each run.")
        return name

    def _outcome(self, run: Run) -> Reply:
        """Its answer, or where it stands, after as long as the client wants to wait."""
        found = _WAIT.search(self.headers.get(WAIT, ""))
        seconds = min(float(found[1]), self._device.limits.wait) if found else 0.0
        self.busy_since = None  # what it waits for is not its fault
        answer = self._device.desk.turns.wait(run, seconds)
        self.busy_since = time.monotonic()
        if isinstance(answer, Fault):
            raise answer
        if answer is not None:
            return Reply(200, answer, ARRAYS)
        state = {"state": run.state, "ahead": self._device.desk.turns.ahead(run)}
        return _json(202, state, {"Location": f"{ROOT}/runs/{run.name}"})

    def _refusal(self, fault: Fault) -> Reply:
        headers = {}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        if fault.name == "wrong_token":
            headers["WWW-Authenticate"] = "Bearer"
        return Reply(fault.status, fault.body(), JSON, headers)

    def _send(self, reply: Reply) -> None:
        if self._unread or self._device.stopping:
            self.close_connection = True
        self.request_version = self.protocol_version  # headers in any case, whatever was asked with
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header(CHIP, self._device.desk.chip_digest)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body if self.command != "HEAD" else b"")
        if self._unread:
            self._linger()

    def _linger(self) -> None:
        """Take a little of an unwanted body: closing at once would destroy the answer to it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER)
            end = time.monotonic() + _LINGER
            while time.monotonic() < end and self.connection.recv(1 << 16):
                pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request line or headers."""
        self.close_connection = True
        self.command = getattr(self, "command", None) or "GET"
        word = message or HTTPStatus(code).phrase
        text = f"device: the request must be HTTP/1.1, got {word[:200]}. Correct it."
        self._send(self._refusal(Fault("bad_request", text, status=code)))

    def log_message(self, format: str, *args: Any) -> None:
        """Runs are logged, requests are not."""


def _json(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(value).encode(), JSON, headers or {})
