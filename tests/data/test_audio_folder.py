from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sounds import tone, wav, write_folder
from spikewright.audio import Foreground, Gain, LogEnergy, Noise, XyloFrontEnd
from spikewright.data import AudioFolder
from spikewright.errors import DataError, ParameterError

soundfile = pytest.importorskip("soundfile")

EAR = LogEnergy(8000)
CLASSES = {"high": 1500.0, "low": 200.0}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path / "kept"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "sounds", CLASSES)


def opened(folder: Path, **options: Any) -> AudioFolder:
    return AudioFolder(folder, EAR, **{"seconds": 0.4, "folds": 5} | options)


def test_labels_are_the_folders_and_frames_those_of_the_front_end(folder: Path) -> None:
    data = opened(folder)
    assert data.classes == ("high", "low")
    x, y = data.test.batch([1, 0])
    assert x.shape == (40, 2, 16)
    assert y.tolist() == [1, 0]
    name = data.names[int(data.numbers("test")[1])]
    assert name.startswith("low/")
    sound = soundfile.read(folder / name)[0]
    assert np.array_equal(x[:, 0].numpy(), EAR(sound)[0])
    assert str(data.report) == "10 clips"


def test_every_file_is_tested_in_one_fold_and_never_trained_there(folder: Path) -> None:
    tested = []
    for fold in range(5):
        data = opened(folder, fold=fold)
        parts = {part: set(data.numbers(part).tolist()) for part in ("train", "validation", "test")}
        assert sorted(k for chosen in parts.values() for k in chosen) == list(range(10))
        assert torch.bincount(data.test.targets).tolist() == [1, 1]
        assert len(parts["validation"]) == 2
        tested += parts["test"]
    assert sorted(tested) == list(range(10))
    drawn = [opened(folder, seed=seed).numbers("test").tolist() for seed in range(6)]
    assert drawn[0] == opened(folder, seed=0).numbers("test").tolist()
    assert len(set(map(tuple, drawn))) > 1


RELATIVE = LogEnergy(8000, tau_loudness=0.5)
"""It takes what it heard in the last half second as the measure."""


def streamed(folder: Path, **options: Any) -> AudioFolder:
    """Each clip at a loudness of its own."""
    for name in ("high", "low"):
        for k, file in enumerate(sorted((folder / name).iterdir())):
            file.write_bytes(wav((tone(CLASSES[name], 3200) * 0.5 ** (2 * k)).astype(np.int16)))
    return AudioFolder(folder, RELATIVE, **{"seconds": 0.4, "folds": 5, "lead": 0.3} | options)


def sounds(folder: Path, data: AudioFolder, part: str) -> list[Any]:
    names = [data.names[k] for k in data.numbers(part).tolist()]
    return [soundfile.read(folder / name)[0][:3200] for name in names]


def test_with_a_lead_a_part_is_heard_as_one_stream_that_goes_round(folder: Path) -> None:
    data = streamed(folder)
    for part in ("train", "validation", "test"):
        frames, order = data.stream(part)
        waves = [sounds(folder, data, part)[k] for k in order[:, 0].tolist()]
        whole = RELATIVE(np.concatenate([waves[-1], *waves]))[0][40:]
        assert np.array_equal(frames[order[:, 0], 0].reshape(-1, 16).float(), whole)
        assert torch.equal(getattr(data, part).values, frames)
        assert not np.array_equal(frames[order[-1, 0], 0].float(), RELATIVE(waves[-1])[0])


def test_before_a_sample_comes_what_the_stream_has_there(folder: Path) -> None:
    data = streamed(folder, window=0.2)
    assert (data.steps, data.test.steps, data.train.steps) == (40, 70, 50)
    frames, order = data.stream("test")
    x, _ = data.test.batch(order[:, 0])
    ends = frames[order[:, 0].roll(1), 0, 10:].float()
    assert torch.equal(x[:30].transpose(0, 1), ends)
    assert torch.equal(x[30:].transpose(0, 1), frames[order[:, 0], 0].float())
    frames, order = data.stream("train")
    round_and_round = torch.cat([frames[order[-1, 0], 0], *frames[order[:, 0], 0]]).float()
    numbers = torch.arange(6).repeat(20)
    x, _ = data.train.batch(numbers, torch.Generator().manual_seed(0))
    begin = torch.empty(6, dtype=torch.int64)
    begin[order[:, 0]] = 40 * torch.arange(1, 7)
    firsts = set()
    for sample, number in zip(x.transpose(0, 1), numbers.tolist(), strict=True):
        own = [k for k in range(21)
               if torch.equal(sample, round_and_round[begin[number] + k - 30 :][:50])]  # fmt: skip
        assert own
        firsts.update(own)
    assert len(firsts) > 10
    again = data.train.batch(numbers, torch.Generator().manual_seed(0))[0]
    assert torch.equal(x, again)


