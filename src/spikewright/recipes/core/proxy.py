"""What the recipes of proxy learning share: the network, and what it is compared with.

The same network is trained from the same first weights by proxy, by surrogate gradients, and as a
ReLU network that is then converted; all are measured at the same number of steps.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field, NonNegativeInt, PositiveInt

import spikewright as sw
from spikewright.learning import Proxy, accuracy_over_time, convert
from spikewright.learning.losses import CrossEntropy, SpikeCountMSE
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome, run
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.sweep import PLACE, Sweep
from spikewright.recipes.core.trials import ACCURACY

DT = 1e-3
BETAS = (0.8, 0.99)
POOL = 0
"""Among the channels: max-pooling of 2 x 2."""


BY_PROXY, CONVERTED, SHIFTED = "by proxy", "converted", "converted with a shift"
"""Networks that are measured over time, as metrics name them."""


def _at(name: str, steps: int | str) -> str:
    """The metric of one of them after a number of steps."""
    return f"{name}, {steps} steps: {ACCURACY}"


class ProxySettings(RunSettings):
    """Network, training and comparison."""

    batch_size: int = Field(100, ge=1)
    """images a step"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    steps: int = Field(8, ge=1)
    """time steps of 1 ms"""
    channels: tuple[NonNegativeInt, ...] = (32, POOL, 32, POOL)
    """of the convolutions with 3 x 3 pixels; 0 is max-pooling of 2 x 2"""
    dense: tuple[PositiveInt, ...] = (128,)
    """neurons of the layers behind them, without the output"""
    norm: bool = False
    """batch norm behind each convolution, instead of a bias"""
    bias: bool = True
    """whether these have biases; published: not"""
    dropout: float = Field(0.0, ge=0, lt=1)
    """share of inputs of the dense layers that are silenced while training"""
    v_threshold: float = Field(1.0, gt=0)
    """threshold of the neurons"""
    reset: Literal["subtract", "to_value"] = "subtract"
    """what a spike does to the membrane; to_value sets it to zero"""
    rate: float | None = Field(0.15, gt=0, lt=1)
    """spikes a step and neuron that the first weights are scaled to; as drawn if not set"""
    loss: Literal["cross-entropy", "counts"] = "cross-entropy"
    """on the softmax of the spike counts, or their squared distance from ``target``"""
    target: float = Field(1.0, gt=0)
    """spikes of the right class in the loss on counts, published: 1"""
    saturating: bool = True
    """whether the twin's activations end at one spike a step; published: not"""
    substituted: Literal["output", "layers"] = "layers"
    """what spikes replace in the twin: its output, as published, or every layer of neurons"""
    learning_rate: float = Field(1e-3, gt=0)
    """of Adam, at the start"""
    schedule: Literal["constant", "cosine"] = "cosine"
    """of the learning rate"""
    weight_decay: float = Field(0.0, ge=0)
    """of Adam"""
    freeze_epochs: int | None = Field(1, ge=0)
    """epochs after which batch norms use their running statistics; never if not set"""
    trained: Literal["proxy", "relu", "surrogate"] = "proxy"
    """how: by proxy, the ReLU twin alone, or by surrogate gradients"""
    surrogate_epochs: int | None = Field(None, ge=1)
    """passes of the comparison by surrogate gradients; those of the rest if not set"""
    compare: bool = True
    """whether to train the other two as well"""
    percentile: float = Field(99.9, gt=0, le=100)
    """of activations that conversion makes one spike a step"""
    lengths: tuple[PositiveInt, ...] = (1, 2, 4, 8, 16, 32)
    """steps of the curves of accuracy over time"""


S = TypeVar("S", bound=ProxySettings)


