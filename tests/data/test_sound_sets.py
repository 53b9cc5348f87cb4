from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sounds import tone, wav
from spikewright.audio import LogEnergy, load
from spikewright.data import ESC10, AmbientScenes, Keywords, SpeechCommands, SpokenDigits
from spikewright.data.esc10 import BACKGROUNDS, CLASSES
from spikewright.data.speech_commands import part_of
from spikewright.errors import DataError, ParameterError

pytest.importorskip("soundfile")

EAR = LogEnergy(8000)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path / "kept"))


def pack(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, raw in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))


@pytest.fixture
def made_up_esc10(tmp_path: Path) -> Path:
    """The archive's layout with short tones; libsndfile knows a wav by its contents."""
    members = {
        f"./{number:03} - {name.capitalize()}/{fold}-{take}-A.ogg": wav(
            tone(200.0 + 300 * number, 1600, 2000.0 + 100 * take)
        )
        for number, name in enumerate(CLASSES, 1)
        for fold in range(1, 6)
        for take in range(8)
    }
    pack(tmp_path / "esc10" / "esc10-ogg.tar", members | {"./README.txt": b""})
    return tmp_path


def test_esc10_is_divided_by_the_sets_own_folds(made_up_esc10: Path) -> None:
    for fold in (1, 5):
        data = ESC10(EAR, seconds=0.2, fold=fold, validation=True, folder=made_up_esc10)
        held = {part: {data.names[k].split("/")[1][0] for k in data.numbers(part)}
                for part in ("train", "validation", "test")}  # fmt: skip
        assert held["test"] == {str(fold)}
        assert held["validation"] == {str(fold % 5 + 1)}
        assert len(held["train"]) == 3
        assert torch.bincount(data.test.targets).tolist() == [8] * 10
        assert len(data.train) == 240


def test_classes_may_be_chosen(made_up_esc10: Path) -> None:
    data = ESC10(EAR, classes=("rooster", "rain"), seconds=0.2, folder=made_up_esc10)
    assert data.names[0].startswith("rooster/")
    assert torch.bincount(data.train.targets).tolist() == [32, 32]
    with pytest.raises(ParameterError, match="Did you mean 'rain'"):
        ESC10(EAR, classes=("rains", "rooster"))
    with pytest.raises(ParameterError, match="at least two"):
        ESC10(EAR, classes=("rain", "rain"))
    with pytest.raises(ParameterError, match="from 1 to 5"):
        ESC10(EAR, fold=0)


def test_scenes_have_a_foreground_of_their_own_fold(made_up_esc10: Path) -> None:
    options = {"seconds": 0.2, "folder": made_up_esc10}
    data = AmbientScenes(EAR, snr=(0.0, 0.0), **options)
    assert data.classes == BACKGROUNDS
    clip = next(clip for clip in data.clips() if "/3-" in clip.name)
    wave = load(io.BytesIO(bytes(clip.source)), 8000)  # pyright: ignore[reportArgumentType]
    fitted = data.hearing.fit(wave)
    added = [data.scene(clip, fitted, copy) - fitted for copy in range(12)]
    frequency = np.fft.rfftfreq(1600, 1 / 8000)
    heard = {round(float(frequency[np.abs(np.fft.rfft(part)).argmax()])) for part in added}
    others = {200.0 + 300 * (k + 1) for k, name in enumerate(CLASSES) if name not in BACKGROUNDS}
    assert len(heard) > 2
    assert all(min(abs(hertz - other) for other in others) < 10 for hertz in heard)
    sounds = data._foregrounds[3].sounds
    assert len(sounds) == 48
    assert np.array_equal(data.scene(clip, fitted, 0) - fitted, added[0])


def test_an_esc10_archive_that_lacks_clips_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "esc10" / "esc10-ogg.tar", {"./002 - Rain/1-1-A.ogg": wav(tone(200.0))})
    with pytest.raises(DataError, match="1 of 40 clips of 'rain'"):
        len(ESC10(EAR, classes=("rain", "rooster"), folder=tmp_path).train)


