"""What follows training in software: deploy, see what is lost, go on with the hardware in the loop.

A recipe says in `Recipe.deployments` where its network goes. The stages of one run are software,
then for each deployment the network as it was trained, and, where the deployment asks for it,
the network trained on with the target in the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.borrow import streams_kept
from spikewright.coding.spike_times import SpikeTimes, sample_count, take_samples
from spikewright.engine.forward import forward_by
from spikewright.learning.rule import Batch, Rule
from spikewright.network import Network
from spikewright.recipes.core.say import Say, silent
from spikewright.training import Evaluation, FitResult, evaluate, fit

PROGRAM = "program"
BATCH = 256


class Interrupted(Exception):
    """Ctrl-C while training in the loop, after all was saved."""


@dataclass(frozen=True)
class Loop:
    """Training with the hardware in the loop.

    Args:
        rule: how the network learns there.
        options: of `fit`: epochs, batch_size, ...
    """

    rule: Rule
    options: Mapping[str, Any]


def save_program(program: Any, folder: Path) -> None:
    """Write the program alone."""
    program.save(folder)


@dataclass(frozen=True)
class Deployment:
    """A target for the trained network.

    Args:
        name: of the stage, ``"on the chip, calibrated"``; also that of its folder.
        target: a name, or a `spikewright.compiler.target.Target`.
        note: what was done to get there.
        options: of `compile`.
        loop: how to go on with it in the loop; ``None`` does not.
        save: writes the program into a folder, and beside it what belongs to it.
    """

    name: str
    target: Any
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    loop: Loop | None = None
    save: Callable[[Any, Path], None] = save_program

    @property
    def folder(self) -> str:
        """A name for files."""
        return "-".join(self.name.replace(",", " ").split())


@dataclass(frozen=True)
class Plane:
    """Points of a plane as input to a network.

    Args:
        x, y: coordinates of the grid, (columns,) and (rows,).
        inside: which points are asked, (rows, columns).
        input: their input, (time, points asked, *features) or spike times.
        points: the test samples in the plane, (samples, 2).
    """

    x: Tensor
    y: Tensor
    inside: Tensor
    input: Tensor | SpikeTimes
    points: Tensor


@dataclass(frozen=True)
class Stage:
    """One state of the network and how well it does.

    Args:
        name, note: see `Deployment`.
        test: on the test samples.
        program: what ran it; ``None`` is the software.
        weights: of the network at that stage.
        choices: chosen class of each point that the recipe's plane asks, if it has one.
    """

    name: str
    note: str
    test: Evaluation
    program: Any
    weights: dict[str, Tensor]
    choices: Tensor | None = None

    @property
    def accuracy(self) -> float:
        """Share of test samples classified rightly, %."""
        return 100 * float(self.test.metrics["accuracy"])


@dataclass(frozen=True)
class Examiner:
    """What every stage is examined with."""

    network: Network
    data: Any
    rule: Rule
    rule_state: Any
    seed: int
    plane: Plane | None

    def stage(self, name: str, note: str, program: Any = None) -> Stage:
        """Test the network as it is, in software or by ``program``."""
        test = evaluate(
            self.network,
            self.data.test,
            self.rule,
            rule_state=self.rule_state,
            seed=self.seed,
            classes=len(self.data.classes),
            forward=program,
        )
        choices = None if self.plane is None else self._choose(self.plane.input, program)
        return Stage(name, note, test, program, _weights(self.network), choices)

    def _choose(self, x: Tensor | SpikeTimes, program: Any) -> Tensor:
        """The class of each sample of ``x``; the random streams are kept."""
        targets = torch.zeros(sample_count(x), dtype=torch.int64)
        chosen: list[Tensor] = []
        with streams_kept(), forward_by(program):
            seeding.seed_everything(self.seed)
            for first in range(0, len(targets), BATCH):
                part = slice(first, first + BATCH)
                batch = Batch(take_samples(x, part), targets[part])
                found = self.rule.evaluate(self.network, batch, self.rule_state)
                chosen.append(found["predictions"])
        return torch.cat(chosen)


def deploy(
    examiner: Examiner,
    deployments: tuple[Deployment, ...],
    folder: Path,
    *,
    resume: bool | str,
    progress: bool,
    say: Say = silent,
) -> list[Stage]:
    """The stages of a trained network, software first.

    Each deployment starts from the weights trained in software; the network is left with those
    of the last stage.

    Raises:
        CompileError: a target cannot hold the network.
        Interrupted: Ctrl-C while training in the loop; its folder holds all to go on.
    """
    from spikewright.compiler.compile import compile

    network = examiner.network
    trained = _weights(network)
    stages = [examiner.stage("software", "trained with surrogate gradients")]
    for deployment in deployments:
        network.load_state_dict(trained)
        say(f"compiling: {deployment.name}")
        program = compile(
            network, deployment.target, calibration=examiner.data, **deployment.options
        )
        stages.append(examiner.stage(deployment.name, deployment.note, program))
        if deployment.loop is not None:
            say(f"training on: {deployment.name}, in the loop")
            place = folder / deployment.folder
            done = _train_on(examiner, deployment.loop, program, place, resume, progress)
            note = f"{done.epochs} more epochs, the forward pass on it"
            stages.append(examiner.stage(f"{deployment.name}, in the loop", note, program))
        deployment.save(program, folder / deployment.folder / PROGRAM)
    return stages


def _train_on(
    examiner: Examiner,
    loop: Loop,
    program: Any,
    folder: Path,
    resume: bool | str,
    progress: bool,
) -> FitResult:
    # `True` insists on a run that is there; the software's is, this one may not have begun.
    options: dict[str, Any] = {"resume": "auto" if resume is True else resume, **loop.options}
    options |= {"folder": folder, "progress": progress, "initial_rate": None}
    result = fit(examiner.network, examiner.data, loop.rule, forward=program, **options)
    if result.stopped == "interrupted":
        raise Interrupted
    return result


def _weights(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
