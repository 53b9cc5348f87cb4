"""What the recipes on recordings share: front ends, networks, and accuracy in a stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor

import spikewright as sw
from spikewright.audio import (
    Augment,
    Equaliser,
    FrontEnd,
    Gain,
    LogEnergy,
    Modulation,
    Noise,
    Shift,
    XyloFrontEnd,
)
from spikewright.coding import Mean
from spikewright.compiler.program import Program
from spikewright.detection import Detector, Listener
from spikewright.learning import Surrogate
from spikewright.recipes.core.baselines import CausalCNN, cnn_units
from spikewright.recipes.core.hardware import Deployment, Loop
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.sweep import Sweep

DT = 10e-3
"""Time step, s."""
HIGHEST = 16000.0
"""End of the last band of energies, Hz, or below it what the sampling rate can hold."""
SECOND = 1.0
"""Length of the windows that are decided on one by one, s."""
SIZES: Mapping[str, Mapping[str, Any]] = {
    "small": {},
    "full": {"epochs": 300, "copies": 32, "hidden": (64, 64, 64)},
}
"""Settings of each size."""
AFTER = "after {x} s, %"
"""Name of the accuracy at a latency."""


class SoundSettings(RunSettings):
    """Front end, network and training."""

    epochs: int = Field(60, ge=1)
    """passes over the training clips"""
    batch_size: int = Field(32, ge=1)
    """clips a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    front_end: Literal["levels", "loudness", "modulation", "xylo"] = "loudness"
    """log energies in full scale, or against the loudness of the last 2 s; how they fluctuate; or
    the chip's filters"""
    rate: int = Field(16000, ge=1000)
    """sampling rate that clips are brought to, Hz"""
    volts: float = Field(0.4, gt=0)
    """what a sample of 1 stands for at the chip's microphone, V"""
    length: float = Field(5.0, gt=0)
    """length that clips are brought to, s"""
    window: float | None = Field(2.0, gt=0)
    """length of the pieces of clips that are trained on, s; whole clips if not set"""
    lead: float = Field(0.0, ge=0)
    """length of sound before each sample, s, at most ``length``: the network learns in a stream"""
    copies: int = Field(8, ge=1)
    """versions of each clip to train on"""
    colour: float = Field(4.0, ge=0)
    """depth of the random equaliser that they go through, dB; 0 for none"""
    model: Literal["synnet", "cnn"] = "synnet"
    """SynNet, or convolutions over time of as many parameters"""
    hidden: tuple[int, ...] = (24, 24, 24)
    """neurons of SynNet's layers"""
    synapses: tuple[int, ...] = (2, 4, 8)
    """time constants of each of them"""
    dropout: float = Field(0.1, ge=0, lt=1)
    """share of SynNet's spikes that is left out in training"""
    rate_aim: float = Field(0.3, gt=0)
    """spikes a step and neuron that the first weights are scaled to"""
    spread: float = Field(1.0, gt=0)
    """standard deviation over clips and classes that the first mean outputs are scaled to"""
    learning_rate: float = Field(5e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    clip: float = Field(1.0, gt=0)
    """greatest norm of the gradient"""
    target: str | None = None
    """where SynNet goes, such as xylo-audio2; nowhere if not set"""
    loop_epochs: int = Field(4, ge=0)
    """epochs trained on with the target in the forward pass; 0 to leave it out"""
    loop_learning_rate: float = Field(1e-3, gt=0)
    """its learning rate"""
    background: tuple[str, ...] = ()
    """classes that `spikewright listen` never tells, such as noise"""
    threshold: float = Field(0.5, gt=0, lt=1)
    """share of a class in the softmax of the smoothed outputs from which on listening tells it; of
    two classes one always has half"""


S = TypeVar("S", bound=SoundSettings)


class SoundRecipe(Recipe[S], Generic[S]):
    """Network and rule for sounds; a subclass adds data and figures."""

    def network(self, settings: S) -> sw.Network:
        ear, outputs = self.ear(settings), self.outputs(settings)
        times: dict[str, Any] = {"tau_base": 2 * DT, "tau_mem": 2 * DT, "tau_out": 2 * DT}
        spiking = sw.models.SynNet(
            ear.channels,
            outputs,
            settings.hidden,
            settings.synapses,
            **times,
            dt=DT,
            dropout=settings.dropout,
        )
        if settings.model == "synnet":
            return spiking
        units = cnn_units(ear.channels, outputs, sum(p.numel() for p in spiking.parameters()))
        return sw.Sequential(CausalCNN(ear.channels, outputs, units), dt=DT)

    def outputs(self, settings: S) -> int:
        """Classes."""
        raise NotImplementedError

    def ear(self, settings: S) -> FrontEnd:
        """The front end that settings name."""
        if settings.front_end == "xylo":
            return XyloFrontEnd(settings.rate, DT, volts=settings.volts)
        highest = min(HIGHEST, 0.45 * settings.rate)
        if settings.front_end == "modulation":
            return Modulation(settings.rate, DT, highest=highest)
        if settings.front_end == "levels":
            return LogEnergy(settings.rate, DT, highest=highest)
        relative: dict[str, Any] = {"floor_db": -27.0, "top_db": 9.0, "tau_loudness": 2.0}
        return LogEnergy(settings.rate, DT, highest=highest, **relative)

    def lead(self, settings: S) -> float:
        """What comes before each sample, s: at most one other clip."""
        return min(settings.lead, settings.length)

    def _skipped(self, settings: S) -> int:
        """Steps before each sample."""
        return round(self.lead(settings) / DT)

    def augment(self, settings: S) -> Sequence[Augment]:
        """What makes the copies."""
        if settings.copies == 1:
            return ()
        coloured = (Equaliser(settings.colour),) if settings.colour else ()
        shift, gain = Shift(0.5, wrap=True), Gain(-10.0, 10.0)
        return (shift, *coloured, gain, Noise(15.0, 40.0, slope=-1.0))

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        if settings.model != "synnet":
            return
        x = self.first_batch(data, settings)
        sw.aim_rates(network, x, settings.rate_aim)
        with torch.no_grad():
            last: Any = network.layers["linear_out"]
            scores = Mean(skip=self._skipped(settings))(network(x)[0])
            last.weight.mul_(settings.spread / scores.std())

    def rule(self, settings: S) -> Surrogate:
        return Surrogate(
            decoder=Mean(skip=self._skipped(settings)),
            learning_rate=settings.learning_rate,
            schedule="cosine",
            clip=settings.clip,
        )

    def deployments(self, settings: S) -> tuple[Deployment, ...]:
        if settings.target is None or settings.model != "synnet":
            return ()
        note = "quantised, on the target's twin"
        save, loop = partial(self._save_listener, settings), self._loop(settings)
        return (Deployment(settings.target, settings.target, note, loop=loop, save=save),)

    def _loop(self, settings: S) -> Loop | None:
        """Training on with the target in the forward pass: the same rule, slower."""
        if not settings.loop_epochs:
            return None
        changed = {"learning_rate": settings.loop_learning_rate}
        # The time budget is that of training in software.
        options = self.fit_options(settings) | {"epochs": settings.loop_epochs, "seconds": None}
        return Loop(self.rule(settings.model_copy(update=changed)), options)

    def _save_listener(self, settings: S, program: Program, folder: Path) -> None:
        """Write the program with its ear and a detector, for `spikewright listen`."""
        detector = Detector(
            self.data(settings).classes,
            DT,
            threshold=settings.threshold,
            background=settings.background,
        )
        Listener(program, self.ear(settings), detector).save(folder)


def over_latency(lines: Mapping[str, str]) -> Sweep:
    """The curve of what `streaming_metrics` gives; ``lines``: by legend, the metrics' prefix."""
    return Sweep(
        "Accuracy over latency",
        "time since the sound began, s",
        "accuracy, %",
        {legend: prefix + AFTER for legend, prefix in lines.items()},
        "Test clips one after the other, the states of front end and network never reset; the "
        "decision is the class with the largest mean output since the clip began.",
    )


def streamed(outcome: Outcome) -> tuple[Tensor, Tensor]:
    """The outputs of all test clips, put one after the other into one stream that never ends.

    Neither front end nor network is ever reset: each clip meets what those before it left. Their
    order is drawn by the seed of the data. The network has the weights trained in software.

    Returns:
        (clips, steps, classes), and the clips' classes, (clips,).
    """
    data, network = outcome.parts.data, outcome.parts.network
    frames, order = data.stream("test")
    state, outputs = None, list[Tensor]()
    network.eval()
    with torch.no_grad(), _software_weights(outcome):
        for number in order[:, 0].tolist():
            y, state = network(frames[number, :1].float().transpose(0, 1), state)
            outputs.append(y[:, 0])
    return torch.stack(outputs), data.test.targets[order[:, 0]]


@contextlib.contextmanager
def _software_weights(outcome: Outcome) -> Iterator[None]:
    """The network as it was before it went on with the target in the loop."""
    network = outcome.parts.network
    if outcome.stages:
        network.load_state_dict(outcome.stages[0].weights)
    try:
        yield
    finally:
        if outcome.stages:
            network.load_state_dict(outcome.stages[-1].weights)


def streaming_metrics(
    outputs: Tensor, targets: Tensor, dt: float, latencies: Sequence[float]
) -> dict[str, float]:
    """How often a stream's outputs name the right class, %.

    A decision is the class with the largest mean output: over a whole clip, over each full second
    of it, and over the time since a clip began, for each of ``latencies``, s.

    Args:
        outputs: (clips, steps, classes), see `streamed`.
        targets: (clips,).
        dt: time step, s.
        latencies: from the beginning of a clip to the decision, s.

    >>> outputs = torch.eye(2)[:, None].repeat(1, 200, 1)
    >>> streaming_metrics(outputs, torch.tensor([0, 1]), 10e-3, [0.1])
    {'per clip, %': 100.0, 'per 1 s window, %': 100.0, 'after 0.1 s, %': 100.0}
    """
    second = round(SECOND / dt)
    clips, steps, classes = outputs.shape
    windows = outputs[:, : steps - steps % second].reshape(clips, -1, second, classes).mean(2)
    sums = outputs.cumsum(1)

    def share(choice: Tensor) -> float:
        right = choice == targets.reshape(-1, *(1 for _ in choice.shape[1:]))
        return 100 * float(right.float().mean())

    found = {"per clip, %": share(sums[:, -1].argmax(-1))}
    if windows.shape[1]:
        found["per 1 s window, %"] = share(windows.argmax(-1))
    for latency in latencies:
        found[AFTER.format(x=f"{latency:g}")] = share(sums[:, round(latency / dt) - 1].argmax(-1))
    return found