def test_keywords_are_dealt_out_to_five_folds(tmp_path: Path) -> None:
    members = {
        f"./{word}/{k}.wav": wav(tone(300.0 * (n + 1), 800))
        for n, word in enumerate(("computer", "snowboy", "view_glass"))
        for k in range(60)
    }
    pack(tmp_path / "keywords" / "keywords-3x60-wav.tar.xz", members)
    tested = []
    for fold in range(5):
        data = Keywords(EAR, seconds=0.1, fold=fold, folder=tmp_path)
        assert torch.bincount(data.test.targets).tolist() == [12] * 3
        assert (len(data.train), len(data.validation)) == (144, 0)
        tested += data.numbers("test").tolist()
    assert sorted(tested) == list(range(180))
    with pytest.raises(ParameterError, match="from 0 to 4"):
        Keywords(EAR, fold=5)


def test_keywords_that_lack_clips_are_refused(tmp_path: Path) -> None:
    pack(tmp_path / "keywords" / "keywords-3x60-wav.tar.xz", {"computer/1.wav": wav(tone(300.0))})
    with pytest.raises(DataError, match="1 of 60 clips of 'computer'"):
        len(Keywords(EAR, folder=tmp_path).train)


def test_spoken_digits_have_the_published_split(made_up_digits: Path) -> None:
    data = SpokenDigits(EAR, seconds=0.1, folder=made_up_digits)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [2400, 300, 300]
    assert torch.bincount(data.test.targets).tolist() == [30] * 10
    x, y = data.test.batch(range(10))
    assert x.shape == (10, 10, 16)
    assert y.tolist() == list(range(10))
    with pytest.raises(ParameterError, match="below the 45"):
        SpokenDigits(EAR, validation=45)


SPEAKERS = [f"{number:08x}" for number in range(40)]


@pytest.fixture
def made_up_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    members = {"./_background_noise_/hum.wav": wav(tone(100.0), 16000), "./README.md": b""}
    for speaker in SPEAKERS:
        for take in range(2):
            for word, hertz in (("yes", 400.0), ("no", 900.0), ("bed", 200.0)):
                raw = wav(tone(hertz, 1600), 16000)
                members[f"./{word}/{speaker}_nohash_{take}.wav"] = raw
    name = "speech-commands/speech_commands_v0.02.tar.gz"
    pack(tmp_path / name, members)
    file = dataclasses.replace(SpeechCommands.source.files[0], sha256=None)
    source = dataclasses.replace(SpeechCommands.source, files=(file,))
    monkeypatch.setattr(SpeechCommands, "source", source)
    return tmp_path


def test_speech_commands_keep_each_speaker_in_one_part(made_up_commands: Path) -> None:
    data = SpeechCommands(EAR, words=("yes", "no"), seconds=0.1, folder=made_up_commands)
    sizes = {part: len(getattr(data, part)) for part in ("train", "validation", "test")}
    assert sum(sizes.values()) == 160
    assert sizes["train"] > 2 * sizes["test"] > 0 < sizes["validation"]
    for part in sizes:
        speakers = {data.names[k].split("/")[1][:8] for k in data.numbers(part)}
        assert speakers == {s for s in SPEAKERS if part_of(f"{s}_nohash_0.wav") == part}
    labels = {data.names[k].split("/")[0]: int(y)
              for k, y in zip(data.numbers("test"), data.test.targets, strict=True)}  # fmt: skip
    assert labels == {"yes": 0, "no": 1}


def test_unknown_words_and_an_archive_without_clips_are_refused(made_up_commands: Path) -> None:
    with pytest.raises(ParameterError, match="Did you mean 'yes'"):
        SpeechCommands(EAR, words=("yess", "no"))
    with pytest.raises(DataError, match="no clip of the words"):
        len(SpeechCommands(EAR, words=("cat", "dog"), folder=made_up_commands).train)
    path = made_up_commands / "speech-commands" / "speech_commands_v0.02.tar.gz"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="cannot be read"):
        len(SpeechCommands(EAR, words=("yes", "no"), folder=made_up_commands).train)


def test_the_real_keywords_are_whole(shared_data: Path) -> None:
    data = Keywords(LogEnergy(16000, channels=4), folder=shared_data)
    assert torch.bincount(data.test.targets).tolist() == [12] * 3
    assert data.report.clips == 180
    assert data.test.values.float().sum((1, 2, 3)).min() > 0
