"""Made-up data files, and a local server that can break off in mid-file."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from sounds import write_digits


def pack_idx(array: np.ndarray) -> bytes:
    """The idx format written by hand from its description, as a check on the reader."""
    head = bytes([0, 0, 8, array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + sizes + array.tobytes()


@dataclass
class MadeUpImages:
    """Folder with MNIST's four files, filled with random pixels, and the arrays in them."""

    folder: Path
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    def file(self, name: str) -> Path:
        return self.folder / "mnist" / name


@pytest.fixture
def made_up_mnist(tmp_path: Path) -> MadeUpImages:
    random = np.random.default_rng(0)
    made = MadeUpImages(tmp_path / "data", {}, {})
    (made.folder / "mnist").mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 10)):
        made.images[part] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        made.labels[part] = random.integers(0, 10, count, dtype=np.uint8)
        for name, array in (("images-idx3", made.images), ("labels-idx1", made.labels)):
            packed = gzip.compress(pack_idx(array[part]))
            made.file(f"{part}-{name}-ubyte.gz").write_bytes(packed)
    return made


@pytest.fixture(scope="session")
def made_up_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official archive's layout, each digit a tone of its own."""
    return write_digits(tmp_path_factory.mktemp("fsdd"))


@dataclass
class Server:
    """Serves ``body`` at any path; ``requests`` holds the Range header of each request."""

    url: str = ""
    body: bytes = b""
    ranges: bool = True
    break_after: int | None = None
    status: int | None = None
    before: Callable[[], None] | None = None
    requests: list[str | None] = field(default_factory=list)


def handler_for(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.requests.append(wanted)
            if server.before is not None:
                server.before()
            start = int(wanted[6:-1]) if wanted and server.ranges else 0
            if server.status is not None or (start and start >= len(server.body)):
                self.send_response(server.status or 416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            size = len(server.body)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            end = server.break_after if server.break_after is not None else size
            self.wfile.write(server.body[start:end])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(state)) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/file.bin"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's data, and none reaches the internet by accident."""
    monkeypatch.delenv("SPIKEWRIGHT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
