"""Every mistake on the command line is one line that says what was meant, and an exit status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikewright.errors import SettingsError
from spikewright.recipes import RECIPES

Call = Callable[..., Any]
MISTAKES = {
    "recipe": (["run", "yin-yan"], "got 'yin-yan'. Did you mean 'yin-yang'?"),
    "size": (["run", "yin-yang", "--size", "smal"], "got 'smal'. Did you mean 'small'?"),
    "key": (["run", "yin-yang", "--set", "epoch=3"], "key in --set must be a known setting, got"),
    "nearest key": (["doctor", "yin-yang", "--set", "widht=3"], "Did you mean 'width'?"),
    "no value": (["run", "yin-yang", "--set", "epochs"], "--set must be followed by key=value"),
    "word": (["run", "yin-yang", "--set", "epochs=many"], "must be a valid integer, got 'many'"),
    "range": (["run", "yin-yang", "--epochs", "0"], "epochs in --epochs must be greater than or"),
    "choice": (["run", "yin-yang", "--set", "order=exat"], "must be 'held', 'exact' or 'euler'"),
    "float": (["settings", "yin-yang", "--set", "epochs=2.5"], "epochs in --set must be a valid"),
    "seeds": (["reproduce", "yin-yang", "--seeds", "0"], "seeds must be at least 1, got 0"),
    "no file": (["run", "--config", "none.toml"], "none.toml must be a readable file, got No such"),
    "bench": (["bench", "engin"], "bench: name must be a known bench, got 'engin'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_with_status_2_and_one_line(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, said = MISTAKES[name]
    done = call(*words)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_data_set_ends_with_status_1(call: Call) -> None:
    done = call("data", "verify", "fashion-mist")
    assert done.exit_code == 1
    assert "Did you mean 'fashion-mnist'?" in done.stderr


def test_debug_shows_the_error_itself(call: Call) -> None:
    assert isinstance(call("--debug", "run", "yin-yan").exception, SettingsError)


def test_an_unknown_key_in_a_file_names_the_file(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('recipe = "yin-yang"\nhiden = 3\n')
    done = call("settings", "--config", path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"key in {path} must be a known setting, got 'hiden'. Did you mean 'hidden'?" in (
        done.stderr
    )


def test_a_file_that_is_no_toml_is_named(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("epochs = = 3\n")
    assert f"{path} must be TOML, got Invalid value" in call("run", "--config", path).stderr


def test_a_file_for_another_recipe_is_refused(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('recipe = "yin-yang"\n')
    done = call("settings", "fashion-mnist", "--config", path)
    assert done.exit_code == 2
    assert f"recipe must be that of {path}, 'yin-yang', got 'fashion-mnist'" in done.stderr


def test_a_file_that_names_no_recipe_asks_for_one(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("epochs = 3\n")
    done = call("run", "--config", path)
    assert done.exit_code == 2
    assert f"Known: {', '.join(RECIPES.names())}" in done.stderr
