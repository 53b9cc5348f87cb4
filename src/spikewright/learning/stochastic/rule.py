"""Backpropagation in which every signal is a spike, and every weight change a coincidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikewright import seeding
from spikewright.connections.store import FloatStore, Pulses, WeightStore
from spikewright.errors import ParameterError, ShapeError, nearest
from spikewright.learning.doctor import Diagnosis
from spikewright.learning.optimisation import Optimisation, take_optimisation
from spikewright.learning.processes import rank, sum_over_processes
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.learning.stochastic import examination, streams
from spikewright.learning.stochastic.chain import Link, Packed, as_chain, pack, problems
from spikewright.learning.stochastic.counted import joined, measured
from spikewright.learning.stochastic.streams import Counts, Form, Plan, Samples, Streams

OPTIONS = ("form", "scale", "warm_up", "smoothing", "readout", "store")
Readout = Literal["spikes", "potential"]
_KEYS = 2**62


class Stochastic:
    """Learning rule: backpropagation by coincidences of stochastic bit streams, in one phase.

    A number in [0, 1] is a stream of independent spikes with that probability; the length of the
    stream is the length of the sequence. Forward, in hidden layers and at the output:

    z <- mean of W s + b over the steps so far;  s = 1 with probability clip(z, 0, 1)
    one output neuron fires, drawn by softmax(z);  e = 1[winner] - 1[label], two streams

    and at the same steps, through the same weights, backward and at each synapse:

    d <- 1[0 < z < 1] mean of W'(g+ - g-) G;  g+ or g- = 1 with probability |d| / G, by d's sign
    w <- w - learning_rate G / (T batch) sum of (g+ - g-) s

    On average that is gradient descent on the cross-entropy of the `StochasticLimit`, with an
    error that falls with the square root of T, and a bias that falls with T. It calls no
    autograd and keeps no sequence. Weights are read in both directions from one store, and stay
    fixed within a batch. Values of a constant input, in [0, 1], become streams here; an input
    that changes over time is taken as the streams themselves, probabilities at each step.

    Args:
        form: ``"causal"``, means over the steps so far, step by step, or ``"whole"``, each layer
            at once from the counts of all steps: faster, and without the noise of early means.
        scale: G, what an error spike of a hidden layer stands for; one for all or by the name of
            the layer. Too small clips errors, too large makes them rare.
        warm_up: steps before the first coincidence counts, causal form only.
        smoothing: share of the label's stream that shows any class instead.
        readout: a sample's class is that of the output that fires most (``"spikes"``) or has the
            greatest mean at the end (``"potential"``, without the noise of winners); of equals the
            lowest.
        store: where weights are kept; numbers, by default.
        optimisation: an `Optimisation` of plain ``"sgd"``, or its fields ``learning_rate`` (0.3),
            ``schedule``, ``period``, ``gamma`` and ``weight_decay``.

    Raises:
        ParameterError: an option is unknown or outside its range.

    Source: Biswas, Saraswat, Ganguly, "A temporally and spatially local spike-based
    backpropagation algorithm to enable training in hardware", arXiv:2207.09755, 2022. The
    equations are a design that realises its abstract.

    >>> from spikewright import Linear, Sequential, SoftmaxWinner, StochasticReLU
    >>> net = Sequential(
    ...     Linear(4, 20), StochasticReLU(), Linear(20, 2), SoftmaxWinner(), dt=1e-3)
    >>> rule = Stochastic(form="whole")
    >>> state = rule.init(net)
    >>> batch = Batch(torch.eye(4)[[0, 1] * 4].expand(32, 8, 4), torch.tensor([0, 1] * 4))
    >>> for _ in range(30):
    ...     metrics, state = rule.train_batch(net, batch, state)
    >>> metrics["accuracy"]
    1.0
    """

    rescales = False

    def __init__(
        self,
        *,
        form: Form = "causal",
        scale: float | Mapping[str, float] = 1.0,
        warm_up: int = 0,
        smoothing: float = 0.0,
        readout: Readout = "spikes",
        store: WeightStore | None = None,
        optimisation: Optimisation | None = None,
        **fields: Any,
    ) -> None:
        given = {"optimiser": "sgd", "learning_rate": 0.3} if optimisation is None else {}
        self.optimisation = take_optimisation(
            "Stochastic", optimisation, {**given, **fields}, OPTIONS
        )
        self.form: Form = form
        self.scale = dict(scale) if isinstance(scale, Mapping) else float(scale)
        self.warm_up, self.smoothing, self.store = warm_up, float(smoothing), store or FloatStore()
        self.readout: Readout = readout
        self._check_numbers()
        self._check_parts()

    def __repr__(self) -> str:
        fields = (*OPTIONS, "optimisation")
        return f"Stochastic({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"

    def _check_numbers(self) -> None:
        scales = self.scale.values() if isinstance(self.scale, dict) else [self.scale]
        for value in scales:
            if not 0 < value < math.inf:
                raise ParameterError(
                    f"Stochastic: scale must be positive and finite, got {value!r}. "
                    "Start from scale=1.0 and see the share of clipped errors."
                )
        if type(self.warm_up) is not int or self.warm_up < 0:
            raise ParameterError(
                f"Stochastic: warm_up must be a whole number from 0, got {self.warm_up!r}. "
                "Pass an eighth of the steps, say."
            )
        if not 0 <= self.smoothing < 1:
            raise ParameterError(
                f"Stochastic: smoothing must be at least 0 and below 1, got {self.smoothing!r}. "
                "Pass for example smoothing=0.1."
            )

    def _check_parts(self) -> None:
        for name, known in (("form", get_args(Form)), ("readout", get_args(Readout))):
            given = getattr(self, name)
            if given not in known:
                raise ParameterError(
                    f"Stochastic: {name} must be one of {', '.join(known)}, got {given!r}. "
                    f"{nearest(str(given), known)}"
                )
        if self.form == "whole" and self.warm_up:
            raise ParameterError(
                f"Stochastic: warm_up must be 0 for form 'whole', got {self.warm_up}: its means "
                "are over all steps from the first. Leave it out."
            )
        plan = self.optimisation
        if plan.optimiser != "sgd" or plan.options or plan.clip is not None:
            raise ParameterError(
                "Stochastic: optimisation must be plain sgd without clip and options, got "
                f"{plan.optimiser!r} with clip={plan.clip} and options={dict(plan.options)}: a "
                "coincidence changes its weight at once. Give learning_rate, schedule and "
                "weight_decay alone."
            )
        if plan.weight_decay and not self.store.forgets:
            raise ParameterError(
                f"Stochastic: weight_decay must be 0 for a {type(self.store).__name__}, got "
                f"{plan.weight_decay}: devices change by pulses alone. Leave it out."
            )

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        found = problems(network)
        if found:
            return found
        chain = as_chain(network)
        hidden = [link.name for link in chain[:-1]]
        named = self.scale if isinstance(self.scale, dict) else dict.fromkeys(hidden, 1.0)
        found += [
            f"layer {name!r}: scale names it, but it is no hidden layer. {nearest(name, hidden)}"
            for name in named
            if name not in hidden
        ]
        found += [f"layer {name!r}: scale has no entry for it" for name in set(hidden) - set(named)]
        if self.form == "whole":
            found += [
                f"layer {link.name!r}: forgets, and form 'whole' has means over all steps alone; "
                "use form 'causal'"
                for link in chain
                if link.least > 0
            ]
        return found

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: a key for all that is drawn, and what the stores keep."""
        key = int(torch.randint(_KEYS, ()))
        stores = {
            name: self.store.init(array, seeding.derive(key, "store", name))
            for name, array in _arrays(as_chain(network)).items()
        }
        return {"step": 0, "total_steps": total_steps, "key": key, "stores": stores}

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """Run the streams of a batch and apply its coincidences; see `Rule.train_batch`.

        Raises:
            ShapeError: the input is not in [0, 1].
            ParameterError: the sequence is not longer than the warm-up.
        """
        chain = as_chain(network)
        names = ("train", rule_state["step"], rank())
        packed, done, steps = self.run(network, batch, seeding.derive(rule_state["key"], *names))
        stores = self._apply(chain, packed, joined(done.counts), (batch.samples, steps), rule_state)
        after = {**rule_state, "step": rule_state["step"] + 1, "stores": stores}
        metrics = measured(chain, done, batch.y, steps, self.readout, learn=True)
        metrics.pop("predictions")
        return metrics, after

    def run(
        self, network: Any, batch: Batch, key: int, *, keep: bool = False
    ) -> tuple[Packed, Streams, int]:
        """The streams of a batch in training, which change nothing yet; and their steps."""
        chain = as_chain(network)
        packed = pack(chain, learn=True)
        x, steps = streams.read("Stochastic", network.to_floating(batch.x))
        if steps <= self.warm_up:
            raise ParameterError(
                f"Stochastic: warm_up must be below the steps of the input, {steps}, got "
                f"{self.warm_up}. Lower it or run more steps."
            )
        identities = np.arange(batch.samples, dtype=np.uint64)
        samples = Samples(x, steps, _classes(batch.y, chain), identities, key)
        return packed, streams.run(packed, self.plan(chain), samples, keep=keep), steps

    def plan(self, chain: list[Link], *, learn: bool = True) -> Plan:
        """How the streams of a chain run."""
        race = bool(getattr(chain[-1].cells, "race", False))
        scale = [1.0, *(self._scale_of(link) for link in chain[:-1]), 1.0]
        return Plan(
            self.form,
            np.array(scale, np.float32),
            np.array([0.0, *(link.least for link in chain)], np.float32),
            self.warm_up,
            self.smoothing,
            race,
            learn,
        )

    def _scale_of(self, link: Link) -> float:
        return self.scale[link.name] if isinstance(self.scale, dict) else self.scale

    def _apply(
        self,
        chain: list[Link],
        packed: Packed,
        counted: Counts,
        size: tuple[int, int],
        rule_state: RuleState,
    ) -> dict[str, Any]:
        """Let the coincidences change the weights; the state of the stores after it."""
        (samples,) = sum_over_processes([size[0]])
        rate = self.optimisation.rate(rule_state["step"], rule_state["total_steps"])
        share = rate / ((size[1] - self.warm_up) * max(samples, 1))
        stores = dict(rule_state["stores"])
        scales = self.plan(chain).scale
        for layer, link in enumerate(chain, 1):
            up, down = (packed.block(c, layer) for c in (counted.up, counted.down))
            part = slice(int(packed.starts[layer]), int(packed.starts[layer + 1]))
            bias = counted.up_bias[part], counted.down_bias[part]
            for name, array, counts, gain in (
                (f"{link.wires_name}.weight", link.wires.weight, (up, down), packed.gain[layer]),
                (f"{link.wires_name}.bias", link.wires.bias, bias, 1.0),
            ):
                if array is None or not array.requires_grad:
                    continue
                change = float(share * scales[layer] * gain)
                raised, lowered = map(torch.from_numpy, counts)
                pulses = Pulses(raised, lowered, change)
                self._decay(array, rate)
                key = seeding.derive(rule_state["key"], "pulse", rule_state["step"], name)
                stores[name] = self.store.pulse(array, pulses, stores[name], key)
        return stores

    def _decay(self, array: Tensor, rate: float) -> None:
        if self.optimisation.weight_decay:
            with torch.no_grad():
                array.mul_(1 - rate * self.optimisation.weight_decay)

    def evaluate(self, network: Any, batch: Batch, rule_state: RuleState) -> Metrics:
        """Loss, accuracy, rates and predictions of streams; see `Rule.evaluate`.

        A sample's streams follow from its values and the rule's key, whatever batch it is in.
        """
        chain = as_chain(network)
        packed = pack(chain, learn=False)
        x, steps = streams.read("Stochastic", network.to_floating(batch.x))
        key = seeding.derive(rule_state["key"], "evaluate")
        samples = Samples(x, steps, _classes(batch.y, chain), streams.identities(x), key)
        done = streams.run(packed, self.plan(chain, learn=False), samples)
        return measured(chain, done, batch.y, steps, self.readout, learn=False)

    def examine(self, network: Any, batch: Batch, rule_state: RuleState) -> Diagnosis:
        """What keeps a network from learning by this rule; see `sw.doctor`."""
        key = seeding.derive(rule_state["key"], "examine")
        packed, done, steps = self.run(network, batch, key, keep=True)
        return examination.diagnosis(as_chain(network), packed, done, steps)


def _arrays(chain: list[Link]) -> dict[str, Tensor]:
    """Weights and biases that may change, by the names of the parameters."""
    found: dict[str, Tensor] = {}
    for link in chain:
        for name, array in (("weight", link.wires.weight), ("bias", link.wires.bias)):
            if array is not None and array.requires_grad:
                found[f"{link.wires_name}.{name}"] = array
    return found


def _classes(y: Tensor, chain: list[Link]) -> NDArray[np.int64]:
    classes = chain[-1].wires.out_features
    sound = y.ndim == 1 and y.dtype == torch.int64
    if not sound or (len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes):
        got = f"{tuple(y.shape)} {y.dtype}"
        edges = f" from {int(y.min())} to {int(y.max())}" if sound else ""
        raise ShapeError(
            f"Stochastic: targets must be classes (batch,) int64 from 0 to {classes - 1}, got "
            f"{got}{edges}. Give the network one output a class."
        )
    return y.numpy()
