from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from spikewright import files, sealed
from spikewright.errors import CheckpointError
from spikewright.training import has_checkpoint, load_checkpoint, save_checkpoint


class Membrane(NamedTuple):
    v: torch.Tensor
    i: torch.Tensor | None


STATE: dict[str, Any] = {
    "step": 3,
    "rate": 0.1 + 0.2,
    "limits": (float("inf"), float("-inf")),
    7: [True, None, "text"],
    "7": torch.tensor(7),
    "carried": {"1_lif": Membrane(torch.arange(6.0).view(2, 3).T, None)},
    "empty": torch.empty(0, 4),
}
WEIGHTS = {
    "w": torch.arange(12.0).view(3, 4),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "flag": torch.tensor([True, False]),
}


def save(folder: Path, epoch: int = 1) -> None:
    save_checkpoint(folder, WEIGHTS, STATE, {"epoch": epoch, "mark": torch.full((50,), epoch)})


def test_every_kind_of_value_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path / "last")
    loaded = load_checkpoint(tmp_path / "last")
    for name, tensor in WEIGHTS.items():
        assert loaded.network[name].dtype == tensor.dtype
        assert torch.equal(loaded.network[name], tensor)
    state = loaded.rule_state
    assert list(state) == list(STATE)
    assert (state["step"], state["rate"], state["limits"]) == (3, 0.1 + 0.2, STATE["limits"])
    assert state[7] == [True, None, "text"]
    assert state["7"].item() == 7
    assert isinstance(state["carried"]["1_lif"], Membrane)
    assert torch.equal(state["carried"]["1_lif"].v, STATE["carried"]["1_lif"].v)
    assert state["empty"].shape == (0, 4)
    assert loaded.meta["epoch"] == 1


def test_loaded_tensors_can_be_changed_and_tied_weights_are_kept_apart(tmp_path: Path) -> None:
    tied = torch.ones(3)
    save_checkpoint(tmp_path, {"a": tied, "b": tied, "part": torch.ones(4)[1:3]}, None, {})
    loaded = load_checkpoint(tmp_path).network
    loaded["a"].add_(1)
    assert loaded["b"].tolist() == [1, 1, 1]
    assert loaded["part"].tolist() == [1, 1]


def test_nan_comes_back_as_nan(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {}, {"loss": float("nan")}, {})
    assert load_checkpoint(tmp_path).rule_state["loss"] != load_checkpoint(tmp_path).rule_state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"optimiser": object()}, "rule/optimiser must be a tensor, a plain value"),
        ({"a": {1.5: 2}}, "keys of rule/a must be str or int, got 1.5"),
    ],
)
def test_state_that_no_file_can_hold_is_named(tmp_path: Path, state: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(tmp_path, {}, state, {})
    assert not has_checkpoint(tmp_path)


def test_only_the_newest_tensors_and_no_partial_files_stay(tmp_path: Path) -> None:
    (tmp_path / ".partial-1-checkpoint.json").write_text("left by a killed save")
    for epoch in range(3):
        save(tmp_path, epoch)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert names[0] == "checkpoint.json"


# -- a save that dies -----------------------------------------------------------------------------


def die_at(call: int) -> None:
    """Make the process end, without any clean-up, at the n-th step of a save."""
    left = [call]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return original(*args, **options)

        return wrapped

    os.replace = counted(os.replace)
    os.fsync = counted(os.fsync)
    os.unlink = counted(os.unlink)
    os.open = counted(os.open)
    files.open = counted(open)  # type: ignore[attr-defined]


def in_fork(action: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_save_that_dies_at_any_step_leaves_the_old_or_the_new_checkpoint(tmp_path: Path) -> None:
    seen: list[int] = []
    for call in range(100):
        folder = tmp_path / str(call)
        save(folder, 1)

        def action(call: int = call, folder: Path = folder) -> None:
            die_at(call)
            save(folder, 2)

        code = in_fork(action)
        seen.append(load_checkpoint(folder).meta["epoch"])
        save(folder, 3)
        assert len(list(folder.iterdir())) == 2
        if code == 0:
            break
        assert code == 9
    assert seen == sorted(seen)
    assert seen.count(1) >= 5
    assert seen.count(2) >= 2


def test_a_save_killed_at_random_moments_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 0)
    draw = torch.Generator().manual_seed(0)
    for _ in range(10):
        child = os.fork()
        if child == 0:
            for epoch in range(10**6):
                save(tmp_path, epoch)
        time.sleep(0.002 + 0.02 * torch.rand(1, generator=draw).item())
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        loaded = load_checkpoint(tmp_path)
        assert loaded.meta["mark"][0] == loaded.meta["epoch"]


@pytest.mark.parametrize("call", [0, 1])
def test_full_disk_leaves_the_old_checkpoint_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    save(tmp_path, 1)
    left = [call]
    write = files._write

    def full(path: Path, content: bytes) -> None:
        left[0] -= 1
        write(path, content[: len(content) // 2] if left[0] < 0 else content)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(CheckpointError, match="No space left on device") as error:
        save(tmp_path, 2)
    assert "The checkpoint from before is intact. Free space" in str(error.value)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path).meta["epoch"] == 1
    assert len(list(tmp_path.iterdir())) == 2


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_limit_of_the_system_on_file_size_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    with pytest.raises(CheckpointError, match="File too large"), file_size_limit(4096):
        save_checkpoint(tmp_path, {"w": torch.ones(5000)}, None, {})
    assert load_checkpoint(tmp_path).meta["epoch"] == 1


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="file/last must be writable, got"):
        save(tmp_path / "file" / "last")


# -- damage ---------------------------------------------------------------------------------------


def tensor_file(folder: Path) -> Path:
    (path,) = folder.glob("tensors-*")
    return path


def test_a_bit_flipped_anywhere_in_the_json_is_noticed(tmp_path: Path) -> None:
    save(tmp_path)
    head = tmp_path / "checkpoint.json"
    whole = head.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        head.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"must be a whole checkpoint, got a fault: "):
            load_checkpoint(tmp_path)


