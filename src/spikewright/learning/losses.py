"""Losses: one signature for those that read scores and those that read the whole output.

``loss(output, scores, targets) -> scalar`` with ``output`` (time, batch, classes) of the network,
``scores`` (batch, classes) of a decoder, and ``targets`` either classes (batch,) as int64 or, for
losses between signals, a tensor of the shape of ``output``. Every loss is a mean over the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.learning.checks import Checked
from spikewright.units import check_dt


@dataclass(frozen=True)
class Loss(Checked):
    """A loss; ``decoders`` names those whose scores it reads, ``None`` where it reads none."""

    name: ClassVar[str] = ""
    decoders: ClassVar[tuple[str, ...] | None] = None

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss of a batch.

        Args:
            output: (time, batch, classes), of the network.
            scores: (batch, classes), of the decoder.
            targets: (batch,) int64 classes, or (time, batch, classes) for losses of signals.

        Raises:
            ShapeError: tensors that do not fit each other.
        """
        raise NotImplementedError

    def check_decoder(self, name: str) -> None:
        """Raise RuleError unless the loss makes sense of the scores of the decoder ``name``."""
        if self.decoders is not None and name not in self.decoders:
            raise RuleError(
                f"{self.where}: decoder must be one of {', '.join(self.decoders)}, got {name!r}. "
                "Choose such a decoder or another loss."
            )

    def check_signal(self, output: Tensor, targets: Tensor) -> None:
        """Raise ShapeError unless ``targets`` has the shape of ``output``, which is not empty."""
        if targets.shape != output.shape or output.ndim < 2 or output.numel() == 0:
            raise ShapeError(
                f"{self.where}: targets must have the shape of the output and not be empty, got "
                f"{tuple(targets.shape)} for {tuple(output.shape)}. "
                "Pass target signals (time, batch, classes)."
            )


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of the softmax of the scores, with a penalty that keeps them small.

    L = mean_b [ -log softmax(scale * s)_target ] + score_penalty * mean (scale * s)^2

    Args:
        score_penalty: weight of the mean squared score; 4e-4 in the Yin-Yang task of hxtorch.
        scale: factor on the scores, an inverse temperature.

    >>> scores = torch.tensor([[0.0, 0.0]])
    >>> round(float(CrossEntropy()(scores[None], scores, torch.tensor([1]))), 4)
    0.6931
    """

    name: ClassVar[str] = "cross_entropy"
    decoders: ClassVar[tuple[str, ...] | None] = ("count", "mean", "max", "last")

    score_penalty: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        self.check_range("score_penalty", 0.0, "at least 0")
        self.check_range("scale", 0.0, "positive")

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``scores`` and class ``targets``, see `Loss.__call__`."""
        self.check_classes(scores, targets)
        scores = scores * self.scale
        loss = functional.cross_entropy(scores, targets)
        return loss + self.score_penalty * scores.square().mean() if self.score_penalty else loss


@dataclass(frozen=True)
class FirstSpikeCrossEntropy(Loss):
    """Cross-entropy of the softmax of minus the first spike times.

    L = mean_b [ -log softmax(-t_1 / tau)_target ], from the scores -t_1 of ``FirstSpike``.
    dL/dt_j = (1[j = target] - p_j) / (tau * batch).

    Args:
        tau: time over which two spikes count as different, s.

    Source: the loss of Mostafa (2017) and of Göltz et al. (2021) on first spike times.

    >>> scores = torch.tensor([[-1e-3, -1e-3]])
    >>> loss = FirstSpikeCrossEntropy(tau=1e-3)
    >>> round(float(loss(scores[None], scores, torch.tensor([1]))), 4)
    0.6931
    """

    name: ClassVar[str] = "first_spike_cross_entropy"
    decoders: ClassVar[tuple[str, ...] | None] = ("first_spike",)

    tau: float

    def __post_init__(self) -> None:
        self.check_range("tau", 0.0, "positive")

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``scores`` and class ``targets``, see `Loss.__call__`."""
        self.check_classes(scores, targets)
        return functional.cross_entropy(scores / self.tau, targets)


@dataclass(frozen=True)
class SpikeCountMSE(Loss):
    """Squared distance of the spike counts from a target count for the right and wrong classes.

    L = mean over batch and classes of (n_j - n*_j)^2, n_j = sum_t output_j[t]

    Args:
        correct: target count of the right class, spikes.
        incorrect: target count of the others, spikes.

    >>> output = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]]])
    >>> float(SpikeCountMSE(correct=4, incorrect=1)(output, output[0], torch.tensor([0])))
    2.0
    """

    name: ClassVar[str] = "spike_count_mse"

    correct: float
    incorrect: float = 0.0

    def __post_init__(self) -> None:
        self.check_range("correct", 0.0, "at least 0")
        self.check_range("incorrect", 0.0, "at least 0")

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``output`` and class ``targets``, see `Loss.__call__`."""
        return _class_mse(self, output.sum(0), targets, self.correct, self.incorrect)


