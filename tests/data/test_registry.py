from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

import spikewright.data as sets
from spikewright.data.store import DataFile
from spikewright.errors import DataError


def serve_from(monkeypatch: pytest.MonkeyPatch, url: str, body: bytes) -> None:
    file = DataFile("mnist/only.bin", len(body), url, hashlib.sha256(body).hexdigest())
    source = dataclasses.replace(sets.MNIST.source, files=(file,))
    monkeypatch.setattr(sets.MNIST, "source", source)


def test_every_data_set_is_listed_with_its_terms() -> None:
    assert list(sets.DATASETS) == [
        "yin-yang",
        "mnist",
        "fashion-mnist",
        "emnist-balanced",
        "cifar10",
        "cifar10-first-4000",
        "free-spoken-digits",
        "spoken-digit-spikes",
        "shd",
        "ssc",
        "nmnist-small",
        "babi",
        "spike-patterns",
        "ecg-record-100",
        "ecg5000",
        "ecg200",
        "spoken-digits",
        "esc10",
        "keywords",
        "speech-commands",
    ]
    for name, kind in sets.DATASETS.items():
        entry = sets.info(name)
        assert kind.source.name == entry.name == name
        assert all((entry.title, entry.licence))
        # A set that this package makes up has no one to cite.
        assert all((entry.citation, entry.page)) or not kind.source.files


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'fashion-mnist'"):
        sets.fetch("fashion_mnist")


def test_name_that_the_package_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'CIFAR'"):
        getattr(sets, "CIFAR")  # noqa: B009 - it is the look-up that is tested


@pytest.mark.parametrize("name", list(sets.DATASETS))
def test_the_real_files_verify(shared_data: Path, name: str) -> None:
    states = sets.verify(name, shared_data)
    if states and not sets.info(name, shared_data).present:
        pytest.skip(f"the files of {name} are not among the real data sets here")
    assert [state.fault for state in states] in ([], [None], [None] * 4)


def test_verify_names_absent_and_damaged_files(made_up_mnist) -> None:
    made_up_mnist.file("t10k-labels-idx1-ubyte.gz").unlink()
    *others, last = sets.verify("mnist", made_up_mnist.folder)
    assert last.fault == "absent"
    assert all(state.fault and state.fault.startswith("SHA-256 is") for state in others)
    assert not sets.info("mnist", made_up_mnist.folder).present


def test_environment_names_the_folder_and_an_argument_overrules_it(monkeypatch, tmp_path) -> None:
    cache = sets.data_folder()
    assert cache.is_relative_to(tmp_path / "cache")
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(tmp_path / "mine"))
    assert sets.data_folder() == tmp_path / "mine"
    assert sets.data_folder(tmp_path / "other") == tmp_path / "other"


def test_environment_folder_is_read(monkeypatch, made_up_mnist) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(made_up_mnist.folder))
    assert len(sets.MNIST(validation=5).train) == 25


def test_named_folder_without_the_file_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="spikewright data fetch mnist; or name no folder"):
        len(sets.MNIST(folder=tmp_path).train)
    assert list(tmp_path.iterdir()) == []


def test_fetch_puts_the_files_into_the_named_folder(monkeypatch, server, tmp_path: Path) -> None:
    server.body = b"the bytes"
    serve_from(monkeypatch, server.url, server.body)
    assert sets.fetch("mnist", tmp_path / "here") == (tmp_path / "here/mnist/only.bin",)
    assert [state.fault for state in sets.verify("mnist", tmp_path / "here")] == [None]


def test_first_use_without_a_folder_downloads_into_the_cache(monkeypatch, server, made_up_mnist):
    name = "t10k-images-idx3-ubyte.gz"
    body = made_up_mnist.file(name).read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    files = list(sets.MNIST.source.files)
    files[2] = DataFile(f"mnist/{name}", len(body), server.url, sha256)
    source = dataclasses.replace(sets.MNIST.source, files=tuple(files))
    monkeypatch.setattr(sets.MNIST, "source", source)
    labels = sets.data_folder() / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.parent.mkdir(parents=True)
    labels.write_bytes(made_up_mnist.file(labels.name).read_bytes())
    server.body = body
    data = sets.MNIST()
    assert data.test.values.numpy().tobytes() == made_up_mnist.images["t10k"].tobytes()
    assert len(server.requests) == 1


def test_importing_the_data_sets_loads_no_optional_package() -> None:
    code = (
        "import sys, spikewright.data as d; d.NMNIST(), d.MNIST(), d.FreeSpokenDigits();"
        "d.SHD(), d.SpokenDigitSpikes();"
        "print([m for m in ('h5py', 'pooch', 'platformdirs', 'scipy.signal', 'requests')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
