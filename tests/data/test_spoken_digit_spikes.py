from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.coding import SpikeTimes
from spikewright.data import Cochlea, SpokenDigitSpikes
from spikewright.data.free_spoken_digits import SPEAKERS, clip_names, read_clips
from spikewright.data.spoken_digit_spikes import chosen_clips
from spikewright.data.wav import decode_wav
from spikewright.errors import ParameterError

EAR = Cochlea(channels=12)


@pytest.fixture(scope="module", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path_factory.mktemp("kept")))
        yield


def test_every_clip_is_in_one_split_and_keeps_its_digit(made_up_digits: Path) -> None:
    data = SpokenDigitSpikes(ear=EAR, folder=made_up_digits)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [2400, 300, 300]
    for split in splits:
        assert torch.bincount(split.targets).unique().numel() == 1


def test_splits_are_the_official_takes_and_a_speaker_may_be_held_out() -> None:
    names = np.array(clip_names(range(50)))
    held = {part: names[chosen_clips(part, "lucas")] for part in ("train", "validation", "test")}
    assert {name.split("_")[1] for name in held["validation"]} == {"lucas"}
    assert {name.split("_")[1] for name in held["train"]} == set(SPEAKERS) - {"lucas"}
    assert {name[:-4].split("_")[2] for name in held["test"]} == {"0", "1", "2", "3", "4"}
    assert sum(map(len, held.values())) == 3000
    takes = names[chosen_clips("validation", 2)]
    assert {name[:-4].split("_")[2] for name in takes} == {"48", "49"}
    assert not chosen_clips("validation", 0).any()


def test_batches_are_what_the_ear_makes_of_the_clips(made_up_digits: Path) -> None:
    data = SpokenDigitSpikes(ear=EAR, folder=made_up_digits, exact=True)
    x, y = data.test.batch([25])
    clips = read_clips(made_up_digits / "fsdd" / "v1.0.10.zip")
    name = clip_names(range(5))[25]
    expected = EAR.spikes(decode_wav(clips[name], 8000, name), name)
    assert isinstance(x, SpikeTimes)
    assert y.tolist() == [5]
    assert x.duration == 1.0
    assert x.units.tolist() == expected.units.tolist()
    assert np.allclose(x.times.numpy(), expected.times, atol=1e-7)


def test_each_tone_excites_a_place_of_its_own(made_up_digits: Path) -> None:
    data = SpokenDigitSpikes(ear=EAR, folder=made_up_digits, limit=10)
    x, y = data.test.batch(torch.arange(10))
    assert isinstance(x, torch.Tensor)
    heard = EAR.frequencies()[x.sum(0).argmax(1).numpy()]
    assert np.abs(np.log2(heard / (300 * (y.numpy() + 1)))).max() < 0.5


def test_what_was_heard_once_is_not_heard_again(made_up_digits: Path, monkeypatch) -> None:
    first = SpokenDigitSpikes(ear=EAR, folder=made_up_digits).test.values
    monkeypatch.setattr(Cochlea, "spikes", lambda *_, **__: pytest.fail("heard again"))
    assert torch.equal(SpokenDigitSpikes(ear=EAR, folder=made_up_digits).test.values, first)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"validation": 45}, "below the 45 training takes, got 45"),
        ({"validation": "anna"}, "george, jackson, lucas, nicolas, theo, yweweler, got 'anna'"),
        ({"ear": Cochlea(rate=16000.0)}, "ear must hear at the clips' 8000 Hz, got 16000 Hz"),
        ({"steps": 0}, "steps must be"),
        ({"limit": 0}, "limit must be"),
    ],
)
def test_bad_settings_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        SpokenDigitSpikes(**options)


def test_a_linear_read_out_tells_the_real_digits_apart(shared_data: Path) -> None:
    data = SpokenDigitSpikes(
        dt=0.08, steps=10, ear=Cochlea(channels=70), folder=shared_data, validation=0
    )
    features = []
    for split in (data.train, data.test):
        x, _ = split.batch(torch.arange(len(split)))
        assert isinstance(x, torch.Tensor)
        features.append(x.transpose(0, 1).flatten(1).sqrt().double())
    scale = features[0].std(0) + 1e-6
    train, test = ((part - features[0].mean(0)) / scale for part in features)
    wanted = torch.eye(10, dtype=torch.float64)[data.train.targets]
    ridge = 300 * torch.eye(700, dtype=torch.float64)
    weights = torch.linalg.solve(train.T @ train + ridge, train.T @ (wanted - 0.1))
    accuracy = ((test @ weights).argmax(1) == data.test.targets).double().mean()
    assert accuracy > 0.85
