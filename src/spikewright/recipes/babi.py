"""Questions about stories by a relational network of spiking neurons.

Rao, Plank, Wild and Maass, "A long short-term memory for AI applications in spike-based
neuromorphic hardware", Nature Machine Intelligence 4, 2022, on the tasks of Weston et al.; there
with 10,000 training questions a task, here with the 1,000 of release 1.1. Beside it an LSTM of
about as many parameters that reads the same stories word by word, trained alike.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

import spikewright as sw
from spikewright.coding import Last
from spikewright.recipes.core.baselines import LSTM, lstm_units
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.trials import ACCURACY, train_each

DT = 1e-3
_READOUT = 10.0
"""Resistance of the answers' membranes: first answers differ by about one."""
TASKS = tuple(range(1, 21))
SOLVED = "tasks with at least 95 % right"
PARAMETERS = "parameters"
SPIKES = "spikes a neuron of g, pair and question"
MODELS = {"spiking": {"model": "spiking"}, "LSTM": {"model": "lstm"}}


def of_task(task: int) -> str:
    """The name of a task's figure."""
    return f"task {task}: {ACCURACY}"


class BabiSettings(RunSettings):
    """Stories, network and training."""

    epochs: int = Field(120, ge=1)
    """passes over the training questions"""
    batch_size: int = Field(32, ge=1)
    """questions a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    tasks: tuple[int, ...] = (1, 6, 15)
    """which of the 20, all learnt at once"""
    model: Literal["spiking", "lstm"] = "spiking"
    """the relational network, or an LSTM of equal size"""
    compare: bool = True
    """whether to train the LSTM as well"""
    limit: int | None = Field(None, ge=1)
    """at most that many questions of each task and split; all if not set"""
    validation: int = Field(100, ge=1)
    """training questions of each task that are held out to choose the best epoch"""
    sentences: int = Field(10, ge=1)
    """of a story that are told, the last ones"""
    words: int = Field(7, ge=1)
    """the most of a sentence or question"""
    hold: int = Field(1, ge=1)
    """steps that a word lasts"""
    read: int = Field(5, ge=1)
    """steps in which the answer is worked out"""
    drop: float = Field(1.0, ge=0, le=1)
    """largest share of sentences that support no answer and are left out of a training story"""
    encoder: int = Field(64, ge=1)
    """neurons of each encoder"""
    relation: tuple[int, ...] = (64, 64)
    """neurons of each layer of g"""
    answer: tuple[int, ...] = (64,)
    """neurons of each layer of f"""
    dropout: float = Field(0.1, ge=0, lt=1)
    """share of the inputs of f's layers that is silenced in training"""
    gain: float = Field(0.1, gt=0)
    """factor on the sum over pairs"""
    tau_encoder: float = Field(20e-3, gt=0)
    """time constant of the encoders' membranes, s"""
    tau_ahp: float = Field(20e-3, gt=0)
    """time constant of their slow current, s"""
    beta: float = Field(0.05, ge=0)
    """what a spike takes off that current, where 1 a step lifts a membrane to its threshold"""
    tau_mem: float = Field(3e-3, gt=0)
    """time constant of the membranes of g and f, s"""
    width: float = Field(1.0, gt=0)
    """of the surrogate, in thresholds"""
    learning_rate: float = Field(4e-3, gt=0)
    """of AdamW, at the start; falls to zero along a cosine"""
    weight_decay: float = Field(0.0, ge=0)
    """of AdamW"""
    clip: float = Field(1.0, gt=0)
    """greatest norm of the gradient"""


