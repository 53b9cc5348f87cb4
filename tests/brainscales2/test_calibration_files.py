"""Settings are saved whole or not at all, and damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikewright.errors import ProgramError
from spikewright.targets.brainscales2.calibration import load_settings, nominal, save_settings
from spikewright.targets.brainscales2.settings import Settings, same_for_all


@pytest.fixture
def settings() -> Settings:
    plain = nominal(same_for_all())
    return Settings(plain.codes, plain.measured, {4: "it does not fire"})


def test_settings_come_back_as_they_were(tmp_path: Path, settings: Settings) -> None:
    save_settings(tmp_path / "chip", settings)
    found = load_settings(tmp_path / "chip")
    assert found.dead == settings.dead
    for name in settings.codes:
        assert np.array_equal(found.codes[name], settings.codes[name])
        assert found.codes[name].dtype == np.int16
        assert np.array_equal(found.measured[name], settings.measured[name])


def test_a_second_save_replaces_the_first(tmp_path: Path, settings: Settings) -> None:
    save_settings(tmp_path, settings)
    save_settings(tmp_path, nominal(same_for_all(v_leak=130.0)))
    assert load_settings(tmp_path).codes["v_leak"][0] == 500
    assert len(list(tmp_path.iterdir())) == 2


def test_every_damaged_byte_is_noticed(tmp_path: Path, settings: Settings) -> None:
    save_settings(tmp_path, settings)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 2):
            broken = bytearray(whole)
            broken[place] ^= 1
            path.write_bytes(bytes(broken))
            with pytest.raises(ProgramError, match="must be a whole calibration, got a fault"):
                load_settings(tmp_path)
        path.write_bytes(whole[:-40])
        with pytest.raises(ProgramError, match="load_settings"):
            load_settings(tmp_path)
        path.write_bytes(whole)
    load_settings(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"nowhere must be a whole calibration.*is missing"):
        load_settings(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tau_mem": np.full(512, 1023, np.int16)}, "codes of tau_mem are not from 0 to 1022"),
        ({"tau_mem": np.full(3, 7, np.int16)}, "'code.tau_mem' is not what a calibration holds"),
        ({"speed": np.full(512, 7, np.int16)}, "'code.speed' is not what a calibration holds"),
        ({"tau_mem": None}, "there is nothing for tau_mem"),
    ],
)
def test_files_with_other_content_are_refused(
    tmp_path: Path, settings: Settings, change: dict[str, np.ndarray | None], fault: str
) -> None:
    codes = {name: c for name, c in {**settings.codes, **change}.items() if c is not None}
    save_settings(tmp_path, Settings(codes, settings.measured, {}))
    with pytest.raises(ProgramError, match=fault):
        load_settings(tmp_path)


@pytest.mark.parametrize("dead", [{512: "far"}, {-1: "near"}])
def test_dead_circuits_outside_the_chip_are_refused(
    tmp_path: Path, settings: Settings, dead: dict[int, str]
) -> None:
    save_settings(tmp_path, Settings(settings.codes, settings.measured, dead))
    with pytest.raises(ProgramError, match="a dead circuit is not from 0 to 511"):
        load_settings(tmp_path)


def test_a_save_that_fails_leaves_the_one_before(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikewright import files

    save_settings(tmp_path, settings)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(ProgramError, match=r"must be writable, got .*No space left"):
        save_settings(tmp_path, nominal(same_for_all(tau_mem=12e-6)))
    assert load_settings(tmp_path).dead == settings.dead