@pytest.mark.parametrize("position", [0, 7, 40, -1])
def test_flipped_byte_in_the_tensors_is_named(tmp_path: Path, position: int) -> None:
    save(tmp_path)
    path = tensor_file(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=rf"{path.name} is damaged: its checksum is not"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 100])
@pytest.mark.parametrize("name", ["checkpoint.json", "tensors"])
def test_truncated_file_is_named(tmp_path: Path, name: str, keep: int) -> None:
    save(tmp_path)
    path = tmp_path / name if name == "checkpoint.json" else tensor_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=path.name):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["checkpoint.json", "tensors"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save(tmp_path)
    path = tmp_path / name if name == "checkpoint.json" else tensor_file(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match=rf"the file .*{path.name} is missing"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '{"body": 1}', "[" * 100_000, '{"body":{},"sha256":NaN}', "1" * 9999],
)
def test_json_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json is (not the JSON|damaged)"):
        load_checkpoint(tmp_path)


def forge(folder: Path, change: dict[str, Any], tensors: bytes | None = None) -> None:
    """A checkpoint with valid checksums, as an attacker would write it."""
    save(folder)
    body = json.loads((folder / "checkpoint.json").read_text())["body"] | change
    if tensors is not None:
        tensor_file(folder).write_bytes(tensors)
        body |= {"bytes": len(tensors), "sha256": hashlib.sha256(tensors).hexdigest()}
    (folder / "checkpoint.json").write_bytes(sealed.seal(body))


def safetensors_bytes(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        safetensors_bytes(b"", length=2**63),
        safetensors_bytes(b"{" * 50),
        safetensors_bytes(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
        safetensors_bytes(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', b"0000"),
        safetensors_bytes(
            b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}', b"0000"
        ),
    ],
)
def test_hostile_tensor_file_is_refused(tmp_path: Path, content: bytes) -> None:
    forge(tmp_path, {}, content)
    with pytest.raises(CheckpointError, match=r"is not a safetensors file"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../../secret"}, "names a tensor file '../../secret' that no save would"),
        ({"format": "other-9"}, "is of format 'other-9', this version reads"),
        ({"rule": {"tensor": "network/none"}}, "is not a known form"),
        ({"rule": {"dict": [["a"]]}}, "is not a key and a value"),
        ({"meta": 3}, "does not hold what a checkpoint holds"),
        ({"rule": {"named": ["os", "system"], "fields": [], "of": []}}, "which is not imported"),
        ({"rule": {"named": ["antigravity", "x"], "fields": [], "of": []}}, "is not imported"),
    ],
)
def test_forged_json_runs_no_code_and_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    forge(tmp_path, change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_message_names_the_intact_checkpoint_beside_a_damaged_one(tmp_path: Path) -> None:
    save(tmp_path / "last")
    save(tmp_path / "best")
    (tmp_path / "last" / "checkpoint.json").write_bytes(b"{")
    with pytest.raises(CheckpointError, match=r"best is intact: fit\(\.\.\., resume='best'\)"):
        load_checkpoint(tmp_path / "last")
    (tmp_path / "best" / "checkpoint.json").write_bytes(b"{")
    with pytest.raises(CheckpointError, match="or start anew"):
        load_checkpoint(tmp_path / "last")
