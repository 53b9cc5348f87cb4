"""Beats: the real sets, and readers on files written here by hand from their description."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.coding import Chain, Crossing, Cue
from spikewright.data import ECG200, ECG5000, ECGRecord100
from spikewright.data.ecg import ARCHIVE, interleaved, standardised
from spikewright.data.mitbih import read_212, read_beats, read_header
from spikewright.errors import DataError, ParameterError


def pack_212(units: np.ndarray) -> bytes:
    """Two numbers of 12 bits in three bytes, from the description of the format."""
    raw = bytearray()
    for pair in units.reshape(-1, 2):
        a, b = (int(unit) & 0xFFF for unit in pair)
        raw += bytes([a & 0xFF, (a >> 8) | (b >> 8 << 4), b & 0xFF])
    return bytes(raw)


def header_of(units: np.ndarray, form: str = "212") -> str:
    lines = [f"100 {units.shape[1]} 360 {len(units)}"]
    for lead in units.T:
        total = int(lead.sum()) & 0xFFFF
        total -= 65536 if total >= 32768 else 0
        lines.append(f"100.dat {form} 200 11 1024 {lead[0]} {total} 0 MLII")
    return "\n".join([*lines, "# a comment"])


def word(code: int, amount: int) -> bytes:
    return (code << 10 | amount).to_bytes(2, "little")


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / ARCHIVE.path
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as tar:
        for name, raw in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return folder


def record(beats: int = 12) -> dict[str, bytes]:
    """A record whose lead rises by one unit at each mark; every fifth mark is a premature beat."""
    units = np.zeros((800 + 300 * beats, 2), np.int64) + 1024
    marks = b""
    for beat in range(beats):
        units[400 + 300 * beat :, 0] += 1
        marks += word(8 if beat % 5 == 4 else 1, 400 if beat == 0 else 300)
    return {
        "mitbih/100.hea": header_of(units).encode(),
        "mitbih/100.dat": pack_212(units),
        "mitbih/100.atr": marks + word(0, 0),
    }


def test_the_real_record_has_its_beats_and_checksums(shared_data: Path) -> None:
    data = ECGRecord100(folder=shared_data)
    parts = (data.train, data.validation, data.test)
    counts = torch.stack([torch.bincount(part.targets, minlength=2) for part in parts])
    assert counts.sum(0).tolist() == [2237, 34]
    assert counts[:, 1].tolist() == [21, 6, 7]
    x, _ = data.train.batch([0, 1, 2])
    assert x.shape == (180, 3, 1)
    assert data.dt == 1 / 180
    normal = data.train.values[data.train.targets == 0].mean(0)
    assert 124 <= int(normal.argmax()) <= 128  # the R wave lies at the mark
    early = data.train.values[data.train.targets == 1][:, :100].amax(1)
    late = data.train.values[data.train.targets == 0][:, :100].amax(1)
    assert early.median() > 2 * late.median()  # a premature beat has the one before in sight


def test_the_real_sets_of_the_archive_have_their_classes(shared_data: Path) -> None:
    data = ECG5000(folder=shared_data)
    parts = (data.train, data.validation, data.test)
    counts = torch.stack([torch.bincount(part.targets, minlength=5) for part in parts])
    assert counts.sum(0).tolist() == [292, 177, 10, 19, 2]
    assert counts.sum(1).tolist() == [303, 98, 99]
    data = ECG200(folder=shared_data)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [81, 19, 100]
    assert torch.bincount(data.test.targets).tolist() == [36, 64]
    for values in (data.train.values, data.test.values):
        torch.testing.assert_close(values.mean(1), torch.zeros(len(values)), atol=1e-6, rtol=0)


def test_samples_of_12_bits_are_those_that_were_packed() -> None:
    units = np.random.default_rng(0).integers(-2048, 2048, (51, 2))
    header = read_header(header_of(units), "100.hea")
    assert (header.rate, header.samples, len(header.leads)) == (360.0, 51, 2)
    found = read_212(pack_212(units), header, "100.dat")
    np.testing.assert_array_equal(found, ((units - 1024) / 200).astype(np.float32))


def test_annotations_skip_what_is_no_beat_and_long_gaps() -> None:
    raw = word(28, 18) + word(63, 3) + b"(N\x00\x00"  # a rhythm with a text of three bytes
    raw += word(1, 59) + word(8, 1000)
    raw += word(59, 0) + (3).to_bytes(2, "little") + (5).to_bytes(2, "little") + word(5, 2)
    raw += word(60, 7) + word(61, 1) + word(62, 1) + word(0, 0)
    times, kinds = read_beats(raw, "100.atr")
    assert times.tolist() == [77, 1077, 1077 + 3 * 65536 + 5 + 2]
    assert kinds == ("N", "A", "V")


def test_a_beat_is_cut_out_around_its_mark(tmp_path: Path) -> None:
    data = ECGRecord100(folder=archive(tmp_path, record()))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [8, 2, 2]
    for beat in data.train.values:
        assert len(set(beat[:126].tolist())) == 1
        assert beat[126] > beat[125]
    assert data.train.targets.sum() == 2


def test_an_encoder_turns_beats_into_spikes_with_a_cue(tmp_path: Path) -> None:
    code = Chain((Crossing(180, 2e-3, thresholds=(-0.5, 0.5)), Cue(200, 2e-3)))
    data = ECGRecord100(code, folder=archive(tmp_path, record()))
    assert (data.dt, data.steps, data.train.shape) == (2e-3, 200, (5,))
    x, _ = data.train.batch([0, 1])
    assert x.shape == (200, 2, 5)
    assert x[126, :, :2].tolist() == [[1, 1], [1, 1]]
    assert x[180:, :, 4].all()


def test_parts_hold_classes_in_one_proportion() -> None:
    classes = np.array([0] * 10 + [1] * 5)
    parts = interleaved(np.arange(15.0)[:, None], classes)
    assert parts["validation"][0].flatten().tolist() == [4, 9, 14]
    assert parts["test"][0].flatten().tolist() == [3, 8, 13]
    assert len(parts["train"][1]) == 9
    assert len(interleaved(np.arange(15.0)[:, None], classes, test=False)["train"][1]) == 12
    assert standardised(np.ones((1, 4))).tolist() == [[0, 0, 0, 0]]


def test_damaged_files_are_refused_with_their_fault(tmp_path: Path) -> None:
    units = np.full((4, 2), 1000)
    header = read_header(header_of(units), "h")
    with pytest.raises(DataError, match="11 bytes where 4 samples need 12"):
        read_212(pack_212(units)[:-1], header, "100.dat")
    with pytest.raises(DataError, match="samples of MLII whose checksum is"):
        read_212(pack_212(units + 1), header, "100.dat")
    with pytest.raises(DataError, match="annotations without an end"):
        read_beats(word(1, 5), "100.atr")
    with pytest.raises(DataError, match="annotations without an end"):
        read_beats(word(59, 0), "100.atr")
    for text in ("", "100 2 360 4", header_of(units, form="16")):
        with pytest.raises(DataError, match="no header of a record of format 212"):
            read_header(text, "100.hea")
    files = record()
    del files["mitbih/100.atr"]
    with pytest.raises(DataError, match=r"no mitbih/100\.atr"):
        len(ECGRecord100(folder=archive(tmp_path, files)).train)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("1 " + "0.5 " * 139, "not .beats, 1 . 140"),
        ("1 " + "0.5 " * 139 + "nan", "not .beats, 1 . 140"),
        ("7 " + "0.5 " * 140, "label 7, none of"),
        ("1 " + "0.5 " * 139 + "x", "rows that are not numbers"),
    ],
)
def test_rows_that_are_no_beats_are_refused(tmp_path: Path, row: str, fault: str) -> None:
    folder = archive(tmp_path, {"ucr/ECG5000/ECG5000_TRAIN.txt": row.encode()})
    with pytest.raises(DataError, match=fault):
        len(ECG5000(folder=folder).train)


def test_a_step_other_than_the_encoders_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"ECG200: dt must be the encoder's, 0.001 s, got"):
        ECG200(Crossing(96, 1e-3), dt=2e-3)
    with pytest.raises(ParameterError, match="dt must be"):
        ECG200(dt=0.0)
