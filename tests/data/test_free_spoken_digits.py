from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sounds import tone, wav
from spikewright.data import FreeSpokenDigits
from spikewright.data.filterbank import Filterbank
from spikewright.data.free_spoken_digits import check_archive
from spikewright.data.wav import decode_wav
from spikewright.errors import DataError, ParameterError


def test_real_set_has_the_published_split(shared_data: Path) -> None:
    data = FreeSpokenDigits(folder=shared_data, limit=300, validation=5)
    for split in (data.validation, data.test):
        assert torch.bincount(split.targets).tolist() == [30] * 10
        assert 0 <= split.values.min() < split.values.max() == 1
    x, y = data.test.batch([4, 250])
    assert x.shape == (100, 2, 40)
    assert y.tolist() == [4, 0]


def test_real_archive_holds_all_clips(shared_data: Path) -> None:
    check_archive(shared_data / "fsdd" / "fsdd-recordings.tar.xz")


def test_splits_divide_the_takes(made_up_digits: Path) -> None:
    data = FreeSpokenDigits(folder=made_up_digits, steps=5, bands=8)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [2400, 300, 300]
    assert torch.bincount(data.train.targets).tolist() == [240] * 10
    limited = FreeSpokenDigits(folder=made_up_digits, steps=5, bands=8, limit=20)
    assert torch.bincount(limited.train.targets).tolist() == [2] * 10
    assert len(FreeSpokenDigits(folder=made_up_digits, validation=0, limit=5).validation) == 0


def test_each_tone_is_loudest_in_the_filter_around_it(made_up_digits: Path) -> None:
    data = FreeSpokenDigits(folder=made_up_digits, steps=10, limit=10)
    x, y = data.test.batch(torch.arange(10))
    mel = 2595 * np.log10(1 + 300.0 * (y.numpy() + 1) / 700)
    spacing = 2595 * np.log10(1 + 4000 / 700) / 41
    nearest = np.rint(mel / spacing) - 1
    assert np.abs(x[3].argmax(dim=1).numpy() - nearest).max() <= 1


def test_energies_agree_with_the_formula_in_double_precision() -> None:
    random = np.random.default_rng(2)
    samples = random.normal(size=1000)
    bank = Filterbank(bands=6, rate=8000, hop=80)
    found = bank.energies([samples.astype(np.float32)], steps=8)[0]
    padded = np.concatenate([samples, np.zeros(200)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 8) / 2595) - 1)
    energy = np.zeros((8, 6))
    for step in range(8):
        frame = hann * padded[80 * step : 80 * step + 200]
        for bin_number in range(129):
            turns = np.exp(-2j * np.pi * bin_number / 256 * np.arange(200))
            power = abs((frame * turns).sum()) ** 2
            for band in range(6):
                corner = edges[band : band + 3]
                weight = np.interp(bin_number * 8000 / 256, corner, [0, 1, 0])
                energy[step, band] += weight * power
    expected = np.clip(1 + 10 * np.log10(energy / energy.max()) / 80, 0, 1)
    assert np.abs(found - expected).max() < 1e-5


def test_loudness_does_not_matter_and_silence_is_zero() -> None:
    bank = Filterbank(bands=10, rate=8000, hop=80)
    sound = np.random.default_rng(3).normal(size=800).astype(np.float32)
    loud, quiet, silent, empty = bank.energies(
        [sound, sound / 64, np.zeros(800, np.float32), np.zeros(0, np.float32)], steps=12
    )
    assert np.allclose(loud, quiet, atol=1e-6)
    assert loud[11].max() == 0
    assert not silent.any()
    assert not empty.any()


def test_clip_longer_than_the_grid_is_cut_at_its_end() -> None:
    bank = Filterbank(bands=10, rate=8000, hop=80)
    sound = np.random.default_rng(3).normal(size=4000).astype(np.float32)
    cut = sound[: 9 * 80 + 200]
    assert np.array_equal(bank.energies([sound], 10), bank.energies([cut], 10))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"dt": 1.0e-4}, "whole number of samples of 125 µs"),
        ({"dt": 1.3e-3}, "whole number of samples"),
        ({"steps": 0}, "steps must be"),
        ({"validation": 45}, "below the 45 training takes"),
        ({"bands": 100}, "bands must be few enough"),
        ({"bands": 0}, "bands must be a whole number"),
    ],
)
def test_bad_settings_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        FreeSpokenDigits(**options)


def test_archive_that_lacks_a_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fsdd").mkdir()
    path = tmp_path / "fsdd" / "v1.0.10.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/recordings/0_george_0.wav", wav(tone(400)))
    with pytest.raises(DataError, match="2999 of 3000 clips missing, such as 1_george_0") as caught:
        len(FreeSpokenDigits(folder=tmp_path).test)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "no wav file"),
        (b"RIFF....", "no wav file"),
        (wav(tone(400))[:-10], "of 1600 samples"),
        (wav(tone(400), rate=16000), "16000 Hz"),
        (wav(tone(400), channels=2), "2 channels"),
    ],
)
def test_damaged_or_other_wav_is_refused(raw: bytes, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        decode_wav(raw, 8000, "clip.wav")


def test_wav_samples_are_scaled_to_one() -> None:
    samples = decode_wav(wav(np.array([-32768, 0, 16384])), 8000, "clip.wav")
    assert samples.tolist() == [-1.0, 0.0, 0.5]