def test_the_streams_of_copies_have_orders_of_their_own(folder: Path) -> None:
    data = streamed(folder, copies=3, augment=(Gain(-30.0, -20.0),))
    frames, order = data.stream("train")
    assert frames.shape == (6, 3, 40, 16)
    assert len({tuple(column) for column in order.T.tolist()}) > 1
    assert [column.sort().values.tolist() for column in order.T] == [list(range(6))] * 3
    assert torch.equal(frames[:, :1], streamed(folder).stream("train")[0])
    assert data.stream("test")[0].shape == (2, 1, 40, 16)
    none = streamed(folder, validation=False)
    assert len(none.validation) == 0


def test_other_rates_channels_and_lengths_are_brought_to_one_form(folder: Path) -> None:
    stereo = np.repeat(tone(100.0, 6400)[:, None], 2, 1) / 32768
    soundfile.write(folder / "low" / "stereo.flac", stereo, 16000)
    (folder / "low" / "short.wav").write_bytes(wav(tone(200.0, 160)))
    (folder / "low" / "long.wav").write_bytes(wav(tone(200.0, 9600)))
    (folder / "low" / "notes.txt").write_text("no sound")
    (folder / "low" / ".hidden.wav").write_bytes(b"")
    data = opened(folder)
    assert data.report.clips == 13
    assert data.report.longer == 1
    frames = {name: row for part in ("train", "validation", "test")
              for name, row in zip((data.names[k] for k in data.numbers(part)),
                                   getattr(data, part).values[:, 0], strict=True)}  # fmt: skip
    assert not frames["low/short.wav"][10:].any()
    full = frames["low/long.wav"].float()
    assert (frames["low/stereo.flac"].float() - full).abs().max() <= 2
    assert full[5:].sum() > 0


def test_silent_and_clipped_clips_are_told_of(folder: Path) -> None:
    (folder / "low" / "silent.wav").write_bytes(wav(np.zeros(3200)))
    (folder / "low" / "loud.wav").write_bytes(
        wav(np.clip(tone(200.0, 3200, 90000.0), -32768, 32767))
    )
    report = opened(folder).report
    assert report.silent == ("low/silent.wav",)
    assert report.clipped == ("low/loud.wav",)
    assert str(report) == "12 clips, 1 silent, 1 clipped"


def damage(folder: Path) -> dict[str, str]:
    """Clips that cannot be used, in the middle of the folder, and what is wrong with each."""
    sound = 0.1 * np.random.default_rng(0).normal(size=40000)
    soundfile.write(folder / "high" / "2b.ogg", sound, 8000)
    raw = (folder / "high" / "2b.ogg").read_bytes()
    middle = len(raw) // 2
    (folder / "high" / "2b.ogg").write_bytes(raw[:middle] + bytes(2000) + raw[middle + 2000 :])
    (folder / "low" / "2b.wav").write_bytes(wav(np.zeros(0)))
    broken = tone(200.0, 3200) / 32768
    broken[7] = np.nan
    soundfile.write(folder / "low" / "3b.wav", broken, 8000, subtype="FLOAT")
    return {"high/2b.ogg": "a damaged page", "low/2b.wav": "samples", "low/3b.wav": "NaN"}


def test_a_clip_that_cannot_be_used_is_refused_by_name(folder: Path) -> None:
    for name, fault in damage(folder).items():
        others = [path for path in damage(folder) if path != name]
        for other in others:
            (folder / other).unlink()
        with pytest.raises(DataError, match=fault) as caught:
            len(opened(folder).train)
        assert name in str(caught.value)


def test_or_skipped_with_a_count_if_the_flag_says_so(folder: Path) -> None:
    faults = damage(folder)
    data = opened(folder, on_error="skip")
    assert data.report.clips == 10
    assert {name for name, _ in data.report.skipped} == set(faults)
    for name, fault in data.report.skipped:
        assert faults[name] in fault
    assert "3 skipped" in str(data.report)
    assert not set(faults) & set(data.names)
    assert len(data.train) + len(data.validation) + len(data.test) == 10


def test_copies_train_and_only_the_clips_themselves_are_tested_on(folder: Path) -> None:
    plain = opened(folder)
    data = opened(folder, copies=3, augment=(Gain(-30.0, -20.0), Noise(0.0, 5.0)))
    assert data.train.values.shape == (6, 3, 40, 16)
    assert torch.equal(data.train.values[:, :1], plain.train.values)
    assert torch.equal(data.test.values, plain.test.values)
    x, _ = data.train.batch([0] * 50, torch.Generator().manual_seed(0))
    among = {tuple(row.flatten().tolist()) for row in data.train.values[0].float()}
    assert {tuple(row.flatten().tolist()) for row in x.transpose(0, 1)} == among
    assert len(among) == 3


