"""The rule that lets a network learn by local plasticity, online, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from spikewright.borrow import streams_kept
from spikewright.coding.spike_times import take_samples
from spikewright.engine.forward import refuse_program
from spikewright.engine.plastic.description import Plasticity
from spikewright.engine.plastic.online import Online, OnlineState
from spikewright.errors import ParameterError, RuleError, nearest
from spikewright.learning.doctor import Diagnosis
from spikewright.learning.plasticity.between import Carry, fields_of, normalise, of_samples
from spikewright.learning.plasticity.examination import examine
from spikewright.learning.plasticity.presenting import Counts, open_online, present, present_apart
from spikewright.learning.plasticity.readout import Readout, add_responses, predict
from spikewright.learning.plasticity.requirements import (
    Program,
    plastic_connections,
    unsuited,
    waits_for_reward,
)
from spikewright.learning.processes import world_size
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.network import Network

Reward = Callable[[Tensor, int], float]
"""From the spike counts of the output neurons, (*n), and the class of a sample to a reward."""


@dataclass(frozen=True)
class Labels:
    """How neurons that learnt without labels get one, and how they vote.

    Args:
        readout: ``"sum"``: each neuron votes with its spikes for the class that it responds to
            most; ``"proportional"``: for all classes, in proportion to its responses; ``"most"``:
            the neuron that spikes most decides alone.
        samples: how many training samples to label with in the end; ``None`` for all.
        validation_samples: and how many before each validation.
    """

    readout: Readout = "sum"
    samples: int | None = None
    validation_samples: int | None = 5000

    def __post_init__(self) -> None:
        if self.readout not in get_args(Readout):
            raise ParameterError(
                f"learning.Labels: readout must be one of {', '.join(get_args(Readout))}, got "
                f"{self.readout!r}. {nearest(str(self.readout), get_args(Readout))}"
            )
        for name in ("samples", "validation_samples"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ParameterError(
                    f"learning.Labels: {name} must be a whole number from 1 or None, got "
                    f"{value!r}. Leave it out."
                )


class Local:
    """Online learning: weights change by local rules while samples run, one after the other.

    Order, for each sample of a batch: it is presented, weights changing at its spikes; a reward
    acts for one step; steps of rest without input; weights are normalised; the state is reset
    but for what is carried. In evaluation nothing changes: each sample starts from the state that
    training left.

    Learning needs no targets. Before validations and at the end `fit` gives the neurons of the
    last layer labels, by their spikes to training samples (`Labels`). A sample whose outputs were
    silent is no class: its prediction is -1 and counts as an error.

    Args:
        programs: rules such as `VDSP` by the name of the connection that they change, or one for
            all `Linear` connections whose weights may change.
        normalise: sum of each neuron's input weights, for all these connections or by name, set
            at the start and after each sample; ``None`` leaves it to the rule.
        carry: state fields that go on from one sample to the next; all others start afresh, traces
            and eligibility among them. By default the adaptation ``a``, so that neurons whose
            threshold adapts slowly share out the samples. ``"all"`` never resets anything.
        frozen: state fields that keep their value in evaluation.
        rest: steps without input after each sample.
        reward: what rules that name ``r`` wait for: from a sample's output counts and class to
            the value of r in the first step of rest.
        labels: how neurons get labels and how they vote.

    Raises:
        ParameterError: an option is outside its range.

    >>> from spikewright import LIF, AdaptiveLIF, Linear, Sequential, WinnerTakeAll
    >>> from spikewright.learning import VDSP
    >>> cells = WinnerTakeAll(AdaptiveLIF(r=5.0, tau_adapt=100.0), clamp=10e-3)
    >>> net = Sequential(LIF(v_reset=-1.0), Linear(4, 2, bias=False), cells, dt=5e-3)
    >>> _ = net.build((4,))
    >>> rule = Local(VDSP(lr=0.01))
    >>> currents = torch.tensor([[4.0, 4.0, 0.0, 0.0], [0.0, 0.0, 4.0, 4.0]])
    >>> batch = Batch(currents.expand(70, 2, 4), torch.arange(2))
    >>> metrics, state = rule.train_batch(net, batch, rule.init(net))
    >>> state = rule.assign(net, [batch], state)
    """

    rescales = False

    def __init__(
        self,
        programs: Mapping[str, Program] | Program,
        *,
        normalise: Mapping[str, float] | float | None = None,
        carry: Carry = ("a",),
        frozen: tuple[str, ...] = ("a",),
        rest: int = 0,
        reward: Reward | None = None,
        labels: Labels | None = None,
    ) -> None:
        self.programs = dict(programs) if isinstance(programs, Mapping) else programs
        self.normalise = dict(normalise) if isinstance(normalise, Mapping) else normalise
        self.carry: Carry = "all" if carry == "all" else _names("carry", carry)
        self.frozen, self.rest, self.reward = _names("frozen", frozen), rest, reward
        self.labels = labels or Labels()
        self._known: Online | None = None
        self._check()

    def __repr__(self) -> str:
        names = ("programs", "normalise", "carry", "frozen", "rest", "labels")
        shown = [f"{name}={getattr(self, name)!r}" for name in names]
        reward = getattr(self.reward, "__qualname__", type(self.reward).__name__)
        return f"Local({', '.join([*shown, f'reward={reward if self.reward else None}'])})"

    def _check(self) -> None:
        if type(self.rest) is not int or self.rest < 0:
            raise ParameterError(
                f"learning.Local: rest must be a whole number of steps from 0, got {self.rest!r}. "
                "Use 0 for none."
            )
        if self.reward is not None and self.rest == 0:
            raise ParameterError(
                "learning.Local: rest must be at least 1 with a reward, which acts in its first "
                "step, got 0. Pass rest=1."
            )
        given = self.normalise
        for total in given.values() if isinstance(given, dict) else (given,):
            if total is not None and not 0 < total < float("inf"):
                raise ParameterError(
                    "learning.Local: normalise must be a positive sum of weights, got "
                    f"{total!r}. Leave it out to leave weights as they are."
                )

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        if not isinstance(network, Network):
            return [f"network: must be a spikewright Network, is {type(network).__name__}"]
        if network.shape is None:
            return ["network: its input shape must be known; call network.build(shape)"]
        if world_size() > 1:
            return ["network: learns sample by sample in one process; start it without torchrun"]
        plastic = plastic_connections(network, self.programs)
        with streams_kept():  # a fresh start may draw random numbers
            return [
                *unsuited(network, plastic),
                *self._unmatched(network, plastic),
                *self._modulation(plastic),
            ]

    def _unmatched(self, network: Network, plastic: Mapping[str, Plasticity]) -> list[str]:
        """Names among the options that nothing in the network bears."""
        known = {f for layer in network.layers.values() for f in fields_of(layer.initial_state(1))}
        optional = {"a"}  # the default serves networks without adaptation too
        fields = {"carry": () if self.carry == "all" else self.carry, "frozen": self.frozen}
        lines = [
            f"network: no layer has a state field {name!r}, which {option} names. "
            f"{nearest(name, known)}"
            for option, names in fields.items()
            for name in names
            if name not in known | optional
        ]
        named = self.normalise if isinstance(self.normalise, dict) else {}
        return lines + [
            f"layer {name!r}: normalise names it, but no rule changes its weights. "
            f"{nearest(name, plastic)}"
            for name in named
            if name not in plastic
        ]

    def _modulation(self, plastic: Mapping[str, Plasticity]) -> list[str]:
        waiting = [name for name, program in plastic.items() if waits_for_reward(program)]
        if bool(waiting) == (self.reward is not None):
            return []
        if waiting:
            return [
                f"layer {waiting[0]!r}: its rule waits for a reward r and none is given; pass "
                "Local(..., reward=function, rest=1)"
            ]
        return ["network: a reward is given, and no rule names r; use RewardSTDP or leave it out"]

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch; brings the weights into their bounds and to their sums."""
        assert isinstance(network, Network)
        plastic = plastic_connections(network, self.programs)
        with torch.no_grad():
            for name, program in plastic.items():
                weights: Any = network.layers[name].weight
                normalise(weights.T, None, program.bounds)
                normalise(weights.T, self._total(name), program.bounds)
        online = open_online(network, plastic, self.frozen)
        return {"online": online.state, "samples": 0, "table": None}

    def _total(self, name: str) -> float | None:
        """The sum of weights of a connection."""
        return self.normalise.get(name) if isinstance(self.normalise, dict) else self.normalise

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """Learn from the samples of ``batch`` in their order; see `Rule.train_batch`.

        ``updates`` of the metrics: synaptic changes a sample; ``left_out``: those that were not
        finite and so not made; ``spikes``: of the output layer; ``silent``: share of samples
        without one.
        """
        refuse_program("local plasticity, which needs each step of the network")
        plastic = plastic_connections(network, self.programs)
        x = network.to_floating(batch.x)
        online = self._opened(network, plastic)
        before = _changes(rule_state["online"])

        def after(counts: Counts, number: int) -> None:
            self._rest(online, x, counts, int(batch.y[number]))
            for name, program in plastic.items():
                if self._total(name) is not None:
                    normalise(online.weights(name), self._total(name), program.bounds)

        counts = present(online, x, rule_state["online"], self.carry, after)
        online.write_back()
        state = {
            **rule_state,
            "online": online.state,
            "samples": rule_state["samples"] + batch.samples,
        }
        self._known = online
        made, left_out = ((_changes(state["online"]) - before).double() / batch.samples).unbind()
        found = {**_activity(network, counts, len(x)), "updates": made, "left_out": left_out}
        return found, state

    def _opened(self, network: Network, plastic: Mapping[str, Plasticity]) -> Online:
        """The network as it is now, afresh; the last batch's `Online` where it serves."""
        known, self._known = self._known, None  # one batch at a time may use it
        with streams_kept():  # a fresh start may draw random numbers
            return open_online(network, plastic, self.frozen, known)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None}  # compiled code is not copied

    def _rest(self, online: Online, x: Tensor, counts: Counts, target: int) -> None:
        """Steps without input after a sample, with its reward in the first."""
        if self.rest:
            reward = x.new_zeros(self.rest)
            if self.reward is not None:
                *_, output = counts.values()
                reward[0] = self.reward(output, target)
            online.present(x.new_zeros(self.rest, *x.shape[2:]), reward)

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Accuracy, rates and predictions of ``batch``; see `Rule.evaluate`.

        Raises:
            RuleError: no labels have been assigned.
        """
        assert isinstance(network, Network)
        if rule_state["table"] is None:
            raise RuleError(
                "learning.Local: neurons must have labels before they are evaluated, got none. "
                "Pass the rule_state of fit, or call rule.assign(network, batches, rule_state)."
            )
        counts, steps = self._respond(network, batch, rule_state)
        last = next(reversed(network.layers))
        predictions = predict(counts[last], rule_state["table"], self.labels.readout)
        right = (predictions == batch.y.cpu()).double().mean()
        return {**_activity(network, counts, steps), "accuracy": right, "predictions": predictions}

    def assign(
        self, network: nn.Module, batches: Iterable[Batch], rule_state: RuleState
    ) -> RuleState:
        """Label the neurons of the last layer by their spikes to ``batches``, learning off."""
        assert isinstance(network, Network)
        table: Tensor | None = None
        last = next(reversed(network.layers))
        for batch in batches:
            counts, _ = self._respond(network, batch, rule_state)
            table = add_responses(table, counts[last], batch.y.cpu())
        return {**rule_state, "table": table}

    def before_evaluation(
        self, network: nn.Module, batches: Iterable[Batch], rule_state: RuleState, *, final: bool
    ) -> RuleState:
        """Assign labels; see `Rule`."""
        most = self.labels.samples if final else self.labels.validation_samples
        return self.assign(network, _first(batches, most), rule_state)

    def start(self, network: Network, samples: int, rule_state: RuleState) -> dict[str, Any]:
        """The network's state from which evaluation starts, for so many samples."""
        return of_samples(rule_state["online"].layers, range(samples))

    def examine(self, network: Network, batch: Batch, rule_state: RuleState) -> Diagnosis:
        """What keeps the network from learning, for `doctor`."""
        counts, steps = self._respond(network, batch, rule_state)
        plastic = plastic_connections(network, self.programs)
        return examine(network, plastic, counts, steps, self.normalise is not None)

    def _respond(
        self, network: Network, batch: Batch, rule_state: RuleState
    ) -> tuple[dict[str, Tensor], int]:
        """Spikes of each layer to each sample, learning off, and the steps of a sample."""
        refuse_program("local plasticity, which needs each step of the network")
        plastic = plastic_connections(network, self.programs)
        x = network.to_floating(batch.x)

        def make() -> Online:
            return open_online(network, plastic, self.frozen)

        return present_apart(make, x, rule_state["online"]), len(x)


