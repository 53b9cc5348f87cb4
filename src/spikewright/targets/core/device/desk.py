"""What a server does for its users, however the requests reach it."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spikewright.errors import DeviceError, ParameterError, SpikewrightError
from spikewright.targets.core.device import changes
from spikewright.targets.core.device.changes import Snapshot
from spikewright.targets.core.device.codec import Codec, Device
from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.message import Message, pack, unpack
from spikewright.targets.core.device.turns import Done, QueueLimits, Run, Turns
from spikewright.targets.core.device.words import PROTOCOL

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Args:
        body: bytes of a request.
        connections: open at a time.
        seconds: for a request to arrive and for its answer to be taken; a connection on which
            either takes longer is closed.
        idle: s after which a connection without a request is closed.
        wait: s that a request may ask to wait for a run.
        configurations: kept at a time; the one used longest ago goes first.
        queue: see `QueueLimits`.
    """

    body: int = 64 << 20
    connections: int = 64
    seconds: float = 30.0
    idle: float = 120.0
    wait: float = 10.0
    configurations: int = 64
    queue: QueueLimits = field(default_factory=QueueLimits)


@dataclass(frozen=True, eq=False)
class _Known:
    """A configuration as it was sent and as the chip takes it."""

    sent: Snapshot
    thing: Any


class Desk:
    """A chip, the configurations it was sent, and its queue.

    Args:
        chip: what runs.
        codec: of its target.
        limits: see `Limits`.
        done: called after each run.
    """

    def __init__(self, chip: Device, codec: Codec, limits: Limits, done: Done) -> None:
        self._chip, self._codec, self._limits = chip, codec, limits
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._facts = _plain(chip.identity())
        self.chip_digest = chip_digest(self._facts)
        self.turns = Turns(limits.queue, done)

    def identity(self) -> dict[str, Any]:
        """Protocol, target, the chip's own facts, and the limits a client should keep to."""
        limits = {"body_bytes": self._limits.body, "wait_seconds": self._limits.wait}
        return {
            "protocol": PROTOCOL,
            "target": self._codec.target,
            "chip": self._facts,
            "chip_digest": self.chip_digest,
            "limits": limits,
        }

    def status(self) -> dict[str, Any]:
        """What the queue looks like."""
        return {
            "protocol": PROTOCOL,
            "target": self._codec.target,
            "configurations": len(self._known),
            **self.turns.status(),
        }

    def configure(self, digest: str, body: bytearray) -> bool:
        """Take over a configuration, whole or by what changed; whether it was unknown before.

        Raises:
            Fault: the body is wrong, is not what the digest says, or is based on a configuration
                that is not kept.
        """
        message = unpack(body)
        based_on = message.values.get("based_on")
        fields = {"values"} if based_on is None else {"values", "based_on"}
        _require_fields(message, fields)
        base = None if based_on is None else self._find(based_on, "unknown_base").sent
        full = Message(message.arrays, message.values["values"])
        if base is not None:
            full = changes.apply(base.message, message)
        thing = self._codec.configuration.read(full)
        sent = changes.snapshot(full, base)
        if sent.digest != digest:
            text = f"device: the configuration must have the digest of its path, got {sent.digest}."
            raise Fault("wrong_digest", f"{text} Send it whole.")
        with self._lock:
            new = digest not in self._known
            self._known.setdefault(digest, _Known(sent, thing))
            self._known.move_to_end(digest)
            while len(self._known) > self._limits.configurations:
                self._known.popitem(last=False)
        return new

    def submit(self, user: str, name: str, body: bytearray) -> Run:
        """Queue a run, or find the one that was posted under this name before.

        Raises:
            Fault: the body is wrong, its configuration is not kept, or the queue is full.
        """
        message = unpack(body)
        _require_fields(message, {"values", "configuration"})
        stimulus = self._codec.stimulus.read(Message(message.arrays, message.values["values"]))
        known = self._find(message.values["configuration"], "unknown_configuration")
        work = partial(self._run, known.thing, stimulus)
        request = hashlib.sha256(body).hexdigest()
        return self.turns.submit(Run(user, name, request, work, self._codec.summary(stimulus)))

    def _run(self, configuration: Any, stimulus: Any) -> bytes:
        try:
            seen = self._chip.run(configuration, stimulus)
            return pack(self._codec.observations.write(seen))
        except DeviceError as error:
            raise Fault("chip_failed", str(error)) from error
        except SpikewrightError as error:
            raise Fault("refused_by_chip", str(error)) from error
        except Exception as error:
            logger.exception("the chip's own code failed")
            text = f"device: the chip must run, got {type(error).__name__}: {error}. "
            raise Fault("chip_failed", f"{text}Tell who keeps the server.") from error

    def _find(self, digest: Any, fault: str) -> _Known:
        with self._lock:
            known = self._known.get(digest) if isinstance(digest, str) else None
            if known is not None:
                self._known.move_to_end(digest)
                return known
        text = f"device: the configuration must be one that is kept, got {str(digest)[:64]!r}."
        raise Fault(fault, f"{text} Send it whole.")


def chip_digest(facts: dict[str, Any]) -> str:
    """A short name for the facts of a chip; another one is another chip.

    >>> chip_digest({"seed": 1}) == chip_digest({"seed": 2})
    False
    """
    return hashlib.sha256(json.dumps(facts, **changes.CANONICAL).encode()).hexdigest()[:16]


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(facts, allow_nan=False))
    except (TypeError, ValueError) as cause:
        raise ParameterError(
            f"device.serve: identity of the chip must be plain values, got {cause}. "
            "Return numbers, texts, lists and dictionaries."
        ) from cause


def _require_fields(message: Message, fields: set[str]) -> None:
    if set(message.values) != fields or not isinstance(message.values["values"], dict):
        words = ", ".join(sorted(fields))
        got = ", ".join(sorted(message.values))[:200] or "nothing"
        text = f"device: the metadata must be {words} (values: an object), got {got}. Send it so."
        raise Fault("bad_values", text)
