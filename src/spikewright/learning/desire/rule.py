"""Training by desires: a neuron is told whether it should fire, and its own spikes do the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from spikewright import seeding
from spikewright.engine.checks import check_finite, check_sequence
from spikewright.engine.forward import refuse_program
from spikewright.errors import ParameterError
from spikewright.learning.checks import Checked
from spikewright.learning.desire.chain import Chain, chain_of, requirements
from spikewright.learning.desire.passes import Array, Spikes, counts, forward, learn
from spikewright.learning.desire.signals import Gates, signs_of
from spikewright.learning.desire.statistics import Statistics, examine, statistics
from spikewright.learning.doctor import Diagnosis
from spikewright.learning.processes import average, rank, sum_over_processes, world_size
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.network import Network

_KEYS = 2**62


@dataclass(frozen=True, kw_only=True)
class Desire(Checked):
    """Learning rule: desire backpropagation, local updates by spike times without a derivative.

    An output neuron k with n_k spikes has the error e_k = n_k / N, the label 1 - n_k / N, where
    N = steps - margin. Where e_k > output_gate, the label should fire (sign +1) and others should
    not (-1). A hidden neuron i gets the sign of D_i = sum_j W_ji sign_j |d_j - n_j / N| (d = 1 for
    sign +1, else 0) where |D_i| >= hidden_gate. Nothing else is passed on. Then

    dW_ji = rate sign_j sum_t s_j(t) x_i(t),    x_i(t) = decay x_i(t - 1) + s_i(t)

    with the decay of neuron j's membrane. The trace holds the spike of the same step, which is
    the one that reaches neuron j in that step. A neuron that does not spike does not learn.
    Changes of the samples of a batch are added up; all samples see the weights from before.

    The network is a chain of `Linear` without bias and `LIF` or `IF` with
    ``Firing(reset="subtract")``; `IF` may come first, to turn constant currents into a
    deterministic rate code. `Dropout` before a `Linear` drops neurons for a whole sample: they
    neither count nor learn, the others count 1 / (1 - p) times, and once in traces.

    Args:
        learning_rate: ``rate`` at first; of one sample, whatever the size of the batch.
        fall: samples in which the rate falls by a factor of e; ``None`` keeps it.
        margin: steps, see N.
        output_gate, hidden_gate: see above.

    Raises:
        ParameterError: an option is outside its range.

    Source: Gerlinghoff, Luo, Goh and Wong, arXiv:2211.05412; Neurocomputing, 2023.

    >>> import spikewright as sw
    >>> spiking = dict(order="euler", tau_mem=4e-3, r=4.0, firing=sw.Firing("subtract"))
    >>> net = sw.Sequential(sw.Linear(4, 2, bias=False), sw.LIF(**spiking), dt=1e-3)
    >>> rule = Desire(learning_rate=1e-3)
    >>> x, state = torch.ones(20, 1, 4), rule.init(net)
    >>> net.layers["0_linear"].weight.data.fill_(0.1)
    tensor([[0.1000, 0.1000, 0.1000, 0.1000],
            [0.1000, 0.1000, 0.1000, 0.1000]])
    >>> metrics, state = rule.train_batch(net, Batch(x, torch.tensor([1])), state)
    >>> print(net.layers["0_linear"].weight.data[:, 0])
    tensor([0.0818, 0.1182])
    """

    module: ClassVar[str] = "learning"

    learning_rate: float = 1e-5
    fall: float | None = None
    margin: int = 4
    output_gate: float = 0.30
    hidden_gate: float = 0.05

    def __post_init__(self) -> None:
        self.check_range("learning_rate", 0, "positive")
        self.check_range("margin", 0, "zero or positive")
        if self.margin != int(self.margin):
            raise ParameterError(
                f"learning.Desire: margin must be a whole number of steps, got {self.margin!r}. "
                "Leave its fraction out."
            )
        self.check_range("output_gate", 0, "zero or positive")
        self.check_range("hidden_gate", 0, "positive")
        if self.fall is not None:
            self.check_range("fall", 0, "positive")

    @property
    def gates(self) -> Gates:
        """The three numbers that say who is told."""
        return Gates(self.margin, self.output_gate, self.hidden_gate)

    def rate(self, samples: int) -> float:
        """The learning rate after some samples.

        >>> round(Desire(learning_rate=1e-3, fall=1000).rate(2000), 9)
        0.000135335
        """
        if self.fall is None:
            return self.learning_rate
        return float(self.learning_rate * np.exp(-samples / self.fall))

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        if not isinstance(network, Network):
            return [f"network: must be a spikewright Network, is {type(network).__name__}"]
        return requirements(network)

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: no samples yet, and a key for what is dropped."""
        return {"samples": 0, "step": 0, "key": int(torch.randint(_KEYS, ()))}

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """Add the changes of all samples to the weights; see `Rule.train_batch`.

        Metrics beside those of `evaluate`: ``gated/L``, the share of (sample, neuron) of layer L
        that are told, and ``taught``, the share of samples with any output neuron told.
        """
        x, chain = self._accept(network, batch)
        dropped = draw_dropped(chain, x.shape[1], rule_state)
        spikes = forward(chain, x, dropped)
        fired = self._check(spikes, batch.y)
        signs = signs_of(chain, spikes, batch.y.numpy(), self.gates, dropped)
        before = [stage.weight.detach().clone() for stage in chain.stages if world_size() > 1]
        for stage, of_stage in enumerate(signs):
            learn(chain, stage, self.rate(rule_state["samples"]), of_stage, spikes)
        _join(chain, before, batch.samples)
        gated = {
            f"gated/{stage.neurons}": float(np.count_nonzero(of_stage) / of_stage.size)
            for stage, of_stage in zip(chain.stages, signs, strict=True)
        }
        metrics = {**_metrics(chain, spikes, fired, batch.y, dropped), **gated}
        metrics["taught"] = float(signs[-1].any(1).mean())
        seen = rule_state["samples"] + int(sum_over_processes([batch.samples])[0])
        return metrics, {**rule_state, "step": rule_state["step"] + 1, "samples": seen}

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Accuracy, rates and predictions of ``batch``; see `Rule.evaluate`.

        ``accuracy`` takes the neuron that fires most, the first of several; ``unique`` is the
        share of samples whose label fires more than every other, which is stricter.
        """
        x, chain = self._accept(network, batch)
        spikes = forward(chain, x)
        fired = self._check(spikes, batch.y)
        return {**_metrics(chain, spikes, fired, batch.y, {}), "predictions": fired.argmax(-1)}

    def statistics(self, network: Network, batch: Batch) -> Statistics:
        """What the rule tells the neurons of each layer; nothing changes."""
        x, chain = self._accept(network, batch)
        return statistics(chain, forward(chain, x), batch.y.numpy(), self.gates)

    def examine(self, network: Network, batch: Batch, rule_state: RuleState) -> Diagnosis:
        """What keeps the network from learning by this rule, for `doctor`."""
        return examine(self.statistics(network, batch))

    def _accept(self, network: Any, batch: Batch) -> tuple[Tensor, Chain]:
        refuse_program("Desire, which runs its own kernels")
        x = network.to_floating(batch.x)
        check_sequence("Desire", x, network.shape)
        check_finite("Desire", x[:1] if x.stride(0) == 0 else x)
        if network.shape is None:
            network.build(x.shape[2:])
        return x, chain_of(network)

    def _check(self, spikes: Spikes, targets: Tensor) -> Tensor:
        """The output's counts, (batch, classes), if the targets are classes of it."""
        fired = torch.from_numpy(counts(spikes.outputs))
        self.check_classes(fired, targets)
        return fired


