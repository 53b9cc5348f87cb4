"""A chip behind a wire is used as one that is here, and what goes wrong between is survived."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.errors import DeviceError, ParameterError
from spikewright.targets.brainscales2.remote import RemoteChip
from spikewright.targets.brainscales2.wire import CODEC
from spikewright.targets.core.device import link
from spikewright.targets.core.device.desk import Limits
from spikewright.targets.core.device.handler import Handler
from spikewright.targets.core.device.server import DeviceServer
from spikewright.targets.core.device.turns import QueueLimits
from targets.chips import FakeChip, assert_same, configuration, stimulus
from targets.served_fake import TOKEN

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chip() -> FakeChip:
    return FakeChip()


@pytest.fixture
def server(chip: FakeChip) -> Iterator[DeviceServer]:
    with DeviceServer(chip, CODEC, tokens=TOKEN) as server:
        yield server


@pytest.fixture
def remote(server: DeviceServer) -> Iterator[RemoteChip]:
    with RemoteChip(server.url, TOKEN) as remote:
        yield remote


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Method and path of each request that reaches a server, and bytes of its body."""
    seen: list[tuple[str, int]] = []
    read = Handler._body

    def counted(self: Handler) -> bytearray:
        body = read(self)
        seen.append((f"{self.command} {self.path[:18]}", len(body)))
        return body

    monkeypatch.setattr(Handler, "_body", counted)
    return seen


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def start_process(port: int, seconds: float, seed: int = 1) -> subprocess.Popen[str]:
    """A server in a process of its own, once it listens."""
    command = [sys.executable, "-m", "targets.served_fake", str(port), str(seconds), str(seed)]
    path = f"{ROOT / 'src'}:{ROOT / 'tests'}"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://")
    return process


@contextlib.contextmanager
def other_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something on a port that does with each connection what it likes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    sock, _ = listening.accept()
                    with sock:
                        answer(sock)

        listening.settimeout(0.05)
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        thread.join()


def test_runs_over_the_wire_equal_local_ones_bit_for_bit(remote: RemoteChip) -> None:
    local = FakeChip()
    assert remote.identity() == local.identity()
    for seed in range(6):
        c, s = configuration(seed % 3), stimulus(seed, events=50 * seed)
        assert_same(remote.run(c, s), local.run(c, s))


def test_the_chip_is_given_what_the_user_gave(remote: RemoteChip, chip: FakeChip) -> None:
    c, s = configuration(1), stimulus(2)
    remote.run(c, s)
    given, sent = chip.runs[0]
    assert np.array_equal(given.weights, c.weights)
    assert given.weights.flags.writeable
    assert given.switches["leak"].dtype == np.bool_
    assert np.array_equal(sent.time, s.time)
    assert (sent.seed, sent.samples, sent.seconds) == (s.seed, s.samples, s.seconds)


def test_only_what_changed_of_a_configuration_is_sent(
    remote: RemoteChip, chip: FakeChip, bodies: list[tuple[str, int]]
) -> None:
    c = configuration(1)
    remote.run(c, stimulus(1))
    remote.run(c, stimulus(2))
    c.weights[0, 3, :50] = (c.weights[0, 3, :50] + 1) % 64
    expected = FakeChip().run(c, stimulus(3))
    assert_same(remote.run(c, stimulus(3)), expected)
    runs = [size for request, size in bodies if request.startswith("POST")]
    sent = [size for request, size in bodies if request.startswith("PUT")]
    assert len(runs) == 3
    assert sent[0] > 131_072
    assert 250 <= sent[1] < 1000
    assert len(sent) == 2
    assert chip.runs[0][0] is chip.runs[1][0]
    assert chip.runs[1][0].codes["b"] is chip.runs[2][0].codes["b"]


def test_a_device_that_forgot_a_configuration_gets_it_again(chip: FakeChip) -> None:
    limits = Limits(configurations=1)
    with DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server:
        anna, ben = RemoteChip(server.url, TOKEN), RemoteChip(server.url, TOKEN)
        with anna, ben:
            for seed in range(3):
                for user, which in ((anna, 1), (ben, 2)):
                    c, s = configuration(which, fast_circuit=seed // 2), stimulus(seed)
                    assert_same(user.run(c, s), FakeChip().run(c, s))


def test_several_users_at_once_each_get_their_own(server: DeviceServer, chip: FakeChip) -> None:
    wrong: list[BaseException] = []

    def use(which: int) -> None:
        try:
            with RemoteChip(server.url, TOKEN) as remote:
                for seed in range(8):
                    c, s = configuration(which, fast_circuit=seed % 2), stimulus(100 * which + seed)
                    assert_same(remote.run(c, s), FakeChip().run(c, s))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(which,)) for which in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert len(chip.runs) == 40
    assert chip.most_at_work == 1


