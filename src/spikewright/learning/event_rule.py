"""What the rules that follow events share: everything but the solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikewright import seeding
from spikewright.borrow import in_mode
from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.forward import refuse_program
from spikewright.errors import ParameterError, RuleError, nearest
from spikewright.events.network import EventRun, run_events
from spikewright.events.requirements import neurons_of, requirements
from spikewright.events.solver import Limits, Solver
from spikewright.learning.augmentation import Augmentation
from spikewright.learning.event_losses import EVENT_LOSSES, EventLoss, Readout
from spikewright.learning.optimisation import (
    Optimisation,
    descend,
    start_state,
    take_optimisation,
    trainable,
)
from spikewright.learning.processes import any_true, average_gradients, rank
from spikewright.learning.regularisers import SpikeRate, check_layers
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.learning.silent import Seen, SilentPolicy
from spikewright.network import Network

MaxSpikes = int | Mapping[str, int] | None
_KEYS = 2**62


class Measured(NamedTuple):
    """What a network did with a batch, and what the loss says of it."""

    loss: Tensor
    scores: Tensor
    run: EventRun
    steps: int


class EventRule:
    """Base of the rules that follow events; see `EventProp` and `SpikeTime`.

    Args:
        loss: one of `spikewright.learning.event_losses`.
        max_spikes: the most spikes of a neuron in a trial, for all layers or by their names.
        regularisers: of the spike counts of the layers, added to the loss; ``unit="step"`` counts
            steps of the network's dt.
        silent: policies for silent neurons, see `spikewright.learning.silent`.
        augmentations: of the input spikes while training, one after another; see
            `spikewright.learning.augmentation`.
        optimisation: an `Optimisation`, or give its fields: ``learning_rate=2e-3``.

    Raises:
        ParameterError: an option is unknown, of the wrong kind or outside its range.
    """

    options = ("loss", "max_spikes", "regularisers", "silent", "augmentations")

    def __init__(
        self,
        loss: EventLoss,
        *,
        max_spikes: MaxSpikes = None,
        regularisers: tuple[SpikeRate, ...] = (),
        silent: tuple[SilentPolicy, ...] = (),
        augmentations: tuple[Augmentation, ...] = (),
        optimisation: Optimisation | None = None,
        **fields: Any,
    ) -> None:
        where = type(self).__name__
        self.optimisation = take_optimisation(where, optimisation, fields, self.options)
        _check_max_spikes(where, max_spikes)
        self.loss, self.max_spikes = loss, max_spikes
        self.regularisers = _several(where, "regularisers", regularisers, SpikeRate)
        self.silent = _several(where, "silent", silent, SilentPolicy)
        self.augmentations = _several(where, "augmentations", augmentations, Augmentation)

    def __repr__(self) -> str:
        fields = (*self.options, "optimisation")
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in fields)
        return f"{type(self).__name__}({shown})"

    def solver_for(self, network: Network) -> Solver:
        """What turns arrivals into spikes."""
        raise NotImplementedError

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        if not isinstance(network, Network):
            return [f"network: must be a spikewright Network, is {type(network).__name__}"]
        problems = [] if trainable(network) else ["network: has no parameter that may change"]
        problems += requirements(network) or self._check_loss(network)
        problems += check_layers(self.regularisers, network)
        problems += [line for policy in self.silent for line in policy.requirements(network)]
        return problems + self._check_limits(network)

    def _check_loss(self, network: Network) -> list[str]:
        if not isinstance(self.loss, EventLoss):
            return [
                f"loss {_name_of(self.loss)}: acts on rasters, not on events; use one of "
                f"{', '.join(kind.__name__ for kind in EVENT_LOSSES.values())}"
            ]
        last = next(reversed(network.layers))
        spiking = network.layers[last].spiking
        if spiking == (self.loss.reads == "spikes"):
            return []
        gives, end = ("spikes", "CubaLI") if spiking else ("a membrane", "CubaLIF")
        reads = "spikes" if self.loss.reads == "spikes" else "a membrane"
        return [
            f"layer {last!r}: gives {gives}, and {_name_of(self.loss)} reads {reads}; end the "
            f"network in {end} or choose another loss"
        ]

    def _check_limits(self, network: Network) -> list[str]:
        spiking = [name for name, layer in network.layers.items() if layer.spiking]
        named = self.max_spikes if isinstance(self.max_spikes, Mapping) else {}
        return [
            f"layer {name!r}: max_spikes names it, but it is no spiking layer. "
            f"{nearest(name, spiking)}"
            for name in named
            if name not in spiking
        ]

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: step 0, no moments yet, and a key for all that is drawn."""
        assert isinstance(network, Network)
        return {
            **start_state(total_steps),
            "key": int(torch.randint(_KEYS, ())),
            "skipped": 0,
            "silent": [policy.start(network) for policy in self.silent],
        }

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """One optimiser step on the mean loss of ``batch``; see `Rule.train_batch`.

        A step whose gradient is not finite changes nothing, by policies for silent neurons
        neither, and is counted: ``skipped`` of the metrics is 1 then, and the number of them in
        the rule's state.

        Raises:
            RuleError: a loss that does not suit the network's output.
        """
        parameters = trainable(network)
        for parameter in parameters.values():
            parameter.grad = None
        spikes = self._augment(as_spikes(network, batch.x), rule_state)
        measured = self.measure(network, spikes, batch.y)
        if measured.loss.requires_grad:  # without a spike there is nothing to go back through
            measured.loss.backward()
        average_gradients(parameters.values(), spikes.batch)
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        finite = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        (skipped,) = any_true(not finite)
        after = {
            **rule_state,
            "step": rule_state["step"] + 1,
            "skipped": rule_state["skipped"] + skipped,
        }
        if not skipped:
            after["moments"] = descend(self.optimisation, parameters, rule_state)
            after["silent"] = self._wake(network, measured.run, batch.y, rule_state)
        return {**self._metrics(measured, batch.y), "skipped": float(skipped)}, after

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Loss, accuracy, rates and predictions of ``batch``; see `Rule.evaluate`."""
        assert isinstance(network, Network)
        with in_mode(network, training=False), torch.no_grad():
            measured = self.measure(network, as_spikes(network, batch.x), batch.y)
        found = self._metrics(measured, batch.y)
        return {**found, "predictions": measured.scores.argmax(-1)}

    def measure(
        self, network: Network, spikes: SpikeTimes, targets: Tensor, solver: Solver | None = None
    ) -> Measured:
        """The loss of a batch, differentiable, and the run it came from.

        Args:
            network: of layers that events know.
            spikes: the input.
            targets: (batch,) classes.
            solver: takes the place of the rule's own.
        """
        refuse_program(f"{type(self).__name__}, which follows events in software")
        for problem in self._check_loss(network):
            raise RuleError(f"{type(self).__name__}: loss must suit the network, got {problem}.")
        solver = solver or self.solver_for(network)
        run = run_events(network, spikes, solver, self._limits(network))
        last = next(reversed(network.layers))
        readout = Readout(run.fired.get(last, run.output), spikes, _slope(network.layers[last]))  # type: ignore[arg-type]
        scored = self.loss(readout, targets)
        loss, steps = scored.loss, spikes.steps(network.dt)
        if self.regularisers:
            counts = {name: fired.counts for name, fired in run.fired.items()}
            loss = loss + torch.stack([r(counts, steps) for r in self.regularisers]).sum()
        return Measured(loss, scored.scores, run, steps)

    def _limits(self, network: Network) -> Limits | dict[str, Limits]:
        if isinstance(self.max_spikes, Mapping):
            return {name: _limit(most) for name, most in self.max_spikes.items()}
        return Limits() if self.max_spikes is None else _limit(self.max_spikes)

    def _augment(self, spikes: SpikeTimes, rule_state: RuleState) -> SpikeTimes:
        for place, augmentation in enumerate(self.augmentations):
            names = ("augment", rule_state["step"], place, rank())
            spikes = augmentation(spikes, seeding.generator(rule_state["key"], *names))
        return spikes

    def _wake(
        self, network: Network, run: EventRun, targets: Tensor, rule_state: RuleState
    ) -> list[Any]:
        """Let the policies act on silent neurons; return their states."""
        counts = {name: fired.counts.detach() for name, fired in run.fired.items()}
        seen = Seen(counts, targets, rule_state["step"], rule_state["key"])
        states = zip(self.silent, rule_state["silent"], strict=True)
        with torch.no_grad():
            return [policy.apply(network, seen, state) for policy, state in states]

    def _metrics(self, measured: Measured, targets: Tensor) -> dict[str, Any]:
        fired, steps = measured.run.fired, measured.steps
        right = (measured.scores.argmax(-1) == targets).double().mean()
        rates = {name: f.counts.detach().mean() / steps for name, f in fired.items()}
        found: dict[str, Any] = {"loss": measured.loss.detach(), "accuracy": right}
        found["rates"] = rates
        if self.max_spikes is not None:
            places = sum(f.counts.numel() for f in fired.values())
            found["truncated"] = sum(f.truncated for f in fired.values()) / max(1, places)
        return found


def as_spikes(network: Network, x: Tensor | SpikeTimes) -> SpikeTimes:
    """The input as spike times; of a raster, (time, batch, *features), by the network's dt."""
    return x if isinstance(x, SpikeTimes) else SpikeTimes.from_raster(x, network.dt)