@dataclass(frozen=True)
class RateMSE(Loss):
    """Squared distance of the rates from a target rate for the right and wrong classes.

    L = mean over batch and classes of (r_j - r*_j)^2, r_j = mean_t output_j[t]

    Args:
        correct: target rate of the right class, spikes a step.
        incorrect: target rate of the others, spikes a step.

    >>> output = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]]])
    >>> float(RateMSE()(output, output[0], torch.tensor([0])))
    0.125
    """

    name: ClassVar[str] = "rate_mse"

    correct: float = 1.0
    incorrect: float = 0.0

    def __post_init__(self) -> None:
        self.check_range("correct", 0.0, "at least 0")
        self.check_range("incorrect", 0.0, "at least 0")

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``output`` and class ``targets``, see `Loss.__call__`."""
        return _class_mse(self, output.mean(0), targets, self.correct, self.incorrect)


@dataclass(frozen=True)
class _OfPeak(Loss):
    """What the losses of peaks share: how long, how high, and the weight of the rest."""

    max_interval: int = 10
    target: float = 1.0
    others: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.max_interval, int) or self.max_interval < 1:
            raise ParameterError(
                f"{self.where}: max_interval must be a whole number from 1, got "
                f"{self.max_interval!r}. Pass the steps that a peak should last."
            )
        self.check_range("target", 0.0, "positive")
        self.check_range("others", 0.0, "at least 0")


@dataclass(frozen=True)
class PeakLoss(_OfPeak):
    """Lifts the right class's output to a level at its peak, and holds the others at zero.

    With c the class and t* the step at which y_c is largest,
    g = mean of y_c over the ``max_interval`` steps from t* on (y_c(t*) for those past the end);
    L = mean_b [ (g - target)^2 + others / (C - 1) * sum over k != c of mean_t y_k^2 ]

    So a network may answer when it has heard enough; the decoder is `Max`.

    Args:
        max_interval: steps from the peak on that must reach the target.
        target: level of the right class there, in the units of the output.
        others: weight of the term of the other classes.

    Source: the peak loss of Rockpool, used for the networks of Weidel and Sheik, arXiv 2111.01456,
    and of Bos and Muir, arXiv 2208.12991.

    >>> output = torch.tensor([[[0.5, 1.0]], [[0.5, 0.0]]])
    >>> float(PeakLoss(max_interval=1)(output, output[0], torch.tensor([0])))
    0.75
    """

    name: ClassVar[str] = "peak"
    decoders: ClassVar[tuple[str, ...] | None] = ("max",)

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``output`` and class ``targets``, see `Loss.__call__`."""
        self.check_classes(scores, targets)
        classes = output.shape[2]
        if classes < 2:
            raise ShapeError(
                f"{self.where}: output must have at least two classes, got {classes}. "
                "Use BinaryPeakLoss for a single output."
            )
        right = output.gather(2, targets.expand(len(output), -1)[..., None])[..., 0]
        peak = (_after_peak(right, self.max_interval) - self.target).square()
        squares = output.square().mean(0)
        wrong = squares.sum(1) - squares.gather(1, targets[:, None])[:, 0]
        return (peak + self.others / (classes - 1) * wrong).mean()


