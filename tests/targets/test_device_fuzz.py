"""Whatever is thrown at a server, it answers by name, stays up, and serves the next user."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Iterator

import pytest

from spikewright.targets.brainscales2.remote import RemoteChip
from spikewright.targets.brainscales2.wire import CODEC, CONFIGURATION, STIMULUS
from spikewright.targets.core.device import changes
from spikewright.targets.core.device.desk import Limits
from spikewright.targets.core.device.fault import STATUS
from spikewright.targets.core.device.message import Message, pack
from spikewright.targets.core.device.server import DeviceServer
from targets.chips import FakeChip, assert_same, configuration, stimulus

TOKEN = "token-of-the-tests"
KNOWN = changes.snapshot(CONFIGURATION.write(configuration()))
CONFIGURE = pack(changes.whole(KNOWN))
_CHANGED = changes.snapshot(
    CONFIGURATION.write(configuration(weights=KNOWN.message.arrays["weights"] // 2))
)
_DIFFERENCE = changes.difference(KNOWN, _CHANGED)
assert _DIFFERENCE is not None
CHANGE = pack(_DIFFERENCE)
_ASKED = STIMULUS.write(stimulus(1))
RUN = pack(Message(_ASKED.arrays, {"configuration": KNOWN.digest, "values": _ASKED.values}))
ROUNDS = 150


@pytest.fixture(scope="module")
def server() -> Iterator[DeviceServer]:
    limits = Limits(seconds=2.0, body=1 << 20)
    with DeviceServer(FakeChip(), CODEC, tokens=TOKEN, limits=limits) as server:
        yield server


def request(method: str, path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Authorization: Bearer {TOKEN}", *headers]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def exchange(server: DeviceServer, sent: bytes) -> bytes:
    """All that is answered to these bytes; no more of them follow."""
    with socket.create_connection(server.server_address[:2], timeout=10) as sock:
        found = b""
        try:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(1 << 16):
                found += chunk
        except ConnectionError:
            pass  # it was sent away while it still talked
        return found


def faults_in(answer: bytes) -> Iterator[str]:
    """Names of the faults, where each answer of 400 and above must have one."""
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), answer[:200]
        status = int(head[9:12])
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        body, answer = (
            rest[: int(fields[b"Content-Length"])],
            rest[int(fields[b"Content-Length"]) :],
        )
        if status >= 400:
            name = json.loads(body)["error"]["name"]
            assert name in STATUS
            assert name != "server_error"
            yield name


def mutated(draw: random.Random, data: bytes) -> bytes:
    """The data with bytes changed, cut, doubled or put in; most changes are near the beginning."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        reach = draw.choice((12, 200, 2500, len(changed)))
        at = draw.randrange(max(1, min(reach, len(changed))))
        match draw.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del changed[at : at + draw.randint(1, 40)]
            case 2:
                changed[at:at] = draw.randbytes(draw.randint(1, 40))
            case 3:
                changed[at:at] = changed[at : at + draw.randint(1, 40)]
            case _:
                changed[at : at + 1] = draw.choice((b"9", b"-", b'"', b"}", b"[", b"\xff"))
    return bytes(changed)


def random_bytes(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randint(1, 400)) + draw.choice((b"", b"\r\n\r\n"))


def mutated_requests(draw: random.Random) -> bytes:
    good = request("POST", "/v1/runs", RUN[:300], f"Idempotency-Key: {draw.getrandbits(64):016x}")
    return mutated(draw, good)


def mutated_configurations(draw: random.Random) -> bytes:
    path = f"/v1/configurations/{KNOWN.digest}"
    return request("PUT", path, mutated(draw, CONFIGURE))


def mutated_changes(draw: random.Random) -> bytes:
    path = f"/v1/configurations/{_CHANGED.digest}"
    return request("PUT", path, mutated(draw, CHANGE))


def mutated_runs(draw: random.Random) -> bytes:
    key = f"Idempotency-Key: {draw.getrandbits(64):016x}"
    return request("POST", "/v1/runs", mutated(draw, RUN), key, "Prefer: wait=5")


@pytest.mark.parametrize(
    "make", [random_bytes, mutated_requests, mutated_configurations, mutated_changes, mutated_runs]
)
def test_a_server_survives(make: Callable[[random.Random], bytes], server: DeviceServer) -> None:
    assert b" 20" in exchange(
        server, request("PUT", f"/v1/configurations/{KNOWN.digest}", CONFIGURE)
    )
    draw, seen = random.Random(5), set[str]()
    for _ in range(ROUNDS):
        seen |= set(faults_in(exchange(server, make(draw))))
    assert seen & {"bad_request", "bad_body", "bad_arrays", "bad_values", "wrong_digest"}
    with RemoteChip(server.url, TOKEN) as remote:
        expected = FakeChip().run(configuration(2), stimulus(3))
        assert_same(remote.run(configuration(2), stimulus(3)), expected)