class ProxyRecipe(Recipe[S]):
    """A convolutional network of `IF` on constant currents."""

    shape: tuple[int, int, int]
    sweeps = (
        Sweep(
            "Accuracy over time steps",
            "time steps",
            ACCURACY,
            {name: _at(name, PLACE) for name in (BY_PROXY, CONVERTED, SHIFTED)},
            "One network stopped after each number of steps: trained by proxy and, where it was "
            "compared, converted from a ReLU network of the same shape.",
        ),
    )

    @abstractmethod
    def training_images(self, settings: S) -> int:
        """How many there are, those held out included."""

    def network(self, settings: S) -> sw.Network:
        layers: list[sw.Layer] = []
        inputs, firing = self.shape[0], sw.Firing(reset=settings.reset)
        for channels in settings.channels:
            if channels == POOL:
                layers.append(sw.MaxPool2d(2))
                continue
            bias = not settings.norm
            layers.append(sw.Conv2d(inputs, channels, 3, padding=1, bias=bias))
            layers += [sw.BatchNorm(channels)] if settings.norm else []
            layers.append(sw.IF(v_threshold=settings.v_threshold, firing=firing))
            inputs = channels
        layers.append(sw.Flatten())
        for size in (*settings.dense, 10):
            layers += [sw.Dropout(settings.dropout)] if settings.dropout else []
            layers.append(sw.Linear(None, size, bias=settings.bias))
            layers.append(sw.IF(v_threshold=settings.v_threshold, firing=firing))
        return sw.Sequential(*layers, dt=DT, shape=self.shape)

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        if settings.rate is not None:
            sw.aim_rates(network, self.first_batch(data, settings), settings.rate)

    def rule(self, settings: S) -> sw.learning.Rule:
        optimisation = sw.learning.Optimisation(
            learning_rate=settings.learning_rate,
            schedule=settings.schedule,
            weight_decay=settings.weight_decay,
            options={"betas": BETAS},
        )
        if settings.trained == "surrogate":
            return sw.learning.Surrogate(
                surrogate=sw.surrogate.Arctan(settings.v_threshold),
                loss=_loss(settings),
                optimisation=optimisation,
            )
        frozen = settings.freeze_epochs
        return Proxy(
            loss=_loss(settings) if settings.trained == "proxy" else CrossEntropy(),
            saturating=settings.saturating and settings.trained == "proxy",
            freeze_after=None if frozen is None else frozen * self._steps_an_epoch(settings),
            substituted=settings.substituted if settings.trained == "proxy" else "nothing",
            optimisation=optimisation,
        )

    def _steps_an_epoch(self, settings: S) -> int:
        images = min(self.training_images(settings) - settings.validation, settings.images or 10**9)
        return -(-images // settings.batch_size)

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        settings: Any = outcome.parts.settings
        by_proxy = settings.trained == "proxy"
        if not by_proxy:
            return {}
        say("test images over all numbers of steps")
        return _curve(BY_PROXY, outcome, outcome.parts.network)

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        def train(how: str, **changed: Any) -> Outcome:
            mine = settings.model_copy(update={"trained": how, **changed})
            return run(self, mine, folder / how, resume=resume, progress=progress)

        proxy = train("proxy")
        values = proxy.metrics() | _curve(BY_PROXY, proxy, proxy.parts.network)
        if settings.compare:
            epochs = settings.surrogate_epochs or settings.epochs
            surrogate = train("surrogate", epochs=epochs)
            values[AHEAD_OF_SURROGATE] = values[ACCURACY] - surrogate.metrics()[ACCURACY]
            values["surrogate: test accuracy, %"] = surrogate.metrics()[ACCURACY]
            values["surrogate: training time, s"] = surrogate.fit.seconds
            values |= self._converted(train("relu"), settings)
            values[AHEAD_OF_CONVERSION] = values[ACCURACY] - values[converted_at(settings.steps)]
        return values

    def _converted(self, relu: Outcome, settings: S) -> dict[str, float]:
        """The ReLU network, and its accuracy as spikes over time, with and without a shift."""
        data, network = relu.parts.data, relu.parts.network
        values = {"ReLU network: test accuracy, %": relu.metrics()[ACCURACY]}
        values["ReLU network: training time, s"] = relu.fit.seconds
        x = self.first_batch(data, settings)
        assert isinstance(x, torch.Tensor)
        statistics = relu.fit.rule_state["statistics"]
        for name, shift in ((CONVERTED, None), (SHIFTED, settings.steps)):
            found = convert(
                network,
                x[0],
                dt=DT,
                percentile=settings.percentile,
                shift_over=shift,
                statistics=statistics,
            )
            values |= _curve(name, relu, found)
        return values


AHEAD_OF_SURROGATE = "test accuracy, proxy minus surrogate gradients, points"
AHEAD_OF_CONVERSION = "test accuracy, proxy minus conversion, points"


def converted_at(steps: int) -> str:
    """The metric of the converted network at a number of steps."""
    return _at(CONVERTED, steps)


def _curve(name: str, outcome: Outcome, network: sw.Network) -> dict[str, float]:
    settings: Any = outcome.parts.settings
    lengths = sorted({*settings.lengths, settings.steps})
    found = accuracy_over_time(network, outcome.parts.data.test, lengths, seed=settings.seed)
    shares = zip(found.steps, found.accuracy, strict=True)
    return {_at(name, steps): 100 * right for steps, right in shares}


def _loss(settings: ProxySettings) -> CrossEntropy | SpikeCountMSE:
    if settings.loss == "counts":
        return SpikeCountMSE(correct=settings.target)
    return CrossEntropy()
