"""What keeps a network from learning, said layer by layer."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikewright.borrow import streams_kept
from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import RuleError
from spikewright.learning.advice import never_fire, no_gradient, saturated, silent
from spikewright.learning.rule import Batch, Rule, RuleState
from spikewright.network import Network

SILENT_BELOW = 1e-4
SATURATED_ABOVE = 0.5
MANY_SILENT = 0.5
FEW_IN_WINDOW = 0.001


@dataclass(frozen=True)
class LayerHealth:
    """What `doctor` found in one spiking layer.

    Attributes:
        rate: spikes per step and neuron.
        silent: share of neurons without a spike in the whole batch.
        in_window: share of (step, sample, neuron) inside the surrogate's window: where the
            derivative is at least a tenth of its peak; ``None`` without a surrogate.
        gradient: norm of the loss gradient of the weights that lead into the layer; ``None``
            if there are none.
        most: the most spikes of a neuron in one step.
        active: share of (step, sample, neuron) where the derivative is not zero.
    """

    name: str
    rate: float
    silent: float
    in_window: float | None
    gradient: float | None
    most: int = 1
    active: float = 1.0


@dataclass(frozen=True)
class Diagnosis:
    """Findings for each spiking layer, and what to change."""

    layers: tuple[LayerHealth, ...]
    advice: tuple[str, ...]

    def __str__(self) -> str:
        width = max([len("layer"), *(len(h.name) for h in self.layers)])
        head = f"{'layer':<{width}}  {'rate':>8}  {'silent':>7}  {'window':>7}  {'gradient':>9}"
        rows = [
            f"{h.name:<{width}}  {h.rate:8.4f}  {h.silent:7.1%}  "
            + (f"{h.in_window:7.1%}  " if h.in_window is not None else f"{'–':>7}  ")
            + (f"{h.gradient:9.2e}" if h.gradient is not None else f"{'–':>9}")
            for h in self.layers
        ]
        advice = [f"- {line}" for line in self.advice] or ["Nothing stands out."]
        return "\n".join([head, *rows, "", *advice])


@runtime_checkable
class Examines(Protocol):
    """A rule that knows itself what keeps a network from learning by it."""

    def examine(self, network: Network, batch: Batch, rule_state: RuleState) -> Diagnosis:
        """What `doctor` says of a network, which may be changed: it is a copy."""
        ...


def can_examine(rule: object) -> bool:
    """Whether `doctor` can examine a network for this rule."""
    return isinstance(rule, Examines) or hasattr(rule, "loss_of")


@dataclass(frozen=True)
class _Probe(SurrogateGradient):
    """A surrogate that counts how often the membrane is inside its window."""

    inner: SurrogateGradient = field(default_factory=SurrogateGradient)
    seen: list[int] = field(default_factory=lambda: [0, 0, 0])

    def derivative(self, u: Tensor) -> Tensor:
        value = self.inner.derivative(u)
        peak = self.inner.derivative(torch.zeros_like(u))
        self.seen[0] += int((value >= 0.1 * peak).sum())
        self.seen[1] += int((value != 0).sum())
        self.seen[2] += u.numel()
        return value

    @property
    def shares(self) -> tuple[float, float]:
        """Of the places: those inside the window, and those with any derivative at all."""
        inside, active, places = self.seen
        return inside / max(1, places), active / max(1, places)


def doctor(
    network: Network,
    batch: Batch | tuple[Tensor | SpikeTimes, Tensor],
    rule: Rule,
    rule_state: RuleState = None,
) -> Diagnosis:
    """Examine a network on one batch; the network itself is not changed.

    A rule with an examination of its own (`Examines`) is left to it. For others a copy runs
    forward and backward on the reference backend with the rule's own loss and, if it has one,
    surrogate.

    Args:
        batch: input (time, batch, *features) or spike times, and targets (batch,).
        rule: the learning rule: one that `Examines`, or with a ``loss_of(network, batch)``.
        rule_state: what training left; by default a fresh one.

    Raises:
        RuleError: the rule has neither.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> from spikewright.learning import Surrogate
    >>> net = Sequential(Linear(4, 10), LIF(v_threshold=100.0), Linear(10, 2), LI(), dt=1e-3)
    >>> found = doctor(net, (torch.rand(20, 8, 4), torch.tensor([0, 1] * 4)), Surrogate())
    >>> print(found.advice[0])
    layer '1_lif' is silent: raise its input weights, lower v_threshold, or use aim_rates.
    """
    if not can_examine(rule):
        raise RuleError(
            "doctor: rule must have an examine(network, batch, rule_state) or a "
            f"loss_of(network, batch), got {type(rule).__name__}. Pass a rule with a loss, such "
            "as Surrogate()."
        )
    patient = copy.deepcopy(network)
    if isinstance(rule, Examines):
        with streams_kept():
            state = rule.init(patient) if rule_state is None else rule_state
            return rule.examine(patient, Batch(*batch), state)
    x, y = network.to_floating(batch[0]), batch[1]
    examiner = copy.copy(rule)
    probes = _instrument(patient, getattr(rule, "surrogate", None))
    if getattr(rule, "surrogate", None) is not None:
        examiner.surrogate = None  # type: ignore[attr-defined]
    for parameter in patient.parameters():
        parameter.grad = None
    with torch.enable_grad(), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        # With a gradient for the input the backward pass reaches layers without weights before.
        x = x.detach().requires_grad_()
        loss, run = examiner.loss_of(patient, Batch(x, y))  # type: ignore[attr-defined]
        loss.backward()
    found = [_health(patient, name, probes[name], run.records[name]["spikes"]) for name in probes]
    return Diagnosis(tuple(found), tuple(line for h in found for line in advise(h)))


def _health(network: Network, name: str, probe: _Probe, spikes: Tensor) -> LayerHealth:
    spikes = spikes.detach()
    layer: Any = network.layers[name]
    firing = getattr(getattr(layer, "neuron", layer), "firing", None)
    in_window, active = probe.shares
    return LayerHealth(
        name=name,
        rate=float(spikes.mean()),
        silent=float((spikes.sum((0, 1)) == 0).double().mean()),
        in_window=in_window,
        gradient=gradient_into(network, name),
        most=getattr(firing, "max_spikes", 1),
        active=active,
    )


def advise(health: LayerHealth) -> list[str]:
    """What to change in a layer, worst first; empty if nothing stands out."""
    name = f"layer {health.name!r}"
    asleep = [
        f"{name}: no neuron is active, none inside the surrogate's window: widen it, at the start "
        "with WindowSchedule, or use aim_rates. LowerRate cannot rescue a net with no active "
        "neuron."
    ]
    if health.rate < SILENT_BELOW:
        cure = "raise its input weights, lower v_threshold, or use aim_rates"
        return [silent(health.name, cure), *(asleep if health.active == 0 else [])]
    advice = asleep if health.active == 0 else []
    if health.rate > SATURATED_ABOVE * health.most:
        cure = "lower its input weights, raise v_threshold, or add UpperRate"
        advice.append(saturated(health.name, health.rate, cure))
    elif health.silent > MANY_SILENT:
        cure = "raise the input weights, or add LowerRate"
        advice.append(never_fire(health.name, health.silent, cure))
    if health.active > 0 and (health.in_window or 0) < FEW_IN_WINDOW:
        advice.append(
            f"{name}: only {health.in_window:.2%} of its states are inside the surrogate's "
            "window: widen the surrogate."
        )
    if health.gradient == 0:
        advice.append(no_gradient(health.name))
    return advice


def _instrument(network: Network, of_rule: SurrogateGradient | None) -> dict[str, _Probe]:
    """Put a probe in place of each spiking layer's surrogate."""
    probes: dict[str, _Probe] = {}
    for name, layer in network.layers.items():
        cells: Any = getattr(layer, "neuron", layer)
        if layer.spiking and hasattr(cells, "surrogate"):
            probes[name] = _Probe(inner=of_rule or cells.surrogate)
            cells.surrogate, cells.backend = probes[name], "reference"
    return probes


def gradient_into(network: Network, name: str) -> float | None:
    """Norm of the gradient of the weights that lead into a layer; ``None`` if there are none."""
    weights = [p for source in network.sources[name] for p in _weights_before(network, source)]
    gradients = [p.grad for p in weights if p.grad is not None]
    if not gradients:
        return None
    return float(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients])))


def _weights_before(network: Network, name: str) -> list[Tensor]:
    """Parameters of a layer or, if it has none and is not one of neurons, of those before it."""
    layer = network.layers.get(name)
    if layer is None or hasattr(getattr(layer, "neuron", layer), "surrogate"):
        return []
    own: list[Tensor] = list(layer.parameters())
    return own or [p for source in network.sources[name] for p in _weights_before(network, source)]