class Babi(Recipe[BabiSettings]):
    """The recipe `babi`."""

    title = "bAbI: questions about stories by a relational network"
    Settings = BabiSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "tasks": TASKS,
            "sentences": 20,
            "words": 11,
            "encoder": 128,
            "relation": (128, 128, 128, 128),
            "answer": (128, 128),
            "epochs": 200,
        },
    }
    seeds = {"small": 1, "full": 1}  # noqa: RUF012 - a constant
    figures = (
        *(
            Figure(of_task(task), 95.0, "target of this project", sizes=("small",))
            for task in (1, 6, 15)
        ),
        Figure(SOLVED, 14.0, "target of this project", sizes=("full",)),
    )

    def data(self, settings: BabiSettings) -> Any:
        return sw.data.Babi(
            settings.tasks,
            DT,
            sentences=settings.sentences,
            words=settings.words,
            hold=settings.hold,
            read=settings.read,
            validation=settings.validation,
            drop=settings.drop,
            limit=settings.limit,
            line=settings.model == "lstm",
        )

    def network(self, settings: BabiSettings) -> sw.Network:
        if settings.model == "lstm":
            return _lstm(self.data(settings), self._parameters(settings))
        data: Any = self.data(settings)
        options: dict[str, Any] = {
            "firing": sw.Firing("subtract"),
            "surrogate": sw.surrogate.Arctan(width=settings.width),
        }
        return sw.models.RelationalNetwork(
            settings.sentences,
            data.shape[1] - 1,
            len(data.classes),
            encoder=settings.encoder,
            relation=settings.relation,
            answer=settings.answer,
            encoder_neurons=partial(
                sw.AHPLIF,
                tau_mem=settings.tau_encoder,
                tau_ahp=settings.tau_ahp,
                beta=settings.beta,
                r=_unit_gain(settings.tau_encoder),
                **options,
            ),
            neurons=partial(
                sw.LIF, tau_mem=settings.tau_mem, r=_unit_gain(settings.tau_mem), **options
            ),
            readout=partial(sw.LI, r=_READOUT),
            dropout=settings.dropout,
            gain=settings.gain,
            dt=DT,
        )

    def prepare(self, network: sw.Network, data: Any, settings: BabiSettings) -> None:
        if settings.model == "spiking":
            first = {"sentence": 0.05, "question": 0.15}
            first |= {f"g{k}": 0.015 for k in range(len(settings.relation))}
            first |= {f"f{k}": 0.2 for k in range(len(settings.answer))}
            sw.aim_rates(network, self.first_batch(data, settings), first)

    def rule(self, settings: BabiSettings) -> sw.learning.Surrogate:
        return sw.learning.Surrogate(
            decoder=Last(),
            optimiser="adamw",
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            schedule="cosine",
            clip=settings.clip,
        )

    def measure(
        self, settings: BabiSettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        models = MODELS if settings.compare else {"spiking": MODELS["spiking"]}
        done = train_each(self, settings, folder, models, resume=resume, progress=progress)
        values = done["spiking"].metrics() | self.explore(done["spiking"])
        if "LSTM" in done:
            found = done["LSTM"].metrics() | self.explore(done["LSTM"])
            values |= {f"LSTM: {metric}": value for metric, value in found.items()}
        return values

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        """Accuracy a task, how many are solved, the size, and how sparse g is."""
        parts, test = outcome.parts, outcome.test
        assert test.predictions is not None
        right = (test.predictions == parts.data.test.targets).double()
        tasks = parts.data.test.tasks
        found = {of_task(t): 100 * float(right[tasks == t].mean()) for t in tasks.unique().tolist()}
        solved = sum(value >= 95 for value in found.values())
        size = sum(p.numel() for p in parts.network.parameters())
        found |= {SOLVED: float(solved), PARAMETERS: float(size)}
        rates = [rate for name, rate in test.metrics.get("rates", {}).items() if name[0] == "g"]
        if rates:
            found[SPIKES] = float(sum(rates)) / len(rates) * parts.data.test.steps
        return found

    def _parameters(self, settings: BabiSettings) -> int:
        with torch.random.fork_rng(devices=[]):
            spiking = self.network(settings.model_copy(update={"model": "spiking"}))
        return sum(p.numel() for p in spiking.parameters())


def _lstm(data: Any, parameters: int) -> sw.Network:
    inputs, outputs = data.shape[0], len(data.classes)
    units = lstm_units(inputs, outputs, parameters)
    return sw.Sequential(LSTM(inputs, units), sw.Linear(units, outputs), dt=DT)


def _unit_gain(tau: float) -> float:
    """The resistance with which an input of 1 lifts a membrane by 1 in a step."""
    return 1 / (1 - math.exp(-DT / tau))


RECIPE = Babi()
