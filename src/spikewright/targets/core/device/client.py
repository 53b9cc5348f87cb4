"""A chip behind a wire, used as one that is here."""

from __future__ import annotations

import getpass
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Self

from spikewright.errors import DeviceError
from spikewright.targets.core.device import changes
from spikewright.targets.core.device.changes import Snapshot
from spikewright.targets.core.device.codec import Codec
from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.link import Link, Persistence, Received, Request
from spikewright.targets.core.device.message import Message, pack, unpack
from spikewright.targets.core.device.tokens import given_token, user_word
from spikewright.targets.core.device.words import ARRAYS, PROTOCOL, ROOT, RUN_ID, WAIT


class RemoteDevice:
    """A device that speaks the protocol; one user of it, from one thread at a time.

    It answers what the chip itself would, bit for bit. Configurations are sent by what changed.
    A run carries a random id, so that a repeated request is not a repeated run.

    Args:
        codec: of the target.
        url: such as ``http://127.0.0.1:8765``.
        token: as the server printed it; a `Path` is a file that holds it; by default
            ``$SPIKEWRIGHT_DEVICE_TOKEN``.
        persistence: see `Persistence`.

    Raises:
        ParameterError: no or an impossible token or address. Nothing is sent before the first use.
    """

    def __init__(
        self,
        codec: Codec,
        url: str,
        token: str | Path | None = None,
        persistence: Persistence | None = None,
    ) -> None:
        self._codec = codec
        self._link = Link(url, given_token(token), _user(), persistence or Persistence())
        self._lock = threading.Lock()
        self._facts: dict[str, Any] | None = None
        self._sent: Snapshot | None = None

    @property
    def url(self) -> str:
        """Where the device is."""
        return self._link.url

    def identity(self) -> dict[str, Any]:
        """What the chip says of itself."""
        with self._lock:
            return dict(self._greeted(self._until())["chip"])

    def status(self) -> dict[str, Any]:
        """Who runs and who waits."""
        with self._lock:
            return self._link.get("status", self._until())

    def run(self, configuration: Any, stimulus: Any) -> Any:
        """Send what changed of the configuration, run all samples, return the observations.

        Raises:
            DeviceError: the device does not answer in time, refuses, or is another one than
                before. This object can be used again all the same.
        """
        with self._lock:
            until = self._until()
            most = self._greeted(until)["limits"]["body_bytes"]
            wanted = changes.snapshot(
                self._codec.configuration.write(configuration), self._sent, copy=True
            )
            self._send(wanted, until)
            asked = self._codec.stimulus.write(stimulus)
            values = {"configuration": wanted.digest, "values": asked.values}
            body = pack(Message(asked.arrays, values))
            if len(body) > most:
                raise DeviceError(
                    f"device at {self.url}: a stimulus must be at most {most} bytes long, "
                    f"got {len(body)}. Use a smaller batch."
                )
            return self._observations(self._outcome(body, wanted, until))

    def close(self) -> None:
        """End the connection; the next use makes a new one."""
        with self._lock:
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _until(self) -> float:
        return time.monotonic() + self._link.persistence.patience

    def _greeted(self, until: float) -> dict[str, Any]:
        """What the device said of itself when it was first asked."""
        if self._facts is None:
            facts = self._link.get("identity", until)
            self._require_kin(facts)
            self._facts = facts
        return self._facts

    def _require_kin(self, facts: dict[str, Any]) -> None:
        target, limits = facts.get("target"), facts.get("limits")
        if target != self._codec.target or facts.get("protocol") != PROTOCOL:
            raise DeviceError(
                f"device: {self.url} must be a {self._codec.target} device of protocol {PROTOCOL}, "
                f"got {target!r} of protocol {facts.get('protocol')!r}. Use another address."
            )
        room = limits.get("body_bytes") if isinstance(limits, dict) else None
        if not isinstance(room, int) or not isinstance(facts.get("chip"), dict):
            raise self._link.stranger("an identity without chip or limits")

    def _send(self, wanted: Snapshot, until: float) -> None:
        """Make sure that the device has the configuration, as far as this side knows."""
        before = self._sent
        if before is not None and before.digest == wanted.digest:
            return
        body = None if before is None else changes.difference(before, wanted)
        try:
            self._put(body or changes.whole(wanted), wanted, until)
        except Fault as fault:
            if fault.name != "unknown_base":
                raise
            self._put(changes.whole(wanted), wanted, until)

    def _put(self, message: Message, wanted: Snapshot, until: float) -> None:
        path = f"{ROOT}/configurations/{wanted.digest}"
        self._ask(Request("PUT", path, pack(message)), until)
        self._sent = wanted

    def _outcome(self, body: bytes, wanted: Snapshot, until: float) -> Received:
        """Post the run and ask until it is done, through whatever the device forgot meanwhile."""
        name = uuid.uuid4().hex
        patient = {WAIT: f"wait={min(10.0, self._link.persistence.timeout / 3):.3f}"}
        post = Request("POST", f"{ROOT}/runs", body, {**patient, RUN_ID: name})
        look = Request("GET", f"{ROOT}/runs/{name}", headers=patient)
        request = post
        while time.monotonic() < until:
            try:
                answer = self._ask(request, until)
            except Fault as fault:
                if fault.name == "unknown_configuration":
                    self._put(changes.whole(wanted), wanted, until)
                elif fault.name != "unknown_run":
                    raise
                request = post
                continue
            if answer.status == 200:
                return answer
            request = look
        raise DeviceError(
            f"device: {self.url} must end a run within {self._link.persistence.patience:g} s, "
            "got no result. Look at its queue with `spikewright device status`, or allow more "
            "patience."
        )

    def _ask(self, request: Request, until: float) -> Received:
        answer = self._link.ask(request, until)
        known = self._facts.get("chip_digest") if self._facts else answer.chip
        if answer.chip != known:
            raise DeviceError(
                f"device: {self.url} must be the chip it was, {known!r}, got {answer.chip!r}: the "
                "server was started with another one. Connect and calibrate anew."
            )
        return answer

    def _observations(self, answer: Received) -> Any:
        try:
            if answer.kind != ARRAYS:
                raise self._link.stranger(f"a result of type {answer.kind!r}")
            return self._codec.observations.read(unpack(answer.body))
        except Fault as fault:
            raise self._link.stranger(str(fault)) from fault


def look(
    url: str, token: str | Path | None = None, persistence: Persistence | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Identity and status of a device of any target.

    Raises:
        DeviceError: it does not answer, or refuses.
    """
    link = Link(url, given_token(token), _user(), persistence or Persistence())
    until = time.monotonic() + link.persistence.patience
    try:
        return link.get("identity", until), link.get("status", until)
    finally:
        link.close()


def _user() -> str:
    try:
        name = f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "anonymous"
    return user_word(name)
