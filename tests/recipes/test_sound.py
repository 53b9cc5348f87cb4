from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sounds import tone, wav, write_folder
from spikewright.data import AmbientScenes
from spikewright.data.clip_split import stream_order
from spikewright.detection import Listener
from spikewright.errors import DataError, SettingsError
from spikewright.recipes import recipe
from spikewright.recipes.ambient_sound import AHEAD, CNN, QUANTISED, WINDOW
from spikewright.recipes.core.baselines import CausalCNN
from spikewright.recipes.core.run import Outcome, run
from spikewright.recipes.core.sound import streamed, streaming_metrics
from spikewright.settings import Source

pytest.importorskip("soundfile")

SMALL = {
    "front_end": "levels",
    "rate": 8000,
    "copies": 1,
    "epochs": 1,
    "hidden": (6,),
    "synapses": (2,),
    "threads": 1,
}


@pytest.fixture(scope="module", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path_factory.mktemp("kept")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sounds") / "recordings"
    return write_folder(place, {"high": 1500.0, "low": 200.0}, clips=10)


def trained(folder: Path, place: Path, **changes: Any) -> Outcome:
    found = recipe("folder")
    values = SMALL | {"path": str(folder), "length": 0.4, "window": 0.2} | changes
    settings = found.settings(sources=[Source("test", values)])
    return run(found, settings, place, progress=False)


@pytest.fixture(scope="module")
def outcome(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    at = tmp_path_factory.mktemp("run")
    return trained(
        folder, at, epochs=100, learning_rate=5e-3, hidden=(12,), target="simulator", threshold=0.6
    )


def test_a_folder_of_two_tones_is_learned(outcome: Outcome) -> None:
    assert outcome.test.metrics["accuracy"] == 1.0
    assert outcome.parts.data.report.clips == 20


def test_what_was_compiled_listens_without_any_code(outcome: Outcome) -> None:
    names = [stage.name for stage in outcome.stages]
    assert names == ["software", "simulator", "simulator, in the loop"]
    assert outcome.stages[-1].accuracy == 100.0
    listening = Listener.load(outcome.folder / "simulator" / "program").start()
    sounds = [tone(200.0, 8000), tone(1500.0, 8000), tone(200.0, 8000)]
    found = listening.hear(np.concatenate(sounds) / 2**15)
    assert [one.label for one in found] == ["low", "high", "low"]
    assert all(k < one.time < k + 0.5 for k, one in enumerate(found))


def test_a_stream_of_test_clips_is_one_long_run_of_the_network(outcome: Outcome) -> None:
    assert outcome.parts.data.hearing.lead_steps == outcome.parts.rule.decoder.skip == 40
    outputs, targets = streamed(outcome)
    data, network = outcome.parts.data, outcome.parts.network
    assert outputs.shape == (4, 40, 2)
    frames, order = data.stream("test")
    assert torch.equal(targets, data.test.targets[order[:, 0]])
    again, _ = streamed(outcome)
    assert torch.equal(outputs, again)
    # The network is left as it went on in the loop; what was heard is the one before.
    name, last = next(iter(outcome.stages[-1].weights.items()))
    assert torch.equal(network.state_dict()[name], last)
    network = copy.deepcopy(network)
    network.load_state_dict(outcome.stages[0].weights)
    with torch.no_grad():
        whole, _ = network(frames[order[:, 0], 0].reshape(-1, 1, 16).float())
        fresh, _ = network(frames[order[1, 0], :1].float().transpose(0, 1))
    assert torch.equal(outputs.flatten(0, 1), whole[:, 0])
    assert not torch.equal(outputs[1], fresh[:, 0])


def test_streaming_accuracies_count_clips_seconds_and_times_since_the_beginning() -> None:
    outputs = torch.zeros(2, 250, 2)
    outputs[..., 0] = 1.0  # class 0 throughout
    outputs[1, 120:, 1] = 3.0  # then, of the second clip, class 1
    found = streaming_metrics(outputs, torch.tensor([0, 1]), 10e-3, (1.0, 1.5, 2.0))
    assert found == {
        "per clip, %": 100.0,
        "per 1 s window, %": 75.0,
        "after 1 s, %": 50.0,
        "after 1.5 s, %": 50.0,
        "after 2 s, %": 100.0,
    }


def test_a_run_without_a_folder_says_how_to_name_one() -> None:
    with pytest.raises(SettingsError, match="spikewright run folder PATH"):
        recipe("folder").data(recipe("folder").settings())


def test_a_clip_that_cannot_be_read_is_refused_or_skipped(folder: Path, tmp_path: Path) -> None:
    bad = folder / "low" / "5b.wav"
    bad.write_bytes(wav(torch.zeros(800).numpy())[:-100])
    try:
        with pytest.raises(DataError, match=r"5b\.wav"):
            trained(folder, tmp_path / "refused")
        done = trained(folder, tmp_path / "skipped", on_error="skip")
    finally:
        bad.unlink()
    assert [name for name, _ in done.parts.data.report.skipped] == ["low/5b.wav"]


def test_a_cnn_gives_the_same_in_pieces() -> None:
    torch.manual_seed(0)
    cnn = CausalCNN(3, 2, 4).eval()
    x = torch.randn(40, 2, 3)
    whole, last = cnn(x)
    first, state = cnn(x[:7])
    second, end = cnn(x[7:], state)
    assert torch.allclose(torch.cat([first, second]), whole, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(last, end, strict=True))
    x[20:] += 1.0
    assert torch.equal(cnn(x)[0][:20], whole[:20])


def test_ambient_sound_measures_all_folds_of_both_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The frames stand in for the recordings: what is loud is the class.
    labels = torch.arange(4).repeat_interleave(10)
    frames = torch.zeros(40, 1, 20, 16)
    for clip, label in enumerate(labels.tolist()):
        frames[clip, :, :, 4 * label : 4 * label + 4] = 6.0
    names = [f"{label}/{clip % 5 + 1}-{clip}.ogg" for clip, label in enumerate(labels.tolist())]
    monkeypatch.setattr(AmbientScenes, "_features", {"frames": frames, "labels": labels})
    monkeypatch.setattr(AmbientScenes, "names", names)

    def stream(self: AmbientScenes, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = frames[self.numbers(part)]
        return chosen, stream_order(len(chosen), 1, 0)

    monkeypatch.setattr(AmbientScenes, "stream", stream)
    found = recipe("ambient-sound")
    values = SMALL | {
        "length": 0.2,
        "window": 0.1,
        "epochs": 2,
        "target": "simulator",
        "loop_epochs": 1,
    }
    monkeypatch.setattr("spikewright.recipes.ambient_sound.LATENCIES", (0.1, 0.2))
    monkeypatch.setattr("spikewright.recipes.core.sound.SECOND", 0.1)
    settings = found.settings(sources=[Source("test", values)])
    measured = found.measure(settings, tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures} <= measured.keys()
    results = [
        json.loads((tmp_path / f"synnet, fold {k}" / "result.json").read_text())["metrics"]
        for k in range(1, 6)
    ]
    lost = [it["simulator: test accuracy, %"] - it["test accuracy, %"] for it in results]
    assert measured[QUANTISED] == pytest.approx(sum(lost) / 5)
    assert measured[AHEAD] == measured[WINDOW] - measured[CNN + WINDOW]
    folds = [measured[f"fold {k}: per clip, %"] for k in range(1, 6)]
    assert measured["per clip, %"] == pytest.approx(sum(folds) / 5)
    (curve,) = (sweep.curve([measured]) for sweep in found.sweeps)
    assert curve is not None
    assert curve.lines["CNN"].x == (0.1, 0.2)
