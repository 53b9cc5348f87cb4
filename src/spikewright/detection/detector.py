"""From a network's outputs step after step to single detections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright import optional
from spikewright.errors import ParameterError, ShapeError, nearest
from spikewright.units import check_dt

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Detection:
    """A class that was heard.

    Args:
        time: end of the time step that decided, s from the start.
        step: that step, from 0.
        label: the class.
        score: its score then.
    """

    time: float
    step: int
    label: str
    score: float


@dataclass(frozen=True)
class DetectorState:
    """Where a detector is.

    Attributes:
        step: steps taken.
        smooth: of the smoothing filter, (1, classes).
        above: whether each class was at or above the threshold, (classes,).
        last: the step of each class's last detection, negative before the first, (classes,).
    """

    step: int
    smooth: Values
    above: NDArray[np.bool_]
    last: NDArray[np.int64]


@dataclass(frozen=True)
class Detector:
    """Smooth outputs, compare with a threshold, and stay silent for a while after a detection.

    z[t] = z[t-1] + (1 - exp(-dt / smoothing)) (y[t] - z[t-1]), z = 0 before the first step;
    score = softmax(scale z) over the classes, or z itself. A class is detected where its score is
    the highest of all and rises to the threshold or above it, unless a detection of that class is
    less than ``refractory`` ago. A sound that lasts is detected once.

    Args:
        classes: the network's outputs by name.
        dt: time step, s.
        threshold: of the score.
        smoothing: time constant, s; 0 for none.
        refractory: s.
        background: classes that are never told, but take their share of the score.
        scale: factor inside the softmax; ``None`` for no softmax.

    Raises:
        ParameterError: an option is out of range, or ``background`` names no class.

    >>> detector = Detector(("yes", "no"), dt=10e-3, threshold=0.9, smoothing=0.0)
    >>> found, state = detector([[0.0, 0.0], [5.0, 0.0], [5.0, 0.0]])
    >>> [(one.label, one.time) for one in found]
    [('yes', 0.02)]
    """

    classes: tuple[str, ...]
    dt: float
    threshold: float = 0.5
    smoothing: float = 0.1
    refractory: float = 0.5
    background: tuple[str, ...] = ()
    scale: float | None = 1.0

    def __post_init__(self) -> None:
        check_dt("Detector", self.dt)
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ParameterError(
                f"Detector: classes must be different names, at least one, got {self.classes}. "
                "Name each output of the network."
            )
        for name in self.background:
            if name not in self.classes:
                raise ParameterError(
                    f"Detector: background must name classes, got {name!r}. "
                    f"{nearest(name, self.classes)}"
                )
        self._check("threshold", -math.inf)
        self._check("smoothing", 0.0)
        self._check("refractory", 0.0)
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ParameterError(
                f"Detector: scale must be positive and finite, or None, got {self.scale!r}. "
                "Pass 1.0, or None for outputs as they are."
            )

    def initial(self) -> DetectorState:
        """The state before the first step."""
        count = len(self.classes)
        return DetectorState(
            0, np.zeros((1, count)), np.zeros(count, np.bool_), np.full(count, -1, np.int64)
        )

    def __call__(
        self, outputs: ArrayLike, state: DetectorState | None = None
    ) -> tuple[list[Detection], DetectorState]:
        """The detections of some steps, and the state after them.

        Args:
            outputs: (steps, classes) of the network; no steps at all are allowed.
            state: what the call before gave; ``None`` starts afresh. It is not changed.

        Returns:
            Detections in their order, and the state. However the steps are cut into calls, the
            detections are the same.

        Raises:
            ShapeError: outputs of another shape, or not finite.
        """
        state = state or self.initial()
        score, smooth = self.scores(outputs, state.smooth)
        above = np.concatenate([state.above[None], self._above(score)])
        last, found = state.last.copy(), list[Detection]()
        for step, which in np.argwhere(above[1:] & ~above[:-1]):
            now = state.step + int(step)
            if last[which] < 0 or (now - last[which]) * self.dt >= self.refractory * _ALMOST:
                last[which] = now
                label, value = self.classes[which], float(score[step, which])
                found.append(Detection((now + 1) * self.dt, now, label, value))
        return found, DetectorState(state.step + len(score), smooth, above[-1], last)

    def scores(self, outputs: ArrayLike, smooth: Values | None = None) -> tuple[Values, Values]:
        """Scores of some steps, (steps, classes), and the state of the smoothing filter."""
        values = self._checked(np.asarray(outputs, np.float64))
        after: Values = self.initial().smooth if smooth is None else smooth
        if len(values):
            values, after = self._filter(values, after)
        if self.scale is None:
            return values, after
        powers = np.exp(self.scale * (values - values.max(1, initial=-math.inf, keepdims=True)))
        return powers / powers.sum(1, keepdims=True), after

    @cached_property
    def _filter(self) -> Any:
        """The smoothing filter, as a function of values and its state."""
        kept = math.exp(-self.dt / self.smoothing) if self.smoothing else 0.0
        lfilter = optional.require("scipy.signal").lfilter
        return lambda values, state: lfilter([1.0 - kept], [1.0, -kept], values, 0, state)

    def _above(self, score: Values) -> NDArray[np.bool_]:
        """Where a class that may be told has the highest score, at or above the threshold."""
        told = np.array([name not in self.background for name in self.classes])
        highest = np.zeros(score.shape, np.bool_)
        if len(score):
            highest[np.arange(len(score)), score.argmax(1)] = True
        return highest & told & (score >= self.threshold)

    def _checked(self, values: Values) -> Values:
        if values.ndim != 2 or values.shape[1] != len(self.classes):
            raise ShapeError(
                f"Detector: outputs must be (steps, {len(self.classes)}), one for each class, got "
                f"shape {values.shape}. Name as many classes as the network has outputs."
            )
        if not np.isfinite(values).all():
            raise ShapeError(
                "Detector: outputs must be finite, got NaN or infinity. Check the network."
            )
        return values

    def _check(self, name: str, least: float) -> None:
        value = getattr(self, name)
        if not (least <= value < math.inf):
            raise ParameterError(
                f"Detector: {name} must be finite{'' if least < 0 else ' and at least 0'}, got "
                f"{value!r}. Pass for example {name}=0.5."
            )


_ALMOST = 1 - 1e-9
"""Times are whole steps: 3 x 0.1 s is 0.3 s."""