@dataclass(frozen=True)
class BinaryPeakLoss(_OfPeak):
    """`PeakLoss` of a single output that is to rise for class 1 and to stay at zero for class 0.

    L = mean_b [ (g - target)^2 ] of class 1 and mean_b [ others * mean_t y^2 ] of class 0, as one
    mean over the batch. The decoder is `OverThreshold`.

    Args:
        max_interval, target, others: as in `PeakLoss`.

    >>> output = torch.tensor([[[0.5], [1.0]], [[0.5], [0.0]]])
    >>> scores = torch.zeros(2, 2)
    >>> float(BinaryPeakLoss(max_interval=1)(output, scores, torch.tensor([1, 0])))
    0.375
    """

    name: ClassVar[str] = "binary_peak"
    decoders: ClassVar[tuple[str, ...] | None] = ("over_threshold",)

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``output`` and ``targets`` 0 and 1, see `Loss.__call__`."""
        self.check_classes(scores, targets)
        y = output[..., 0]
        peak = (_after_peak(y, self.max_interval) - self.target).square()
        return torch.where(targets == 1, peak, self.others * y.square().mean(0)).mean()


def _after_peak(y: Tensor, steps: int) -> Tensor:
    """The mean of y (time, batch) over so many steps from its peak on, (batch,)."""
    peak = y.detach().argmax(0)
    index = peak + torch.arange(steps, device=y.device)[:, None]
    return y.gather(0, torch.where(index < len(y), index, peak)).mean(0)


@dataclass(frozen=True)
class MembraneMSE(Loss):
    """Mean squared distance between the output and a target signal of the same shape.

    >>> trace = torch.tensor([[[1.0]], [[3.0]]])
    >>> float(MembraneMSE()(trace, trace[0], torch.zeros(2, 1, 1)))
    5.0
    """

    name: ClassVar[str] = "membrane_mse"

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``output`` and signal ``targets``, see `Loss.__call__`."""
        self.check_signal(output, targets)
        return functional.mse_loss(output, targets.to(output.dtype))


@dataclass(frozen=True)
class VanRossum(Loss):
    """The van Rossum distance between output and target spike trains, squared.

    D^2 = (1 / tau) int_0^inf (f - g)^2 dt, where f and g are the two trains filtered with
    exp(-t / tau); averaged over batch and neurons. The integral is exact for spikes on the grid:
    one spike too many gives 1/2, one shifted by d gives 1 - exp(-d / tau).

    Args:
        tau: time constant of the filter, s.
        dt: time step, s.

    Source: van Rossum, Neural Computation 13 (2001).

    >>> output = torch.tensor([[[1.0]], [[0.0]], [[0.0]]])
    >>> round(float(VanRossum(tau=5e-3, dt=1e-3)(output, output[0], torch.zeros(3, 1, 1))), 6)
    0.5
    """

    name: ClassVar[str] = "van_rossum"

    tau: float
    dt: float

    def __post_init__(self) -> None:
        self.check_range("tau", 0.0, "positive")
        check_dt(self.where, self.dt)

    def __call__(self, output: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
        """The scalar loss; reads ``output`` and spike ``targets``, see `Loss.__call__`."""
        self.check_signal(output, targets)
        decay = math.exp(-self.dt / self.tau)
        trace = exponential_filter(output - targets.to(output.dtype), decay)
        # Each trace decays freely for one step, the last one for ever.
        inside = -math.expm1(-2 * self.dt / self.tau) / 2
        distance = inside * trace[:-1].square().sum(0) + trace[-1].square() / 2
        return distance.mean()


def exponential_filter(x: Tensor, decay: float, chunk: int = 128) -> Tensor:
    """y[t] = decay * y[t - 1] + x[t] along the first axis, from y[-1] = 0; differentiable.

    One product with a triangular matrix for each ``chunk`` steps.

    >>> exponential_filter(torch.tensor([1.0, 0.0, 1.0]), 0.5).tolist()
    [1.0, 0.5, 1.25]
    """
    lag = torch.arange(min(chunk, len(x)), device=x.device)
    lags = lag[:, None] - lag
    powers = torch.pow(decay, torch.arange(len(lag) + 1, device=x.device, dtype=torch.float64))
    kernel = torch.where(lags >= 0, powers[lags.clamp(min=0)], 0.0).to(x.dtype)
    carried = powers[1:, None].to(x.dtype)
    pieces: list[Tensor] = []
    for piece in x.flatten(1).split(chunk) if x.ndim > 1 else x[:, None].split(chunk):
        filtered = kernel[: len(piece), : len(piece)] @ piece
        if pieces:
            filtered = filtered + carried[: len(piece)] * pieces[-1][-1]
        pieces.append(filtered)
    return torch.cat(pieces).reshape(x.shape)


def _class_mse(
    loss: Loss, values: Tensor, targets: Tensor, correct: float, incorrect: float
) -> Tensor:
    loss.check_classes(values, targets)
    wanted = torch.full_like(values, incorrect)
    wanted.scatter_(1, targets[:, None], correct)
    return functional.mse_loss(values, wanted)


LOSSES: dict[str, type[Any]] = {
    kind.name: kind
    for kind in (
        CrossEntropy,
        FirstSpikeCrossEntropy,
        SpikeCountMSE,
        RateMSE,
        PeakLoss,
        BinaryPeakLoss,
        MembraneMSE,
        VanRossum,
    )
}
