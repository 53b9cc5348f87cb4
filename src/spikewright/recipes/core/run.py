"""Run a recipe: make data and network, train, evaluate on the test set."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.errors import SettingsError
from spikewright.files import write_json, write_text
from spikewright.learning.rule import Rule
from spikewright.network import Network
from spikewright.recipes.core.hardware import Examiner, Interrupted, Stage, deploy
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.say import Say, silent
from spikewright.settings import to_toml
from spikewright.training import Evaluation, FitResult, evaluate, fit, has_checkpoint

SETTINGS_FILE = "settings.toml"
RESULT_FILE = "result.json"
MAY_CHANGE = ("epochs", "seconds", "threads")


class Stopped(KeyboardInterrupt):
    """Training was stopped by Ctrl-C, after all was saved."""


@dataclass(frozen=True)
class Parts:
    """What a recipe makes of its settings: fresh, with its first weights."""

    recipe: Recipe[Any]
    settings: RunSettings
    data: Any
    network: Network
    rule: Rule
    first_weights: dict[str, Tensor]


@dataclass(frozen=True)
class Outcome:
    """A finished run; ``test`` and ``fit`` are those of the software.

    ``stages``: the network in software and on hardware, in order; empty if it went nowhere. The
    network has the weights of the last one.
    """

    parts: Parts
    fit: FitResult
    test: Evaluation
    folder: Path
    stages: tuple[Stage, ...] = ()

    @property
    def epoch_seconds(self) -> float:
        """Seconds an epoch, validation and saving included."""
        return self.fit.seconds * self._steps_an_epoch() / max(1, self.fit.steps)

    def _steps_an_epoch(self) -> int:
        return -(-len(self.parts.data.train) // self.parts.settings.batch_size)

    def metrics(self) -> dict[str, float]:
        """Key figures by name and unit."""
        found = {"training time, s": self.fit.seconds, "time an epoch, s": self.epoch_seconds}
        for kind, values in (("validation", self.fit.best or {}), ("test", self.test.metrics)):
            if "accuracy" in values:
                found[f"{kind} accuracy, %"] = 100 * float(values["accuracy"])
            if "loss" in values:
                found[f"{kind} loss"] = float(values["loss"])
        for stage in self.stages[1:]:
            found[f"{stage.name}: test accuracy, %"] = stage.accuracy
        return found


def build(recipe: Recipe[Any], settings: RunSettings) -> Parts:
    """Data, network with its first weights, and rule; the global random streams are kept."""
    data = recipe.data(settings)
    with _seeded(settings.seed):
        network = recipe.network(settings)
        network.build(data.train.shape)
        recipe.prepare(network, data, settings)
        rule = recipe.rule(settings)
    first = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return Parts(recipe, settings, data, network, rule, first)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    before = seeding.random_state()
    seeding.seed_everything(seeding.derive(seed, "recipe"))
    try:
        yield
    finally:
        seeding.restore_random_state(before)


def trained(folder: Path) -> Path:
    """The best checkpoint of a run, or of one without validation the last."""
    names = [name for name in ("best", "last") if has_checkpoint(folder / name)]
    return folder / (names[0] if names else "best")


def run(
    recipe: Recipe[Any],
    settings: RunSettings,
    folder: str | Path,
    *,
    resume: bool | str = "auto",
    progress: bool = True,
    say: Say = silent,
) -> Outcome:
    """Train, evaluate and deploy; the folder gets settings, metrics, checkpoints and the result.

    Args:
        say: told in a few words what comes next.
        resume: ``"auto"`` goes on from what the folder holds, ``True`` insists on it, ``False``
            starts anew.

    Raises:
        SettingsError: the folder holds a run with other settings.
        Stopped: Ctrl-C; the folder holds all that is needed to go on.
    """
    folder = Path(folder)
    text = f'recipe = "{recipe.name}"\n{to_toml(settings)}'
    if resume is not False:
        _check_same_settings(folder, text)
    write_text(folder / SETTINGS_FILE, text)
    # The first weights are set by the recipe: fit must not scale them anew.
    options = {"folder": folder, "resume": resume, "progress": progress, "initial_rate": None}
    with threads(settings.threads):
        outcome = _train_and_test(build(recipe, settings), folder, options, say)
    write_json(folder / RESULT_FILE, _summary(outcome))
    return outcome


def _train_and_test(parts: Parts, folder: Path, options: dict[str, Any], say: Say) -> Outcome:
    settings = parts.settings
    options = parts.recipe.fit_options(settings) | options
    result = fit(parts.network, parts.data, parts.rule, **options)
    if result.stopped == "interrupted":
        raise Stopped(str(folder))
    test = evaluate(
        parts.network,
        parts.data.test,
        parts.rule,
        rule_state=result.rule_state,
        seed=settings.seed,
        classes=len(parts.data.classes),
    )
    how = {name: options[name] for name in ("resume", "progress")} | {"say": say}
    return Outcome(parts, result, test, folder, _deploy(parts, result, folder, how))


def _deploy(
    parts: Parts, result: FitResult, folder: Path, how: dict[str, Any]
) -> tuple[Stage, ...]:
    recipe, settings = parts.recipe, parts.settings
    deployments = recipe.deployments(settings)
    if not deployments:
        return ()
    plane = recipe.plane(parts.data, settings)
    examiner = Examiner(
        parts.network, parts.data, parts.rule, result.rule_state, settings.seed, plane
    )
    try:
        return tuple(deploy(examiner, deployments, folder, **how))
    except Interrupted:
        raise Stopped(str(folder)) from None


@contextlib.contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Work with so many processor threads; with torch's own choice if there is no number."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {
        "recipe": outcome.parts.recipe.name,
        "settings": outcome.parts.settings.model_dump(mode="json"),
        "metrics": outcome.metrics(),
        "stopped": outcome.fit.stopped,
        "epochs": outcome.fit.epochs,
    }


def _check_same_settings(folder: Path, text: str) -> None:
    """Raise SettingsError if the run in the folder had settings that change its course."""
    before, now = _read_settings(folder), tomllib.loads(text)
    if before is None or not has_checkpoint(folder / "last"):
        return
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name) and name not in MAY_CHANGE:
            raise SettingsError(
                f"run: {name} must be that of the run in {folder}, {before.get(name)!r}, got "
                f"{now.get(name)!r}. Start anew with --fresh, or choose another --folder."
            )


def _read_settings(folder: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads((folder / SETTINGS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