def test_windows_are_pieces_of_the_clips(folder: Path) -> None:
    random = np.random.default_rng(0)
    for path in folder.glob("*/*.wav"):
        path.write_bytes(wav(3000 * random.normal(size=3200)))
    data = opened(folder, window=0.1)
    assert (data.train.steps, data.test.steps) == (10, 40)
    x, _ = data.train.batch([0] * 40, torch.Generator().manual_seed(0))
    whole = data.train.values[0, 0].float()
    pieces = {tuple(whole[k : k + 10].flatten().tolist()) for k in range(31)}
    found = {tuple(row.flatten().tolist()) for row in x.transpose(0, 1)}
    assert found <= pieces
    assert len(found) > 10


def test_clips_are_heard_once_and_again_only_after_a_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(folder).test.values
    monkeypatch.setattr(AudioFolder, "_hear", lambda _: pytest.fail("heard again"))
    assert torch.equal(opened(folder).test.values, first)
    monkeypatch.undo()
    (folder / "low" / "0.wav").write_bytes(wav(tone(900.0, 4000)))
    assert not torch.equal(opened(folder, fold=0).train.values, opened(folder, fold=1).train.values)
    names = [opened(folder).names, AudioFolder(folder, XyloFrontEnd(8000), seconds=0.4).names]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"folds": 1}, "folds must be a whole number from 2"),
        ({"folds": 2}, "folds at least 3 where one validates"),
        ({"fold": 5}, "fold must be from 0 to 4"),
        ({"seconds": 0.0}, "seconds must lie between"),
        ({"copies": 2}, "Pass both or neither"),
        ({"augment": (Gain(0.0, 1.0),)}, "Pass both or neither"),
        ({"window": 0.5}, "window must lie between"),
        ({"lead": 0.5}, "lead must be 0 or lie between"),
        ({"on_error": "ignore"}, "'refuse' or 'skip'"),
    ],
)
def test_bad_options_are_refused(folder: Path, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        opened(folder, **options)


def test_a_class_with_one_clip_is_refused_by_name(folder: Path) -> None:
    (folder / "rare").mkdir()
    (folder / "rare" / "0.wav").write_bytes(wav(tone(500.0)))
    with pytest.raises(DataError, match=r"at least 3 clips.*got 1 in 'rare'"):
        opened(folder)


def test_a_fold_that_a_class_has_no_clip_in_is_refused_by_name(folder: Path) -> None:
    for clip in (3, 4):
        (folder / "low" / f"{clip}.wav").unlink()
    assert torch.bincount(opened(folder, fold=1, validation=True).test.targets).tolist() == [1, 1]
    for fold in (2, 3):  # validates on or tests a fold of which "low" has nothing
        with pytest.raises(DataError, match=rf"test on fold {fold}, got 3 in 'low'"):
            opened(folder, fold=fold)
    assert torch.bincount(opened(folder, fold=2, validation=False).test.targets).tolist() == [1, 1]


def test_a_folder_of_sounds_in_no_known_format_does_not_vanish(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "notes.txt").write_text("no sound")
    with pytest.raises(DataError, match="got none in 'other'"):
        opened(folder)
    (folder / "other").rename(folder / ".other")
    (folder / "low" / "phone.m4a").write_bytes(b"\0\0\0\x18ftypM4A ")
    (folder / "low" / "link.wav").symlink_to(folder / "gone.wav")
    (folder / "low" / "folder.wav").mkdir()
    assert opened(folder).classes == ("high", "low")
    with pytest.raises(DataError, match=r"link\.wav|phone\.m4a"):
        len(opened(folder).train)
    skipped = opened(folder, on_error="skip").report.skipped
    assert [name for name, _ in skipped] == ["low/link.wav", "low/phone.m4a"]


def test_a_clip_whose_kept_part_is_silent_is_told_of(folder: Path) -> None:
    late = np.concatenate([np.zeros(3200), tone(200.0, 90000)])
    (folder / "low" / "late.wav").write_bytes(wav(late))
    report = opened(folder).report
    assert report.silent == ("low/late.wav",)
    assert report.longer == 1


def test_what_may_change_unseen_is_heard_anew(folder: Path) -> None:
    def louder(wave: np.ndarray, _: torch.Generator) -> np.ndarray:
        return wave * np.float32(factor)

    factor = 0.01
    quiet = opened(folder, copies=2, augment=(louder,)).train.values[:, 1].float().sum()
    factor = 2.0
    assert opened(folder, copies=2, augment=(louder,)).train.values[:, 1].float().sum() > quiet


def test_foregrounds_of_other_sounds_are_not_taken_for_each_other(folder: Path) -> None:
    sound = tone(300.0, 2000).astype(np.float32) / 32768
    other = sound.copy()
    other[500:1500] = 0.0
    frames = [
        opened(folder, copies=2, augment=(Foreground([wave], 0.0, 0.0),)).train.values
        for wave in (sound, other)
    ]
    assert not torch.equal(*frames)


def test_folders_without_classes_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="must be a folder"):
        opened(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="at least two folders"):
        opened(tmp_path / "empty")