def _slope(layer: Any) -> Tensor | None:
    """threshold / tau_mem of spiking neurons, counted from rest."""
    if not layer.spiking:
        return None
    neuron: Any = neurons_of(layer)
    p = neuron.params()
    return ((p.v_threshold - p.v_leak) / p.tau_mem).detach().double()


def _name_of(loss: object) -> str:
    return type(loss).__name__


def _several(where: str, name: str, given: Any, kind: type) -> tuple[Any, ...]:
    """What an option lists, each of ``kind``."""
    listed = tuple(given) if isinstance(given, tuple | list) else None
    if listed is None or not all(isinstance(each, kind) for each in listed):
        raise ParameterError(
            f"{where}: {name} must be a tuple of {kind.__name__}, got {given!r}. Write "
            f"{name}=(one,) for a single one."
        )
    return listed


def _limit(most: int) -> Limits:
    return Limits(most, max(Limits().bound, most + 1))


def _check_max_spikes(where: str, given: MaxSpikes) -> None:
    values = given.values() if isinstance(given, Mapping) else [] if given is None else [given]
    for value in values:
        if type(value) is not int or value < 1:
            raise ParameterError(
                f"{where}: max_spikes must be whole numbers from 1, got {value!r}. "
                "Leave it out for any number of spikes."
            )