def test_a_busy_device_is_asked_again(chip: FakeChip) -> None:
    chip.seconds = 0.3
    limits = Limits(queue=QueueLimits(waiting=1))
    with DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server:
        seen: list[Any] = []

        def use(seed: int) -> None:
            with RemoteChip(server.url, TOKEN, timeout=0.5) as remote:
                seen.append(remote.run(configuration(), stimulus(seed)))

        threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(seen) == 4


def test_patience_ends_a_run_that_does_not_end(chip: FakeChip, server: DeviceServer) -> None:
    chip.seconds = 1.0
    with (
        RemoteChip(server.url, TOKEN, timeout=0.3, patience=0.4) as remote,
        pytest.raises(DeviceError, match=r"must end a run within 0.4 s, got no result"),
    ):
        remote.run(configuration(), stimulus())


def test_a_lost_answer_is_asked_for_without_running_again(
    remote: RemoteChip, chip: FakeChip, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.run(configuration(), stimulus(1))
    send, broken = Handler._send, []

    def lose(self: Handler, reply: Any) -> None:
        if self.command == "POST" and not broken:
            broken.append(reply.status)
            raise ConnectionResetError("cable cut")
        send(self, reply)

    monkeypatch.setattr(Handler, "_send", lose)
    assert_same(
        remote.run(configuration(), stimulus(2)), FakeChip().run(configuration(), stimulus(2))
    )
    assert broken == [200]
    assert len(chip.runs) == 2


def test_a_server_killed_in_mid_run_is_an_error_and_its_successor_is_used() -> None:
    port = free_port()
    process = start_process(port, 0.0)
    with RemoteChip(f"http://127.0.0.1:{port}", TOKEN, timeout=2.0, retries=3) as remote:
        c = configuration(1)
        expected = remote.run(c, stimulus(1))
        process.kill()
        process.communicate()
        process = start_process(port, 30.0)
        killer = threading.Timer(0.5, process.kill)
        killer.start()
        with pytest.raises(DeviceError) as caught:
            remote.run(c, stimulus(1))
        killer.join()
        process.communicate()
        said = str(caught.value)
        assert f"http://127.0.0.1:{port} must answer, got no answer for" in said
        assert "in 3 tries" in said
        assert "Nothing is lost: the same call works again" in said
        process = start_process(port, 0.0)
        try:
            assert_same(remote.run(c, stimulus(1)), expected)
        finally:
            process.kill()
            process.communicate()


def test_a_server_that_comes_back_in_time_is_not_an_error() -> None:
    port = free_port()
    process = start_process(port, 30.0)
    later: list[subprocess.Popen[str]] = []

    def restart() -> None:
        process.kill()
        process.communicate()
        later.append(start_process(port, 0.0))

    threading.Timer(0.3, restart).start()
    with RemoteChip(f"http://127.0.0.1:{port}", TOKEN, timeout=60, retries=50) as remote:
        seen = remote.run(configuration(), stimulus(1))
    assert_same(seen, FakeChip().run(configuration(), stimulus(1)))
    later[0].kill()
    later[0].communicate()


def test_another_chip_at_the_same_address_is_noticed() -> None:
    with DeviceServer(FakeChip(1), CODEC, tokens=TOKEN) as first:
        remote = RemoteChip(first.url, TOKEN)
        remote.run(configuration(), stimulus())
        address = first.server_address[:2]
    with DeviceServer(FakeChip(2), CODEC, address, TOKEN) as second:
        assert second.url == remote.url
        with pytest.raises(DeviceError, match="must be the chip it was"):
            remote.run(configuration(), stimulus())


def test_nobody_at_the_address_is_named() -> None:
    remote = RemoteChip(f"http://127.0.0.1:{free_port()}", TOKEN, retries=2)
    with pytest.raises(
        DeviceError, match=r"no answer for 0\.\d s in 2 tries \(Connection refused\)"
    ):
        remote.identity()


def test_a_device_that_is_silent_is_given_up_after_the_timeout() -> None:
    def listen(sock: socket.socket) -> None:
        sock.settimeout(3)
        while sock.recv(1 << 16):
            pass

    began = time.monotonic()
    with other_server(listen) as url:
        with pytest.raises(DeviceError, match=r"no answer for 0\.\d s in 1 try \(timed out\)"):
            RemoteChip(url, TOKEN, timeout=0.3).identity()
        assert time.monotonic() - began < 5


STRANGE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
    "a terabyte": b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n{}",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
    "a page not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "a list": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
    "another target": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n"
        b'{"protocol": 1, "target": "loihi"}'[:-1]
        + b"}"
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strangers_at_the_address_are_an_error_that_names_it(name: str) -> None:
    def answer(sock: socket.socket) -> None:
        sock.recv(1 << 16)
        sock.sendall(STRANGE[name])

    with other_server(answer) as url, pytest.raises(DeviceError, match=url):
        RemoteChip(url, TOKEN, timeout=1, retries=2).identity()


def test_the_token_goes_to_no_other_address() -> None:
    asked: list[str | None] = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, args=(0.01,)).start()
        target = f"http://127.0.0.1:{elsewhere.server_port}/v1/identity"

        def redirect(sock: socket.socket) -> None:
            sock.recv(1 << 16)
            head = f"HTTP/1.1 307 Elsewhere\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(head.encode())

        with (
            other_server(redirect) as url,
            pytest.raises(DeviceError, match="got 307, a redirect to 'http://127"),
        ):
            RemoteChip(url, TOKEN).identity()
        elsewhere.shutdown()
    assert asked == []


