from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from detection.listeners import CLASSES, EAR, RATE, make_listener, sound
from spikewright.audio import LogEnergy, XyloFrontEnd
from spikewright.audio.xylo_front_end import Mismatch
from spikewright.detection import Detection, Detector, Listener
from spikewright.detection.sound import RawStream
from spikewright.errors import ParameterError, ProgramError


@pytest.fixture(scope="module")
def listener() -> Listener:
    return make_listener()


def hear(listener: Listener, parts: Iterator[np.ndarray] | list[np.ndarray]) -> list[Detection]:
    listening = listener.start()
    return [found for part in parts for found in listening.hear(part)]


def test_each_tone_is_told_once_soon_after_it_begins(listener: Listener) -> None:
    found = hear(listener, [sound()])
    assert [one.label for one in found] == ["low", "high"]
    assert 1.0 < found[0].time < 1.3
    assert 3.0 < found[1].time < 3.3


@pytest.mark.parametrize("block", [1, 79, 800, 5000])
def test_detections_do_not_depend_on_the_blocks(listener: Listener, block: int) -> None:
    samples = sound()[RATE - 1000 : 2 * RATE] if block == 1 else sound()
    parts = np.split(samples, range(block, len(samples), block))
    assert hear(listener, parts) == hear(listener, [samples])


def test_what_was_heard_is_counted_and_nothing_else_is_kept(listener: Listener) -> None:
    listening = listener.start()
    for part in np.split(sound(), 8):
        listening.hear(part)
    assert (listening.samples, listening.seconds, listening.steps) == (4 * RATE, 4.0, 400)


def test_a_listener_from_a_folder_hears_the_same(listener: Listener, tmp_path: Path) -> None:
    listener.save(tmp_path / "ears")
    assert hear(Listener.load(tmp_path / "ears"), [sound()]) == hear(listener, [sound()])


def test_a_front_end_with_mismatch_comes_back_from_its_file(tmp_path: Path) -> None:
    ear = XyloFrontEnd(rate=400, mismatch=Mismatch(seed=3))
    detector = Detector(CLASSES, ear.dt)
    net = make_listener().program
    assert ear.channels == 4  # those of the program
    Listener(net, ear, detector).save(tmp_path)
    assert Listener.load(tmp_path).front_end == ear
    assert Listener.load(tmp_path).detector == detector


def test_parts_of_other_dt_or_sizes_are_refused(listener: Listener) -> None:
    with pytest.raises(ParameterError, match="dt must be one for all"):
        Listener(listener.program, LogEnergy(RATE, dt=5e-3, channels=4), listener.detector)
    with pytest.raises(ParameterError, match="the 4 channels of the program's input"):
        Listener(listener.program, LogEnergy(RATE, channels=5), listener.detector)
    with pytest.raises(ParameterError, match="its 3 outputs, got 4 and 2"):
        Listener(listener.program, EAR, Detector(("a", "b"), EAR.dt))


def test_a_program_without_an_ear_is_refused(listener: Listener, tmp_path: Path) -> None:
    listener.program.save(tmp_path)
    with pytest.raises(ProgramError, match=r"listener\.json must exist, got a program without"):
        Listener.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": "other"}, "its format is 'other'"),
        ({"front_end": {"kind": "LogEnergi"}}, "Did you mean 'LogEnergy'"),
        ({"detector": {"classes": ["a"]}}, "background"),
        ({"front_end": {"kind": "LogEnergy", "rate": -1}}, "rate must be whole Hz"),
        ({"detector": None}, "NoneType"),
    ],
)
def test_a_damaged_file_names_itself_and_its_fault(
    listener: Listener, tmp_path: Path, change: dict, fault: str
) -> None:
    listener.save(tmp_path)
    path = tmp_path / "listener.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ProgramError, match=rf"listener\.json must be what save wrote.*{fault}"):
        Listener.load(tmp_path)


def test_a_front_end_of_ones_own_cannot_be_saved(listener: Listener, tmp_path: Path) -> None:
    class Mine:
        rate, channels, dt = RATE, 4, EAR.dt

        def initial(self) -> None: ...

        def __call__(self, samples: np.ndarray, state: object = None) -> tuple[np.ndarray, None]:
            return np.zeros((0, 4), np.float32), None

    mine = dataclasses.replace(listener, front_end=Mine())
    with pytest.raises(
        ProgramError, match="front end must be one of LogEnergy, Modulation, XyloFrontEnd"
    ):
        mine.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_kind_of_a_known_front_end_that_no_file_can_name_is_refused(
    listener: Listener, tmp_path: Path
) -> None:
    class Mine(LogEnergy): ...

    mine = dataclasses.replace(listener, front_end=Mine(RATE, channels=4))
    with pytest.raises(ProgramError, match="got Mine"):
        mine.save(tmp_path)


def test_options_may_be_numbers_of_numpy(listener: Listener, tmp_path: Path) -> None:
    detector = dataclasses.replace(listener.detector, threshold=np.float32(0.75))
    dataclasses.replace(listener, detector=detector).save(tmp_path)
    assert Listener.load(tmp_path).detector.threshold == 0.75


class Trickle(io.BytesIO):
    """A pipe that hands out a few bytes at a time, whatever is asked for."""

    def read1(self, size: int | None = -1) -> bytes:
        return super().read1(min(size or 0, 7))


@pytest.mark.parametrize("stream", [io.BytesIO, Trickle])
def test_raw_samples_are_the_same_however_they_arrive(stream: type[io.BytesIO]) -> None:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 501).astype("<i2")
    raw = RawStream(stream(samples.tobytes() + b"\x01"), RATE, RATE)
    heard = np.concatenate(list(raw.blocks(100)))
    assert np.array_equal(heard * 2**15, samples)
    assert raw.left == 1


def test_raw_samples_of_another_rate_are_resampled() -> None:
    samples = (10000 * np.sin(np.arange(4000) / 20)).astype("<i2")
    raw = RawStream(Trickle(samples.tobytes()), 4000, RATE)
    heard = np.concatenate(list(raw.blocks(100)))
    assert len(heard) == RATE
    np.testing.assert_allclose(heard[2000], samples[1000] / 2**15, atol=1e-3)
    assert heard.dtype == np.float32  # as those of a file


@pytest.mark.parametrize("rate", [2000, RATE, 4 * RATE])
def test_blocks_of_raw_samples_are_as_long_as_asked_for_at_any_rate(rate: int) -> None:
    blocks = list(RawStream(io.BytesIO(bytes(2 * rate)), rate, RATE).blocks(RATE // 10))
    assert sum(map(len, blocks)) == RATE
    assert max(map(len, blocks)) <= RATE // 10
    assert len(blocks) <= 11


def test_silence_and_no_samples_bring_no_detections(listener: Listener) -> None:
    listening = listener.start()
    assert listening.hear(np.empty(0)) == []
    assert listening.hear(np.zeros(RATE)) == []


def test_streamed_outputs_equal_the_whole_run_for_integer_weights() -> None:
    program = make_listener(weights=8).program
    frames, _ = EAR(sound())
    x = torch.from_numpy(frames)
    whole, stream = program.run(x.unsqueeze(1)).squeeze(1), program.stream()
    parts = [stream.run(part) for part in x.split([1, 2, 97, 200, 100])]
    assert torch.equal(torch.cat(parts), whole)
