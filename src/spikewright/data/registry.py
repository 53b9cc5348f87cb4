"""All data sets by name, and what the command line does with them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright.data.download import Progress, fetch_file
from spikewright.data.store import DataFile, DataSource, data_folder, fault_of, find
from spikewright.errors import DataError, nearest

CLASSES = {
    "yin-yang": ("yin_yang", "YinYang"),
    "mnist": ("mnist", "MNIST"),
    "fashion-mnist": ("fashion_mnist", "FashionMNIST"),
    "emnist-balanced": ("emnist", "EMNIST"),
    "cifar10": ("cifar10", "CIFAR10"),
    "cifar10-first-4000": ("cifar10", "CIFAR10First4000"),
    "free-spoken-digits": ("free_spoken_digits", "FreeSpokenDigits"),
    "spoken-digit-spikes": ("spoken_digit_spikes", "SpokenDigitSpikes"),
    "shd": ("shd", "SHD"),
    "ssc": ("shd", "SSC"),
    "nmnist-small": ("nmnist", "NMNIST"),
    "babi": ("babi", "Babi"),
    "spike-patterns": ("spike_patterns", "SpikePatterns"),
    "ecg-record-100": ("ecg", "ECGRecord100"),
    "ecg5000": ("ecg", "ECG5000"),
    "ecg200": ("ecg", "ECG200"),
    "spoken-digits": ("spoken_digits", "SpokenDigits"),
    "esc10": ("esc10", "ESC10"),
    "keywords": ("keywords", "Keywords"),
    "speech-commands": ("speech_commands", "SpeechCommands"),
}


class _DataSets(Mapping[str, type[Any]]):
    """Name -> class, each imported when it is asked for."""

    def __getitem__(self, name: str) -> type[Any]:
        module, attribute = CLASSES[name]
        return getattr(importlib.import_module(f"spikewright.data.{module}"), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(CLASSES)

    def __len__(self) -> int:
        return len(CLASSES)


DATASETS: Mapping[str, type[Any]] = _DataSets()
"""Name of each data set -> its class."""


@dataclass(frozen=True)
class FileState:
    """Where a file is or would be, and its fault: ``None``, ``"absent"``, or what is wrong."""

    path: Path
    fault: str | None


@dataclass(frozen=True)
class DataInfo:
    """What ``spikewright data list`` says of a data set; ``present`` looks for files only."""

    name: str
    title: str
    size: int
    licence: str
    citation: str
    page: str
    folder: Path
    present: bool


def dataset_class(name: str) -> type[Any]:
    """The class of a data set.

    Raises:
        DataError: there is none of that name; the nearest is named.

    >>> dataset_class("yin-yang").__name__
    'YinYang'
    """
    if name not in CLASSES:
        raise DataError(
            f"data: the data set must be a known one, got {name!r}. {nearest(name, CLASSES)}"
        )
    return DATASETS[name]


def info(name: str, folder: str | Path | None = None) -> DataInfo:
    """Name, terms, size in bytes and whether the files are there.

    >>> info("yin-yang").licence, info("yin-yang").present
    ('MIT', True)
    """
    source = _source(name)
    root = data_folder(folder)
    found = [find(file, root) for file in source.files]
    size = sum(
        (hit[0] if hit else file).size for hit, file in zip(found, source.files, strict=True)
    )
    return DataInfo(
        name=source.name,
        title=source.title,
        size=size,
        licence=source.licence,
        citation=source.citation,
        page=source.page,
        folder=root,
        present=all(hit is not None for hit in found),
    )


def fetch(
    name: str, folder: str | Path | None = None, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Fetch what is missing or damaged of a data set into its folder; return the files' paths.

    Args:
        name: name of the data set.
        folder: where to; default as for :func:`spikewright.data.data_folder`.
        progress: called with (bytes so far, bytes in all or ``None``) for each file.

    Raises:
        DataError: no such data set, or the download failed.
    """
    source = _source(name)
    root = data_folder(folder)
    return tuple(fetch_file(source, file, root, progress) for file in source.files)


def verify(name: str, folder: str | Path | None = None) -> tuple[FileState, ...]:
    """Compare each file with its published checksum, or contents where there is none.

    A set that is generated has no files: it is generated and compared with the published one.

    Raises:
        DataError: no such data set, or a generated set differs from the published one.
    """
    source = _source(name)
    if source.check is not None:
        source.check()
    root = data_folder(folder)
    return tuple(_state(file, root) for file in source.files)


def _state(file: DataFile, root: Path) -> FileState:
    chosen, path = find(file, root) or (file, root / file.path)
    return FileState(path, fault_of(chosen, path))


def _source(name: str) -> DataSource:
    return dataset_class(name).source
