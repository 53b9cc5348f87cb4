"""The tempotron: whether a neuron fires, learned from the peak of its membrane."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikewright.connections import Linear
from spikewright.engine.checks import check_finite, check_sequence
from spikewright.errors import ParameterError
from spikewright.learning.checks import Checked
from spikewright.learning.doctor import Diagnosis, LayerHealth
from spikewright.learning.processes import average
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.network import Network
from spikewright.neurons import LI, LIF, CubaLI, CubaLIF, Neuron

_MEMBRANES: dict[type[Neuron], type[Neuron]] = {LI: LI, LIF: LI, CubaLI: CubaLI, CubaLIF: CubaLI}
"""The neurons that the rule trains, and those with the same membrane that never fire."""


class _Measured(NamedTuple):
    """Peaks over threshold, (batch, n), and the first step of each; what the classes say."""

    x: Tensor
    membrane: Neuron
    margins: Tensor
    steps: Tensor
    wanted: Tensor
    scores: Tensor

    @property
    def wrong(self) -> Tensor:
        """(batch, n): 1 to fire where it did not, -1 to be silent where it fired, 0 if right."""
        return self.wanted.to(self.margins.dtype) - (self.margins > 0).to(self.margins.dtype)

    def metrics(self, targets: Tensor) -> dict[str, Tensor]:
        """Cost and share of right answers."""
        cost = (self.wrong.abs() * self.margins.abs()).sum(1).mean()
        return {"loss": cost, "accuracy": (self.scores.argmax(1) == targets).double().mean()}


@dataclass(frozen=True)
class Tempotron(Checked):
    """Learning rule: each output learns whether to fire in a trial, and when does not matter.

    V(t) = v_leak + sum_i w_i sum_(t_i) K(t - t_i) is the membrane without resets; the neuron fires
    if its peak V(t_max) is above threshold. An output that is wrong changes its weights by

        dw_i = +-lr sum_(t_i <= t_max) K(t_max - t_i),  + where it should have fired

    the gradient of its cost |V(t_max) - threshold|; means over the batch. One output tells
    class 1 (fires) from class 0, several tell a class each: that of the highest peak. No
    autograd runs, and weights of other layers cannot be trained.

    Networks: ``Linear(n, classes, bias=False)`` and one of CubaLI, CubaLIF, LI, LIF, from their
    initial state. K is that neuron's response to one spike; its
    maximum is not scaled to 1, so lr depends on the time constants.

    Args:
        learning_rate: lr.
        momentum: share of the last change that is added to the next.
        threshold: of readouts that do not fire, 1 if left out; firing neurons have their own.

    Raises:
        ParameterError: an option is outside its range.

    Source: Gütig and Sompolinsky, Nature Neuroscience 9 (2006); there inputs after the first spike
    are shunted, here the peak is that of the whole trial.

    >>> from spikewright import CubaLIF, Sequential
    >>> _ = torch.manual_seed(0)
    >>> net = Sequential(Linear(20, 1, bias=False), CubaLIF(tau_mem=15e-3, tau_syn=4e-3), dt=1e-3)
    >>> x = (torch.rand(100, 10, 20) < 0.01).float()  # random patterns
    >>> batch, rule = Batch(x, torch.arange(10) % 2), Tempotron(learning_rate=1.0, momentum=0.9)
    >>> state = rule.init(net)
    >>> for _ in range(100):
    ...     metrics, state = rule.train_batch(net, batch, state)
    >>> float(metrics["accuracy"])
    1.0
    """

    learning_rate: float = 0.1
    momentum: float = 0.0
    threshold: float | None = None

    @property
    def where(self) -> str:
        return "Tempotron"

    def __post_init__(self) -> None:
        self.check_range("learning_rate", 0.0, "positive")
        if not 0 <= self.momentum < 1:
            raise ParameterError(
                f"Tempotron: momentum must be at least 0 and below 1, got {self.momentum!r}. "
                "Leave it out for none."
            )
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ParameterError(
                f"Tempotron: threshold must be finite, got {self.threshold!r}. Leave it out for 1."
            )

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        if not isinstance(network, Network):
            return [f"network: must be a spikewright Network, is {type(network).__name__}"]
        if len(network.layers) != 2:
            found = len(network.layers)
            return [f"network: must be a Linear and one layer of neurons, has {found} layers"]
        return list(self._problems(network))

    def _problems(self, network: Network) -> Iterator[str]:
        (first, connection), (second, neuron) = network.layers.items()
        if type(connection) is not Linear:
            yield f"layer {first!r}: must be Linear, is {type(connection).__name__}"
        elif connection.bias is not None:
            yield f"layer {first!r}: has a bias, which is no synapse; make it with bias=False"
        elif not connection.weight.requires_grad:
            yield f"layer {first!r}: its weight may not change"
        if type(neuron) not in _MEMBRANES:
            names = ", ".join(kind.__name__ for kind in _MEMBRANES)
            yield f"layer {second!r}: must be one of {names}, is {type(neuron).__name__}"
            return
        if neuron.noise:  # type: ignore[union-attr]
            yield f"layer {second!r}: has noise, so its peak is not a function of the weights"
        if neuron.spiking and self.threshold is not None:
            yield f"layer {second!r}: has a threshold of its own; leave that of the rule out"

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: no change to go on with."""
        assert isinstance(network, Network)
        return {"step": 0, "change": torch.zeros_like(_weight(network))}

    @torch.no_grad()
    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """Change the weights once by the mean over ``batch``; see `Rule.train_batch`."""
        measured = self._measure(network, batch)
        direction = _peak_gradient(measured)
        average([direction], batch.samples)
        change = self.learning_rate * direction + self.momentum * rule_state["change"]
        _weight(network).add_(change)
        after = {"step": rule_state["step"] + 1, "change": change}
        return measured.metrics(batch.y), after

    @torch.no_grad()
    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Cost, accuracy and predictions of ``batch``; see `Rule.evaluate`."""
        assert isinstance(network, Network)
        measured = self._measure(network, batch)
        return {**measured.metrics(batch.y), "predictions": measured.scores.argmax(1)}

    @torch.no_grad()
    def examine(self, network: Network, batch: Batch, rule_state: RuleState) -> Diagnosis:
        """What keeps outputs from learning, for `doctor`; each trial in which one fires counts
        as one spike of it, as for the rule."""
        measured = self._measure(network, batch)
        fired = (measured.margins > 0).double()
        name = next(reversed(network.layers))
        silent = float((fired.sum(0) == 0).double().mean())
        rate = float(fired.mean()) / len(measured.x)
        health = LayerHealth(name, rate, silent, in_window=None, gradient=None)
        return Diagnosis((health,), tuple(_advise(name, measured, self._pace(measured))))

    def _pace(self, measured: _Measured) -> Tensor:
        """How far a batch like this moves the peaks of the wrong trials of each output, (n,)."""
        wrong = measured.wrong.abs().mean(0)
        speed = self.learning_rate / (1 - self.momentum)
        return speed * _peak_gradient(measured).square().sum(1) / wrong.clamp(min=1e-30)

    def _measure(self, network: Network, batch: Batch) -> _Measured:
        x = network.to_floating(batch.x)
        check_sequence("Tempotron", x, network.shape)
        check_finite("Tempotron", x)
        connection, neuron = network.layers.values()
        assert isinstance(neuron, Neuron)
        membrane = _membrane(neuron)
        v, _ = membrane(connection(x)[0])
        peaks, steps = v.max(0)
        margins = peaks - self._threshold(neuron)
        single = margins.shape[1] == 1
        scores = torch.cat([torch.zeros_like(margins), margins], 1) if single else margins
        self.check_classes(scores, batch.y)
        wanted = nn.functional.one_hot(batch.y, scores.shape[1])[:, int(single) :]
        return _Measured(x, membrane, margins, steps, wanted, scores)

    def _threshold(self, neuron: Neuron) -> Tensor | float:
        if neuron.spiking:
            return neuron.params().v_threshold
        return 1.0 if self.threshold is None else self.threshold


def _weight(network: Network) -> Tensor:
    connection = next(iter(network.layers.values()))
    assert isinstance(connection, Linear)
    return connection.weight


def _membrane(neuron: Neuron) -> Neuron:
    """The same neurons without a threshold."""
    if not neuron.spiking:
        return neuron
    kind: Any = _MEMBRANES[type(neuron)]
    values = {name: neuron.parameter_set.value(name).detach() for name in _fields(kind)}
    order = neuron.options_of_step.get("order", "exact")
    membrane = kind(order=order, backend=neuron.backend, **values)
    membrane.build(neuron.features, neuron.dt)
    return membrane


def _fields(kind: type[Neuron]) -> list[str]:
    return list(kind.Params.__dataclass_fields__)


def _advise(name: str, measured: _Measured, pace: Tensor) -> Iterator[str]:
    """What to change where outputs never fire though they should, or the other way round."""
    if not bool(measured.x.any()):
        yield f"layer {name!r} gets no spikes, so no synapse has credit: raise the input."
        return
    wrong, outputs = measured.wrong, measured.wrong.shape[1]
    fired = measured.margins > 0
    stuck = (wrong != 0).any(0) & (pace == 0)
    mute = ~fired.any(0) & (wrong > 0).any(0)
    ever = fired.all(0) & (wrong < 0).any(0)
    cases = (
        (mute & stuck, "never fire and peak before any input, so no weight changes: raise the "
         "first weights"),
        (ever & stuck, "fire before any input, so no weight changes: lower v_leak, or raise the "
         "threshold"),
        (mute & ~stuck, "never fire though they should: raise learning_rate, the first weights "
         "or r, or lower the threshold"),
        (ever & ~stuck, "fire in every trial: raise learning_rate, lower the first weights or r, "
         "or raise the threshold"),
    )  # fmt: skip
    for found, text in cases:
        if bool(found.any()):
            gap = float(measured.margins.abs()[:, found].mean())
            step = float(pace[found].mean())
            far = f" (peaks are {gap:.2g} off, a batch moves them by {step:.2g})" if step else ""
            yield f"layer {name!r}: {int(found.sum())} of {outputs} outputs {text}{far}."


def _peak_gradient(measured: _Measured) -> Tensor:
    """Mean over the batch of d(sum of signed peaks)/d(weights), (n, inputs)."""
    x, steps = measured.x, measured.steps
    kernel = _response(measured.membrane, x, steps.shape[1])
    lags = steps - torch.arange(len(x), device=x.device)[:, None, None]
    before = kernel.gather(0, lags.clamp(min=0).flatten(0, 1)).view(lags.shape)
    shares = torch.where(lags >= 0, before, 0.0) * measured.wrong  # (time, batch, n)
    return shares.flatten(0, 1).T @ x.flatten(0, 1) / x.shape[1]


def _response(membrane: Neuron, x: Tensor, outputs: int) -> Tensor:
    """K, the membrane after one spike of weight 1 in the first step, (time, n), over the leak."""
    impulse = x.new_zeros((len(x), 2, outputs))
    impulse[0, 0] = 1.0
    v, _ = membrane(impulse)
    return v[:, 0] - v[:, 1]