def draw_dropped(chain: Chain, batch: int, rule_state: RuleState) -> dict[int, Array]:
    """Of the stages with dropout, the inputs to go without, (batch, n) bool."""
    drawn: dict[int, Array] = {}
    for place, stage in enumerate(chain.stages):
        if stage.dropout > 0:
            names = ("drop", place, rule_state["step"], rank())
            stream = seeding.generator(rule_state["key"], *names)
            size = (batch, stage.weight.shape[1])
            drawn[place] = (torch.rand(size, generator=stream) < stage.dropout).numpy()
    return drawn


def _join(chain: Chain, before: list[Tensor], samples: int) -> None:
    """Let each process have the changes of all; ``before`` is empty if there is only one."""
    if not before:
        return
    weights = [stage.weight.detach() for stage in chain.stages]
    changes = [(now - old) / samples for now, old in zip(weights, before, strict=True)]
    average(changes, samples)
    (total,) = sum_over_processes([samples])
    for weight, old, change in zip(weights, before, changes, strict=True):
        weight.copy_(old + total * change)


def _metrics(
    chain: Chain, spikes: Spikes, fired: Tensor, targets: Tensor, dropped: dict[int, Array]
) -> dict[str, Any]:
    """What is known of a batch, trained on or not."""
    most, own = fired.amax(-1), fired.gather(1, targets[:, None])[:, 0]
    alone = (fired == most[:, None]).sum(-1) == 1
    rates: dict[str, float] = {}
    for place, stage in enumerate(chain.stages):
        trains, out = spikes.after(place), dropped.get(place + 1)
        left = trains.shape[0] * trains.shape[1] - (0 if out is None else np.count_nonzero(out))
        rates[stage.neurons] = float(counts(trains).sum() / max(1, left * spikes.steps))
    return {
        "accuracy": (fired.argmax(-1) == targets).double().mean(),
        "unique": ((own == most) & alone).double().mean(),
        "rates": rates,
    }
