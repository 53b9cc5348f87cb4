"""Training on with every number rounded, so that few bits are enough."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from spikewright import seeding
from spikewright.errors import ParameterError, ShapeError
from spikewright.targets.fpga.quantising.faked import Faked
from spikewright.targets.fpga.quantising.quantised import Quantised

Loss = Callable[[Tensor, Tensor], Tensor]
WATCHED = 1000
"""Samples, evenly chosen, on which the loss must not rise."""


@dataclass(frozen=True)
class FineTuning:
    """Settings of `fine_tune`.

    Args:
        epochs, batch_size: over the data, in an order drawn from ``seed``.
        learning_rate: of Adam at the start; it falls to 0 along a cosine.

    Raises:
        ParameterError: an option is outside its range.
    """

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            value, whole = getattr(self, name), name != "learning_rate"
            if not 0 < value < math.inf or (whole and type(value) is not int):
                raise ParameterError(
                    f"fpga.fine_tune: {name} must be {'whole and ' * whole}above 0, got "
                    f"{value!r}. Leave it out for its default."
                )


@dataclass(frozen=True)
class Step:
    """Where fine-tuning is: finished epochs and batches, and the loss of the last batch."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float


def fine_tune(
    made: Quantised,
    x: Tensor,
    targets: Tensor,
    settings: FineTuning | None = None,
    *,
    loss: Loss = functional.cross_entropy,
    progress: Callable[[Step], object] | None = None,
) -> Quantised:
    """Train the weights behind the whole numbers, with a gradient straight through the rounding.

    Scales, ranges and shifts stay; on a CPU the same seed gives the same bits. Where the loss has
    risen in the end, the weights are those from before, and a warning says so: Adam moves each
    weight by about the learning rate, which is much where batch norms left small weights.

    Args:
        made: where to start; not changed.
        x: inputs, (samples, *features); targets: of the loss, (samples, ...).
        loss: of outputs (batch, features), in the trained network's numbers, and targets.
        progress: called after every batch.

    Raises:
        ShapeError: inputs and targets differ in number, or there are none.
        ParameterError: there is no quantised network, or the loss is no longer finite.

    Source: Bengio, Léonard and Courville 2013, arXiv:1308.3432 (straight-through estimator).
    """
    settings = settings or FineTuning()
    if not isinstance(made, Quantised):
        raise ParameterError(
            f"fpga.fine_tune: made must be what convert gave, got {type(made).__name__}. Pass "
            "convert(module, inputs)."
        )
    if len(x) != len(targets) or not len(x):
        raise ShapeError(
            "fpga.fine_tune: x and targets must have as many samples, at least one, got "
            f"{len(x)} and {len(targets)}. Pass (samples, *features) and (samples,)."
        )
    model = Faked(made).to(x.device)
    watched = torch.linspace(0, len(x) - 1, min(len(x), WATCHED)).long()
    sample = x[watched], targets[watched]
    before = _mean_loss(model, sample, loss, settings.batch_size)
    _train(model, (x, targets), settings, loss, progress)
    after = _mean_loss(model, sample, loss, settings.batch_size)
    if not after <= before:
        warnings.warn(
            f"fpga.fine_tune: the loss must fall, got {after:.4g} after {before:.4g}; the network "
            f"is left as it was. Try learning_rate={settings.learning_rate / 10:g}.",
            stacklevel=2,
        )
        return made
    return model.quantised()


def _train(
    model: Faked,
    data: tuple[Tensor, Tensor],
    settings: FineTuning,
    loss: Loss,
    progress: Callable[[Step], object] | None,
) -> None:
    x, targets = data
    draw = seeding.generator(settings.seed, "fpga.fine_tune")
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    batches = -(-len(x) // settings.batch_size)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * batches)
    for epoch in range(settings.epochs):
        order = torch.randperm(len(x), generator=draw)
        for batch, index in enumerate(order.split(settings.batch_size), 1):
            value = _step(model, optimiser, (x[index], targets[index]), loss)
            falling.step()
            if progress is not None:
                done = (epoch + batch // batches, settings.epochs, batch, batches)
                progress(Step(*done, value))


@torch.no_grad()
def _mean_loss(model: Faked, data: tuple[Tensor, Tensor], loss: Loss, part: int) -> float:
    pairs = zip(*(each.split(part) for each in data), strict=True)
    total = sum(float(loss(model(x).flatten(1), y)) * len(x) for x, y in pairs)
    return total / len(data[0])


def _step(
    model: Faked, optimiser: torch.optim.Optimizer, batch: tuple[Tensor, Tensor], loss: Loss
) -> float:
    value = loss(model(batch[0]).flatten(1), batch[1])
    if not bool(value.isfinite()):
        raise ParameterError(
            f"fpga.fine_tune: loss must be finite, got {value.item()}. Lower learning_rate."
        )
    optimiser.zero_grad()
    value.backward()
    optimiser.step()
    model.bound()
    return float(value.detach())