def test_a_wrong_token_is_an_error_at_once_that_does_not_show_it(server: DeviceServer) -> None:
    with (
        RemoteChip(server.url, "another-token-of-16") as remote,
        pytest.raises(DeviceError, match="the token must be that of this server") as caught,
    ):
        remote.run(configuration(), stimulus())
    assert "another-token" not in str(caught.value)
    assert server.url in str(caught.value)


def test_the_token_comes_from_the_environment_or_a_file(
    server: DeviceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    with RemoteChip(server.url, path) as remote:
        assert remote.status()["connections"] == 1
    monkeypatch.setenv("SPIKEWRIGHT_DEVICE_TOKEN", TOKEN)
    with RemoteChip(server.url) as remote:
        assert remote.identity()["chip"] == "fake"
    monkeypatch.delenv("SPIKEWRIGHT_DEVICE_TOKEN")
    with pytest.raises(ParameterError, match="set SPIKEWRIGHT_DEVICE_TOKEN"):
        RemoteChip(server.url)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8765", "ftp://a", "http://", "http://a:port", "http://u@h", "http://[::"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ParameterError, match="url must be like"):
        RemoteChip(url, TOKEN)


@pytest.mark.parametrize("option", [{"timeout": 0}, {"retries": 0}, {"patience": float("nan")}])
def test_times_that_are_none_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="must be positive and finite"):
        RemoteChip("http://127.0.0.1:1", TOKEN, **option)


@pytest.mark.parametrize("token", ["short", "with a space in it", "line\r\nX-Header: 1111111111"])
def test_a_token_that_could_be_none_is_refused(token: str) -> None:
    with pytest.raises(ParameterError, match="a token must be 16 to 512"):
        RemoteChip("http://127.0.0.1:1", token)


def test_a_stimulus_that_is_too_large_is_refused_here(chip: FakeChip) -> None:
    limits = Limits(body=400_000)
    with (
        DeviceServer(chip, CODEC, tokens=TOKEN, limits=limits) as server,
        RemoteChip(server.url, TOKEN) as remote,
        pytest.raises(DeviceError, match="at most 400000 bytes long"),
    ):
        remote.run(configuration(), stimulus(events=100_000))


def test_after_ctrl_c_in_a_run_the_next_one_gets_its_own_answer(
    remote: RemoteChip, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.run(configuration(), stimulus(1))

    def interrupted(*_: Any) -> bytearray:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(link, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remote.run(configuration(), stimulus(2))
    assert_same(
        remote.run(configuration(), stimulus(3)), FakeChip().run(configuration(), stimulus(3))
    )
