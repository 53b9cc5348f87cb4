from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sounds import tone, wav
from spikewright.audio import load, open_recording
from spikewright.errors import DataError, ParameterError

soundfile = pytest.importorskip("soundfile")


def written(samples: np.ndarray, form: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, 8000, format=form, subtype=subtype)
    return stream.getvalue()


NOISE = 0.1 * np.random.default_rng(0).normal(size=40000)
OGG = written(NOISE, "OGG")


def test_samples_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(np.array([-32768, 0, 16384])))
    assert load(path).tolist() == [-1.0, 0.0, 0.5]
    assert load(str(path)).dtype == np.float32


@pytest.mark.parametrize(("form", "error"), [("FLAC", 1e-4), ("OGG", 0.05), ("AIFF", 1e-4)])
def test_other_formats_are_read(form: str, error: float) -> None:
    sound = tone(440.0, 4000) / 32768
    found = load(io.BytesIO(written(sound, form)))
    assert len(found) == 4000
    assert np.abs(found - sound).max() < error


def test_channels_are_mixed_to_their_mean() -> None:
    left, right = tone(200.0, 800) / 32768, tone(700.0, 800) / 32768
    found = load(io.BytesIO(written(np.stack([left, right], 1))))
    assert np.abs(found - (left + right) / 2).max() < 1e-4


@pytest.mark.parametrize("rate", [None, 16000, 5000])
def test_blocks_together_are_the_recording_at_any_rate(rate: int | None) -> None:
    raw = written(NOISE)
    with open_recording(io.BytesIO(raw), rate) as recording:
        blocks = list(recording.blocks(1000))
        assert (recording.file_rate, recording.file_channels) == (8000, 1)
        assert recording.rate == (rate or 8000)
        assert recording.heard.samples == 40000
    assert {len(block) for block in blocks[:-1]} == {1000}
    whole = load(io.BytesIO(raw), rate)
    assert np.array_equal(np.concatenate(blocks), whole)
    assert len(whole) == 40000 * (rate or 8000) // 8000


def test_a_long_recording_is_read_piece_by_piece() -> None:
    with open_recording(io.BytesIO(written(NOISE)), 16000) as recording:
        next(recording.blocks(100))
        assert recording.heard.samples <= 40000
    seen = []
    with open_recording(io.BytesIO(written(np.tile(NOISE, 5)))) as recording:
        for _ in recording.blocks(1000):
            seen.append(recording.heard.samples)
    assert len(set(seen)) > 2


def test_an_empty_recording_has_no_samples() -> None:
    assert load(io.BytesIO(written(NOISE[:0])), 16000).shape == (0,)


def test_samples_at_full_scale_are_counted_as_clipped() -> None:
    with open_recording(io.BytesIO(written(np.clip(20 * NOISE, -1, 1)))) as recording:
        recording.read()
        expected = int((np.abs(20 * NOISE) >= 1).sum())
        assert abs(recording.heard.clipped - expected) <= 2
        assert expected > 1000


def floats(fault: float) -> bytes:
    sound = NOISE[:800].copy()
    sound[[500, 700]] = fault
    return written(sound, "WAV", "FLOAT")


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def overwritten(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes(3000) + raw[middle + 3000 :]


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: b"", "Format not recognised"),
        (lambda: b"no sound at all" * 100, "Format not recognised"),
        (lambda: floats(np.nan), "2 samples with NaN or infinity from 0 on"),
        (lambda: floats(np.inf), "2 samples with NaN or infinity"),
        (lambda: cut(OGG), "its end is missing"),
        (lambda: overwritten(OGG), "of 40,000 samples; the rest cannot be read"),
        (lambda: cut(written(NOISE)), "of 80000 bytes"),
        (lambda: cut(written(NOISE, "FLAC")), "lost sync"),
    ],
)
def test_a_damaged_file_is_refused_by_name_with_its_fault(
    tmp_path: Path, make: Callable[[], bytes], fault: str
) -> None:
    path = tmp_path / "clip.sound"
    path.write_bytes(make())
    with pytest.raises(DataError, match=fault) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_wav_that_was_streamed_and_names_no_length_is_read() -> None:
    raw = bytearray(wav(tone(440.0, 800)))
    raw[4:8] = raw[40:44] = b"\xff" * 4
    assert len(load(io.BytesIO(bytes(raw)))) == 800


def test_an_absent_file_and_a_rate_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must exist"):
        open_recording(tmp_path / "none.wav")
    wrong: Any = 8000.5
    with pytest.raises(ParameterError, match="whole Hz"):
        load(io.BytesIO(wav(tone(440.0))), wrong)
