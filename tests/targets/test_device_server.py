"""A server lets several users share a chip, and refuses by name what it cannot take."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from spikewright.errors import DeviceError
from spikewright.targets.brainscales2.wire import CODEC, CONFIGURATION, STIMULUS
from spikewright.targets.core.device import changes
from spikewright.targets.core.device.desk import Limits
from spikewright.targets.core.device.message import Message, pack
from spikewright.targets.core.device.server import DeviceServer
from spikewright.targets.core.device.turns import QueueLimits
from targets.chips import FakeChip, configuration, stimulus

TOKEN = "token-of-the-tests"
RUN = "0123456789abcdef"
OPEN: list[Any] = []
"""Sockets of a test, closed at its end."""
KNOWN = changes.snapshot(CONFIGURATION.write(configuration()))


class Door:
    """One user's raw requests."""

    def __init__(self, server: DeviceServer, token: str = TOKEN, user: str = "anna") -> None:
        self.server, self.headers = server, {
            "Authorization": f"Bearer {token}", "Spikewright-User": user,
        }  # fmt: skip
        self.connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
        OPEN.append(self.connection)

    def __call__(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        extra = {name.replace("_", "-"): text for name, text in headers.items()}
        self.connection.request(method, path, body, {**self.headers, **extra})
        answer = self.connection.getresponse()
        content = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(content) if is_json else content, dict(answer.headers)

    def configure(self) -> None:
        status, *_ = self("PUT", f"/v1/configurations/{KNOWN.digest}", pack(changes.whole(KNOWN)))
        assert status in {200, 201}

    def post(
        self, seed: int = 1, run: str = RUN, wait: float = 5
    ) -> tuple[int, Any, dict[str, str]]:
        body = run_body(seed)
        return self("POST", "/v1/runs", body, Idempotency_Key=run, Prefer=f"wait={wait}")


def run_body(seed: int, digest: str = KNOWN.digest) -> bytes:
    asked = STIMULUS.write(stimulus(seed))
    return pack(Message(asked.arrays, {"configuration": digest, "values": asked.values}))


def name_of(answer: tuple[int, Any, dict[str, str]]) -> tuple[int, str]:
    status, body, headers = answer
    assert headers["Content-Type"] == "application/json"
    assert body["error"]["message"].startswith("device: ") or status in {422, 502}
    return status, body["error"]["name"]


def until_running(door: Door) -> str:
    """Whose run it is that runs, once one does."""
    while (running := door("GET", "/v1/status")[1]["running"]) is None:
        pass
    return running["user"]


def raw(server: DeviceServer, sent: bytes, seconds: float = 5.0) -> bytes:
    """Everything that comes back for these bytes until the server closes."""
    with socket.create_connection(server.server_address[:2], timeout=seconds) as sock:
        sock.sendall(sent)
        found = b""
        while chunk := sock.recv(1 << 16):
            found += chunk
        return found


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def chip() -> FakeChip:
    return FakeChip()


@pytest.fixture
def server(chip: FakeChip) -> Iterator[DeviceServer]:
    limits = Limits(body=1 << 20, seconds=0.5, connections=8)
    with DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server:
        yield server


@pytest.fixture
def door(server: DeviceServer) -> Door:
    return Door(server)


def test_identity_says_protocol_target_chip_and_limits(server: DeviceServer, door: Door) -> None:
    status, facts, headers = door("GET", "/v1/identity")
    assert status == 200
    assert facts["chip"] == FakeChip().identity()
    assert (facts["protocol"], facts["target"]) == (1, "brainscales2")
    assert facts["limits"]["body_bytes"] == 1 << 20
    assert headers["Spikewright-Chip"] == facts["chip_digest"]


@pytest.mark.parametrize("path", ["/v1/identity", "/v1/status", "/v9/identity", "/x"])
def test_nothing_is_said_without_the_token(server: DeviceServer, path: str) -> None:
    for token in ("", "another-token-16", "tök-en"):
        headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")} if token else {}
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=5)
        OPEN.append(connection)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 401
        assert answer.getheader("WWW-Authenticate") == "Bearer"
        assert json.loads(answer.read())["error"]["name"] == "wrong_token"