def _names(option: str, given: Iterable[str]) -> tuple[str, ...]:
    """The option's names; one string would be taken for its letters."""
    found = tuple(given)
    if isinstance(given, str) or not all(isinstance(name, str) for name in found):
        raise ParameterError(
            f"learning.Local: {option} must be a tuple of names of state fields, got {given!r}. "
            'Pass for example ("a",).'
        )
    return found


def _changes(state: OnlineState) -> Tensor:
    """Changes of all synapses so far, those made and those left out, (2,)."""
    return torch.stack([found.counts for found in state.plastic.values()]).sum(0)


def _activity(network: Network, counts: Counts, steps: int) -> dict[str, Any]:
    """Means over the samples of a batch."""
    output = counts[next(reversed(network.layers))].flatten(1).sum(1).double()
    return {
        "rates": {name: float(spikes.double().mean()) / steps for name, spikes in counts.items()},
        "spikes": output.mean(),
        "silent": (output == 0).double().mean(),
    }


def _first(batches: Iterable[Batch], most: int | None) -> Iterator[Batch]:
    """Batches until so many samples are through, the last one cut."""
    left = math.inf if most is None else most
    for x, y in batches:
        part = slice(0, int(min(left, len(y))))
        yield Batch(take_samples(x, part), y[part])
        left -= len(y)
        if left <= 0:
            return
