"""Where in the trial a loss credits spikes, and what one update creates and deletes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikewright.errors import ParameterError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses
from spikewright.events.network import EventRun
from spikewright.events.solver import Fired, Limits, Samples, Solver, TimeWeight
from spikewright.events.wires import merge_currents
from spikewright.learning.event_rule import EventRule, as_spikes
from spikewright.learning.rule import Batch, RuleState
from spikewright.learning.silent import weights_into
from spikewright.network import Network
from spikewright.units import format_seconds

_BLIND = 0.01
"""Credit below this share of its peak counts as none."""
_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 24


@dataclass(frozen=True)
class LayerFlow:
    """What `diagnose` found in one layer of neurons.

    Attributes:
        name: the layer.
        credit: (bins,), the mean of |lambda_v - lambda_i| over samples and neurons in each part of
            the trial: what the time of an arrival through a weight of 1 is worth, 1/s, in one
            sample's loss.
        gradient: norm of the loss gradient of the weights that lead into the layer.
        spikes: spikes of a neuron in a sample; ``None`` for a readout, like the rest.
        silent: share of neurons without a spike in the whole batch.
        created, deleted: spikes of the batch that a step of training creates and deletes; a
            neuron's spikes in a sample are matched in their order.
    """

    name: str
    credit: Tensor
    gradient: float
    spikes: float | None = None
    silent: float | None = None
    created: int | None = None
    deleted: int | None = None


@dataclass(frozen=True)
class CreditReport:
    """What a loss teaches which layer, when; see `diagnose`.

    Attributes:
        loss: what the loss is.
        edges: (bins + 1,), s, between the parts of the trial.
        layers: of neurons, in the order in which they run.
    """

    loss: str
    edges: Tensor
    layers: tuple[LayerFlow, ...]

    def __str__(self) -> str:
        width = max([len("layer"), *(len(flow.name) for flow in self.layers)])
        span = f"credit from 0 to {format_seconds(float(self.edges[-1]))}"
        head = (
            f"{'layer':<{width}}  {'spikes':>7}  {'silent':>7}  {'created':>7}  {'deleted':>7}  "
            f"{'gradient':>9}  {span}"
        )
        rows = [_row(flow, width) for flow in self.layers]
        advice = [f"- {line}" for flow in self.layers for line in self.advise(flow)]
        return "\n".join([self.loss, head, *rows, "", *(advice or ["Nothing stands out."])])

    def blind(self, flow: LayerFlow) -> float:
        """The part of the trial, from its start, whose credit is below 1 % of the peak.

        0 where credit reaches the start, 1 where there is none at all.
        """
        seen = (flow.credit > _BLIND * flow.credit.max()).nonzero()
        return float(seen[0]) / len(flow.credit) if len(seen) else 1.0

    def advise(self, flow: LayerFlow) -> list[str]:
        """What to change in a layer; empty if nothing stands out."""
        name, blind = f"layer {flow.name!r}", self.blind(flow)
        if flow.silent == 1:
            return [f"{name} is silent, no gradient passes it: raise its input weights, or choose "
                    "a policy of sw.learning.silent."]  # fmt: skip
        if blind == 1:
            return [f"{name}: no credit reaches it: see the layers behind it."]
        lines: list[str] = []
        if blind > 0.5:
            lines.append(
                f"{name}: no credit in the first {blind:.0%} of the trial: choose a loss whose "
                "weight falls over the trial, or a shorter trial."
            )
        if flow.created is not None and flow.deleted is not None:
            lines += _advise_update(name, flow.created, flow.deleted)
        return lines


def _advise_update(name: str, created: int, deleted: int) -> list[str]:
    if deleted < 10 or deleted < 3 * created:
        return []
    return [
        f"{name}: the step deletes {deleted} spikes and creates {created}, which no exact gradient "
        "sees: lower the learning rate, choose another loss, or add LowerRate."
    ]


def diagnose(
    rule: EventRule,
    network: Network,
    batch: Batch | tuple[Tensor, Tensor],
    rule_state: RuleState = None,
    bins: int = 100,
) -> CreditReport:
    """Follow the gradient of one batch through the trial; network and state are not changed.

    Into each layer of neurons go arrivals of weight 0, one at each edge between the parts of the
    trial: dL/dw of such a weight is the current's adjoint g_i = -tau_syn lambda_i there, and its
    change over time is dg_i/dt = lambda_v - lambda_i. A copy of the network then makes one step.

    Args:
        rule: `EventProp` or `SpikeTime`.
        network: as it is in training.
        batch: input, (time, batch, *features) or spike times, and targets (batch,).
        rule_state: what training left; by default a fresh one.
        bins: parts of the trial.

    Raises:
        ParameterError: a rule of another kind, or not a whole number of parts from 1.

    >>> import spikewright as sw
    >>> from spikewright.learning.event_losses import IntegralCrossEntropy
    >>> cells = dict(tau_mem=20e-3, tau_syn=5e-3)
    >>> net = sw.Sequential(
    ...     sw.Linear(3, 9, bias=False), sw.CubaLIF(**cells, v_threshold=100.0),
    ...     sw.Linear(9, 2, bias=False), sw.CubaLI(**cells), dt=1e-3,
    ... )
    >>> rule = sw.learning.EventProp(IntegralCrossEntropy())
    >>> batch = ((torch.rand(50, 4, 3) < 0.1).float(), torch.tensor([0, 1, 0, 1]))
    >>> found = diagnose(rule, net, batch)
    >>> [flow.name for flow in found.layers], found.layers[0].silent
    (['1_cubalif', '3_cubali'], 1.0)
    """
    _check(rule, bins)
    patient, batch = copy.deepcopy(network), Batch(*batch)
    spikes = as_spikes(patient, batch.x)
    edges = torch.linspace(0, spikes.duration, bins + 1, dtype=torch.float64)
    for parameter in patient.parameters():
        parameter.grad = None
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        probe = _Probing(rule.solver_for(patient), edges.to(spikes.times.device))
        before = rule.measure(patient, spikes, batch.y, probe)
        if before.loss.requires_grad:
            before.loss.backward()
        flows = _flows(patient, before.run, probe)
        # The optimiser changes moments in place.
        state = rule.init(patient) if rule_state is None else copy.deepcopy(rule_state)
        rule.train_batch(patient, batch, state)
        with torch.no_grad():
            after = rule.measure(patient, spikes, batch.y).run
    layers = tuple(_with_changes(flow, before.run, after) for flow in flows)
    return CreditReport(repr(rule.loss), edges, layers)


def _check(rule: EventRule, bins: int) -> None:
    if not isinstance(rule, EventRule):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError(
            f"diagnose: rule must follow events, got {type(rule).__name__}. Give EventProp or "
            "SpikeTime; for Surrogate there is sw.doctor."
        )
    if type(bins) is not int or bins < 1:
        raise ParameterError(
            f"diagnose: bins must be a whole number from 1, got {bins!r}. Use 100."
        )


@dataclass
class _Probing:
    """A solver that lets arrivals of weight 0 at ``edges`` into each group of neurons."""

    solver: Solver
    edges: Tensor
    weights: list[Tensor] = field(default_factory=list[Tensor])

    def fire(
        self, current: Current, cells: Cells, feedback: Feedback | None, limits: Limits
    ) -> Fired:
        return self.solver.fire(self._probed(current), cells, feedback, limits)

    def sample(self, current: Current, cells: Cells) -> Samples:
        return self.solver.sample(self._probed(current), cells)

    def integrate(self, current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
        return self.solver.integrate(self._probed(current), cells, weight)

    def peak(self, current: Current, cells: Cells) -> Tensor:
        return self.solver.peak(self._probed(current), cells)

    def _probed(self, current: Current) -> Current:
        batch, places, neurons = current.batch, len(self.edges), current.synapses.neurons
        weight = self.edges.new_zeros(batch * places, neurons, requires_grad=True)
        self.weights.append(weight)
        rows = torch.arange(batch * places, device=weight.device)
        offsets = torch.arange(batch + 1, device=weight.device) * places
        synapses = Synapses(weight, neurons)
        probes = Current(self.edges.repeat(batch), rows, offsets, synapses, current.duration)
        return merge_currents([current, probes])

    def credit(self, place: int, batch: int) -> Tensor:
        """(bins,) of the group of neurons that was asked for as number ``place``."""
        weight = self.weights[place]
        adjoint = torch.zeros_like(weight) if weight.grad is None else weight.grad
        change = adjoint.reshape(batch, len(self.edges), -1).diff(dim=1) * batch
        return change.abs().mean((0, 2)).cpu() / self.edges.diff().cpu()


def _flows(network: Network, run: EventRun, probe: _Probing) -> list[LayerFlow]:
    """The layers of neurons, in the order in which the solver was asked for them."""
    last = next(reversed(network.layers))
    names = list(dict.fromkeys([*run.fired, last]))
    batch = len(probe.weights[0]) // len(probe.edges)
    found: list[LayerFlow] = []
    for place, name in enumerate(names):
        weights = weights_into(network, name).values()
        gradients = [weight.grad.norm() for weight in weights if weight.grad is not None]
        norm = float(torch.stack(gradients).norm()) if gradients else 0.0
        found.append(LayerFlow(name, probe.credit(place, batch), norm))
    return found


def _with_changes(flow: LayerFlow, before: EventRun, after: EventRun) -> LayerFlow:
    if flow.name not in before.fired:
        return flow
    counts = before.fired[flow.name].counts.detach()
    change = after.fired[flow.name].counts.detach() - counts
    return LayerFlow(
        flow.name,
        flow.credit,
        flow.gradient,
        spikes=float(counts.mean()),
        silent=float((counts.sum(0) == 0).double().mean()),
        created=int(change.clamp(min=0).sum()),
        deleted=int((-change).clamp(min=0).sum()),
    )


def _row(flow: LayerFlow, width: int) -> str:
    def shown(value: float | None, text: Callable[[float], str]) -> str:
        return f"{'–' if value is None else text(value):>7}"

    cells = [
        shown(flow.spikes, "{:.2f}".format),
        shown(flow.silent, "{:.1%}".format),
        shown(flow.created, "{:.0f}".format),
        shown(flow.deleted, "{:.0f}".format),
    ]
    return f"{flow.name:<{width}}  {'  '.join(cells)}  {flow.gradient:9.2e}  {_bars(flow.credit)}"


def _bars(credit: Tensor) -> str:
    """The curve as text, one character for the largest credit of each part of the trial."""
    parts = torch.stack([part.max() for part in credit.tensor_split(min(_COLUMNS, len(credit)))])
    heights = parts / (float(parts.max()) or 1.0)
    return "".join(_BARS[round(float(height) * (len(_BARS) - 1))] for height in heights)