REFUSED = {
    "version": (("GET", "/v2/identity"), (404, "unknown_version")),
    "no version": (("GET", "/identity"), (404, "unknown_path")),
    "path": (("GET", "/v1/secrets"), (404, "unknown_path")),
    "way up": (("GET", "/v1/../../etc/passwd"), (404, "unknown_path")),
    "method": (("DELETE", "/v1/runs"), (405, "wrong_method")),
    "digest": (("PUT", "/v1/configurations/abc"), (404, "unknown_path")),
    "run": (("GET", "/v1/runs/0123456789abcdef"), (404, "unknown_run")),
    "no body": (("PUT", f"/v1/configurations/{KNOWN.digest}"), (400, "bad_body")),
    "no run id": (("POST", "/v1/runs", run_body(1)), (400, "bad_request")),
    "too large": (("POST", "/v1/runs", bytes((1 << 20) + 1)), (400, "bad_request")),
    "other digest": (
        ("PUT", f"/v1/configurations/{'0' * 64}", pack(changes.whole(KNOWN))),
        (400, "wrong_digest"),
    ),
    "no values": (
        ("PUT", f"/v1/configurations/{'0' * 64}", pack(KNOWN.message)),
        (400, "bad_values"),
    ),
    "unknown base": (
        (
            "PUT",
            f"/v1/configurations/{'0' * 64}",
            pack(Message({}, {"based_on": "1" * 64, "values": {}})),
        ),
        (409, "unknown_base"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_is_refused_by_name(name: str, door: Door) -> None:
    request, expected = REFUSED[name]
    assert name_of(door(*request)) == expected
    assert door("GET", "/v1/identity")[0] == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: DeviceServer) -> None:
    head = (
        f"PUT /v1/configurations/{KNOWN.digest} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 99999999999\r\n\r\n"
    )
    answer = raw(server, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer


def test_a_client_that_asks_first_is_told_to_go_on_or_not(server: DeviceServer) -> None:
    for length, first in ((10, b"HTTP/1.1 100 Continue\r\n\r\n"), (1 << 30, b"HTTP/1.1 413 ")):
        head = (
            f"PUT /v1/configurations/{KNOWN.digest} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
        with socket.create_connection(server.server_address[:2], timeout=5) as sock:
            sock.sendall(head.encode())
            assert sock.recv(1 << 16).startswith(first)


MALFORMED = {
    "chunks": (b"Transfer-Encoding: chunked\r\n", b"411 "),
    "two lengths": (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"400 "),
    "a negative length": (b"Content-Length: -1\r\n", b"400 "),
    "a length of words": (b"Content-Length: ten\r\n", b"400 "),
    "too many headers": (b"".join(b"X%d: 1\r\n" % n for n in range(200)), b"431 "),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_headers_are_refused_by_name(name: str, server: DeviceServer) -> None:
    headers, status = MALFORMED[name]
    start = f"POST /v1/runs HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    answer = raw(server, start + headers + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b'{"error": {"name": "' in answer


def test_a_run_gives_arrays_and_its_repetition_the_same_without_running_again(
    chip: FakeChip, door: Door
) -> None:
    door.configure()
    first, again = door.post(), door.post()
    assert (first[0], again[0]) == (200, 200)
    assert first[1] == again[1] == door("GET", f"/v1/runs/{RUN}")[1]
    assert first[2]["Content-Type"] == "application/vnd.safetensors"
    assert len(chip.runs) == 1


def test_a_run_id_stands_for_one_request_of_one_user(
    server: DeviceServer, door: Door, chip: FakeChip
) -> None:
    door.configure()
    assert door.post(seed=1)[0] == 200
    assert name_of(door.post(seed=2)) == (422, "run_id_reused")
    ben = Door(server, user="ben")
    assert name_of(ben("GET", f"/v1/runs/{RUN}")) == (404, "unknown_run")
    assert ben.post(seed=2)[0] == 200
    assert len(chip.runs) == 2


def test_a_run_of_a_configuration_that_is_not_kept_asks_for_it(door: Door) -> None:
    assert name_of(door.post()) == (409, "unknown_configuration")


def test_what_the_chip_refuses_or_breaks_on_ends_that_run_alone(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.configure()
    refused = door.post(seed=666, run="a" * 16)
    assert name_of(refused) == (422, "refused_by_chip")
    assert refused[1]["error"]["message"].startswith("fake: seed must not be 666")
    broken = door.post(seed=13, run="b" * 16)
    assert name_of(broken) == (502, "chip_failed")
    assert "ZeroDivisionError: dead circuit" in broken[1]["error"]["message"]
    assert "dead circuit" in caplog.text
    assert door.post(seed=1, run="c" * 16)[0] == 200


def test_a_run_that_takes_long_is_asked_for_until_it_is_there(door: Door, chip: FakeChip) -> None:
    door.configure()
    chip.gate.clear()
    status, _, headers = door.post(wait=0.01)
    assert status == 202
    assert headers["Location"] == f"/v1/runs/{RUN}"
    until_running(door)
    assert door("GET", headers["Location"])[1] == {"state": "running", "ahead": 0}
    chip.gate.set()
    assert door("GET", headers["Location"], Prefer="wait=5")[0] == 200


def test_one_experiment_runs_at_a_time_and_status_says_whose(
    server: DeviceServer, chip: FakeChip
) -> None:
    doors = [Door(server, user=f"user{n}") for n in range(4)]
    doors[0].configure()
    chip.gate.clear()
    for n, door in enumerate(doors):
        assert door.post(seed=n + 1, wait=0)[0] == 202
        until_running(door)
    status = doors[0]("GET", "/v1/status")[1]
    assert status["running"]["user"] == "user0"
    assert [run["user"] for run in status["waiting"]] == ["user1", "user2", "user3"]
    assert RUN not in json.dumps(status)
    assert doors[3]("GET", f"/v1/runs/{RUN}")[1] == {"state": "waiting", "ahead": 3}
    chip.gate.set()
    assert [door.post(seed=n + 1)[0] for n, door in enumerate(doors)] == [200] * 4
    assert chip.most_at_work == 1
    assert doors[0]("GET", "/v1/status")[1]["runs"]["done"] == 4


def test_users_take_turns_however_many_runs_one_of_them_sends(
    server: DeviceServer, chip: FakeChip
) -> None:
    anna, ben = Door(server), Door(server, user="ben")
    anna.configure()
    chip.gate.clear()
    for n in range(4):
        assert anna.post(seed=n, run=f"{n:016}", wait=0)[0] == 202
        until_running(anna)
    ben.post(seed=77, wait=0)
    chip.gate.set()
    assert ben.post(seed=77)[0] == 200
    assert anna.post(seed=3, run=f"{3:016}")[0] == 200
    assert [s.seed for _, s in chip.runs] == [0, 1, 77, 2, 3]


def test_tokens_of_users_say_who_they_are(chip: FakeChip) -> None:
    tokens = {"anna": "token-of-anna-16", "ben": "token-of-ben-016"}
    with DeviceServer(chip, CODEC, tokens=tokens) as server:
        anna = Door(server, tokens["anna"], user="mallory")
        anna.configure()
        chip.gate.clear()
        anna.post(wait=0)
        assert until_running(Door(server, tokens["ben"])) == "anna"
        chip.gate.set()


def test_a_full_queue_says_when_to_try_again(chip: FakeChip) -> None:
    limits = Limits(queue=QueueLimits(waiting=3, waiting_of_one=2))
    with DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server:
        anna, ben = Door(server), Door(server, user="ben")
        anna.configure()
        chip.gate.clear()
        anna.post(run="x" * 16, wait=0)
        until_running(anna)
        assert [anna.post(run=f"{n:016}", wait=0)[0] for n in range(2)] == [202, 202]
        full = anna.post(run="y" * 16, wait=0)
        assert name_of(full) == (429, "too_many_runs")
        assert int(full[2]["Retry-After"]) >= 1
        assert ben.post(run="x" * 16, wait=0)[0] == 202
        assert name_of(ben.post(run="y" * 16, wait=0)) == (503, "queue_full")
        chip.gate.set()


def test_a_run_that_nobody_asks_for_any_more_is_dropped(chip: FakeChip) -> None:
    limits = Limits(queue=QueueLimits(unasked=0.05))
    with DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server:
        door = Door(server)
        door.configure()
        chip.gate.clear()
        door.post(seed=1, run="a" * 16, wait=0)
        until_running(door)
        door.post(seed=2, run="b" * 16, wait=0)
        threading.Timer(0.2, chip.gate.set).start()
        assert door.post(seed=3, run="c" * 16, wait=9)[0] == 200
        assert name_of(door("GET", f"/v1/runs/{'b' * 16}")) == (404, "unknown_run")
        assert [s.seed for _, s in chip.runs] == [1, 3]


def test_old_answers_and_configurations_are_forgotten(chip: FakeChip) -> None:
    limits = Limits(configurations=1, queue=QueueLimits(kept_bytes=1))
    with DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server:
        door = Door(server)
        door.configure()
        assert [door.post(run=name * 16)[0] for name in "ab"] == [200, 200]
        assert name_of(door("GET", f"/v1/runs/{'a' * 16}")) == (404, "unknown_run")
        assert door("GET", f"/v1/runs/{'b' * 16}")[0] == 200
        other = changes.snapshot(CONFIGURATION.write(configuration(5)))
        path = f"/v1/configurations/{other.digest}"
        assert door("PUT", path, pack(changes.whole(other)))[0] == 201
        assert name_of(door.post(run="c" * 16)) == (409, "unknown_configuration")


def test_clients_that_are_slow_or_gone_hold_up_nobody(server: DeviceServer, door: Door) -> None:
    address = server.server_address[:2]
    start = f"PUT /v1/configurations/{KNOWN.digest} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    half = [
        socket.create_connection(address, timeout=5),
        socket.create_connection(address, timeout=5),
    ]
    half[0].sendall(start.encode())
    half[1].sendall(f"{start}Content-Length: 100\r\n\r\nabc".encode())
    gone = socket.create_connection(address)
    gone.sendall(f"{start}Content-Length: 100\r\n\r\nabc".encode())
    gone.close()
    assert door("GET", "/v1/identity")[0] == 200
    for sock in half:  # a byte now and then does not help them: the whole request has 0.5 s
        end = time.monotonic() + 5
        with sock:
            while time.monotonic() < end:
                try:
                    sock.sendall(b"a")
                    sock.settimeout(0.1)
                    if sock.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            else:
                pytest.fail("a slow client was never sent away")
    assert door("GET", "/v1/identity")[0] == 200


def test_a_connection_too_many_is_told_so(server: DeviceServer) -> None:
    address = server.server_address[:2]
    held = [socket.create_connection(address) for _ in range(8)]
    answer = raw(server, b"")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too_many_connections" in answer
    for sock in held:
        sock.close()
    end = time.monotonic() + 5
    while raw(server, b"\r\n\r\n").startswith(b"HTTP/1.1 503 "):
        assert time.monotonic() < end


def test_stopping_finishes_the_run_at_work_and_refuses_the_others(chip: FakeChip) -> None:
    server = DeviceServer(chip, CODEC, tokens=TOKEN).start()
    anna, ben, carl = (Door(server, user=name) for name in ("anna", "ben", "carl"))
    anna.configure()
    chip.gate.clear()
    answers: dict[str, Any] = {}

    def post(name: str, door: Door) -> None:
        answers[name] = door.post()

    threads = [threading.Thread(target=post, args=pair) for pair in (("anna", anna), ("ben", ben))]
    for thread in threads:
        thread.start()
        until_running(carl)
    while not carl("GET", "/v1/status")[1]["waiting"]:
        pass
    threading.Timer(0.1, chip.gate.set).start()
    assert server.stop()
    for thread in threads:
        thread.join(5)
    assert answers["anna"][0] == 200
    assert name_of(answers["ben"]) == (503, "stopping")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(server.server_address[:2])


def test_a_port_in_use_is_named(server: DeviceServer, chip: FakeChip) -> None:
    port = server.server_address[1]
    with pytest.raises(DeviceError, match=rf"127.0.0.1:{port} must be a free address.*in use"):
        DeviceServer(chip, CODEC, ("127.0.0.1", port))
