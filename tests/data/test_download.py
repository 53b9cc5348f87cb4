from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from spikewright.data.download import CHUNK, fetch_file
from spikewright.data.store import DataFile, DataSource, locate
from spikewright.errors import DataError

BODY = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(BODY).hexdigest()


def described(url: str, **changes) -> tuple[DataSource, DataFile]:
    options = {"path": "set/file.bin", "size": len(BODY), "url": url, "sha256": SHA256} | changes
    file = DataFile(**options)
    return DataSource("some-set", "", "", "", "", (file,)), file


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.suffix != ".lock")


def test_file_lands_whole_and_alone(server, tmp_path: Path) -> None:
    server.body = BODY
    seen: list[tuple[int, int | None]] = []
    path = fetch_file(*described(server.url), tmp_path, lambda *now: seen.append(now))
    assert path.read_bytes() == BODY
    assert visible(tmp_path) == ["file.bin", "set"]
    assert seen[-1] == (len(BODY), len(BODY))


def test_broken_download_is_kept_and_resumed_where_it_ended(server, tmp_path: Path) -> None:
    server.body, server.break_after = BODY, 600_000
    with pytest.raises(DataError, match="Run again to go on where it broke off") as caught:
        fetch_file(*described(server.url), tmp_path)
    assert server.url in str(caught.value)
    part = (tmp_path / "set/file.bin.part").read_bytes()
    assert part == BODY[: len(part)]
    assert 600_000 - CHUNK < len(part) <= 600_000
    server.break_after = None
    assert fetch_file(*described(server.url), tmp_path).read_bytes() == BODY
    assert server.requests == [None, f"bytes={len(part)}-"]
    assert visible(tmp_path) == ["file.bin", "set"]


def test_server_that_cannot_resume_sends_it_all_again(server, tmp_path: Path) -> None:
    server.body, server.ranges = BODY, False
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.bin.part").write_bytes(BODY[:1000])
    assert fetch_file(*described(server.url), tmp_path).read_bytes() == BODY


def test_part_that_is_already_whole_or_too_long_starts_again(server, tmp_path: Path) -> None:
    server.body = BODY
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.bin.part").write_bytes(BODY + b"more")
    assert fetch_file(*described(server.url), tmp_path).read_bytes() == BODY
    assert server.requests == [f"bytes={len(BODY) + 4}-", None]


def test_wrong_checksum_leaves_nothing_behind(server, tmp_path: Path) -> None:
    server.body = b"<html>not found</html>"
    with pytest.raises(DataError, match=r"must give 'set/file\.bin' as published") as caught:
        fetch_file(*described(server.url), tmp_path)
    assert server.url in str(caught.value)
    assert str(tmp_path / "set/file.bin") in str(caught.value)
    assert visible(tmp_path) == ["set"]


def test_damaged_file_stays_until_a_good_one_replaces_it(server, tmp_path: Path) -> None:
    target = tmp_path / "set/file.bin"
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    server.body = b"wrong"
    with pytest.raises(DataError):
        fetch_file(*described(server.url), tmp_path)
    assert target.read_bytes() == b"damaged"
    server.body = BODY
    assert fetch_file(*described(server.url), tmp_path).read_bytes() == BODY


def test_good_file_is_not_fetched_again(server, tmp_path: Path) -> None:
    server.body = BODY
    fetch_file(*described(server.url), tmp_path)
    fetch_file(*described(server.url), tmp_path)
    assert len(server.requests) == 1


def test_file_without_checksum_is_known_by_its_contents(server, tmp_path: Path) -> None:
    def check(path: Path) -> None:
        if not path.read_bytes().startswith(b"good"):
            raise DataError("no good contents")

    entry = described(server.url, sha256=None, check=check)
    server.body = b"bad"
    with pytest.raises(DataError, match="no good contents"):
        fetch_file(*entry, tmp_path)
    assert visible(tmp_path) == ["set"]
    server.body = b"good"
    assert fetch_file(*entry, tmp_path).read_bytes() == b"good"


def test_stand_in_with_the_same_contents_saves_the_download(server, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(BODY)
    entry = described(server.url, stand_in=DataFile("other.bin", len(BODY), sha256=SHA256))
    assert fetch_file(*entry, tmp_path) == tmp_path / "other.bin"
    assert server.requests == []


def test_damaged_stand_in_gives_way_to_what_is_fetched(server, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"damaged")
    server.body = BODY
    source, file = described(server.url, stand_in=DataFile("other.bin", len(BODY), sha256=SHA256))
    assert locate(source, file, tmp_path) == tmp_path / "other.bin"
    fetched = fetch_file(source, file, tmp_path)
    assert locate(source, file, tmp_path) == fetched == tmp_path / "set/file.bin"


def test_server_that_refuses_is_named_with_its_status(server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match="404") as caught:
        fetch_file(*described(server.url), tmp_path)
    assert server.url in str(caught.value)
    assert visible(tmp_path) == ["set"]


def test_no_network_says_what_to_do(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    entry = described("http://127.0.0.1:9/file.bin")
    with pytest.raises(DataError, match="spikewright data fetch some-set; or put the file at"):
        fetch_file(*entry, tmp_path)


def test_folder_that_cannot_be_made_is_an_error_of_its_own(server, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file in the way")
    with pytest.raises(DataError, match="writable"):
        fetch_file(*described(server.url), tmp_path)
    assert (tmp_path / "set").read_text() == "a file in the way"


def test_two_at_once_fetch_it_once(server, tmp_path: Path) -> None:
    server.body, server.before = BODY, lambda: time.sleep(0.05)
    found: list[bytes] = []

    def fetch() -> None:
        found.append(fetch_file(*described(server.url), tmp_path).read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 3
    assert len(server.requests) == 1
