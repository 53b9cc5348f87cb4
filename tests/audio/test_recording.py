from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sounds import tone, wav
from spikewright.audio import load, open_recording
from spikewright.audio.wholeness import fault_of_pages
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


def bit_turned(raw: bytes, share: float) -> bytes:
    place = int(share * len(raw))
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def without_page(raw: bytes, number: int) -> bytes:
    pages = raw.split(b"OggS")[1:]
    return b"".join(b"OggS" + page for page in pages[:number] + pages[number + 1 :])


def test_pages_of_ogg_in_a_row_are_whole_whatever_follows_the_last() -> None:
    two = io.BytesIO(OGG + written(NOISE, "OGG", "OPUS") + b"a tag")
    assert fault_of_pages(two) is None
    assert two.read() == b""
    assert fault_of_pages(io.BytesIO(OGG + OGG[:-1])) == (
        "half a page at the end, so its end is missing"
    )


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: b"", "Format not recognised"),
        (lambda: b"no sound at all" * 100, "Format not recognised"),
        (lambda: floats(np.nan), "2 samples with NaN or infinity from 0 on"),
        (lambda: floats(np.inf), "2 samples with NaN or infinity"),
        (lambda: cut(OGG), "its end is missing"),
        (lambda: overwritten(OGG), "a damaged page at byte"),
        (lambda: overwritten(written(NOISE, "OGG", "OPUS")), "a damaged page at byte"),
        (lambda: bit_turned(OGG, 0.3), "a damaged page at byte"),
        (lambda: bit_turned(OGG, 0.6), "a damaged page at byte"),
        (lambda: without_page(OGG, 3), "a missing page before byte"),
        (lambda: cut(written(NOISE)), "of 80000 bytes"),
        (lambda: cut(written(NOISE, "WAVEX")), "of 80000 bytes"),
        (lambda: cut(written(NOISE, "RF64")), "of 800.. bytes"),
        (lambda: cut(written(NOISE, "W64")), "of 80104 bytes"),
        (lambda: cut(written(NOISE, "AIFF")), "of 80008 bytes"),
        (lambda: cut(written(NOISE, "AU")), "of 80000 bytes"),
        (lambda: cut(written(NOISE, "FLAC")), "lost sync"),
        (lambda: wav(tone(440.0), rate=1), "a sampling rate of 1 Hz"),
        (lambda: wav(tone(440.0), rate=2**31 - 1), "a sampling rate of 2,147,483,647 Hz"),
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
    for length in (2**32 - 1, 2**31 - 1, 0x7FFFF000):
        raw[4:8] = raw[40:44] = length.to_bytes(4, "little")
        assert len(load(io.BytesIO(bytes(raw)))) == 800


def test_an_absent_file_and_a_rate_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must exist"):
        open_recording(tmp_path / "none.wav")
    with pytest.raises(DataError, match="must exist, got something else there"):
        open_recording(tmp_path)
    (tmp_path / "samples.raw").write_bytes(bytes(100))
    with pytest.raises(DataError, match="must be a whole sound file"):
        open_recording(tmp_path / "samples.raw")
    with pytest.raises(ParameterError, match="whole Hz"):
        load(io.BytesIO(wav(tone(440.0))), 0)
    wrong: Any = 8000.5
    with pytest.raises(ParameterError, match="whole Hz"):
        load(io.BytesIO(wav(tone(440.0))), wrong)
