"""What a learning rule is to the rest of the package: three calls and a value.

The training loop knows a rule only by `Rule`. The rule owns its optimiser if it has one, the
network state that it carries across batches and its read-out; all of that lives in the
`RuleState` it hands back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from spikewright.coding.spike_times import SpikeTimes, sample_count

RuleState = Any
"""A value that a checkpoint can hold: tensors, plain values (``None``, bool, int, float, str) and
dicts (keys str or int), lists, tuples and named tuples of them, nested as deep as needed."""

Metrics = Mapping[str, Any]
"""Means over the samples of one batch, by name: floats or tensors of one element.

Names with a meaning: ``loss``; ``accuracy`` (share of right answers, 0 to 1); ``rates``, a mapping
of layer name to spikes per step and neuron; ``active``, the same of the share of (step, sample,
neuron) inside the surrogate's window; ``predictions``, from `Rule.evaluate` only, the class
of each sample, (batch,) int64. Because all others are means over samples, a mean over batches
weighted by their sizes is the exact mean over the data.
"""


class Batch(NamedTuple):
    """One batch: ``x`` is (time, batch, *features), or `SpikeTimes` where the data has no grid;
    ``y`` the targets: classes (batch,), or signals (time, batch, *n).
    """

    x: Tensor | SpikeTimes
    y: Tensor

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sample_count(self.x)


@runtime_checkable
class Rule(Protocol):
    """A way to change a network's weights from data.

    The network is changed in place; everything else that lasts from one batch to the next is in
    the rule state. With several processes each sees its share of the batch; a rule joins its
    updates with `spikewright.learning.processes.average` or ``average_gradients``, which do
    nothing in a single process.
    """

    def requirements(self, network: nn.Module) -> list[str]:
        """Why the rule cannot train ``network``: one line a layer, with its name; else empty."""
        ...

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """The state before the first batch.

        Args:
            network: the network, already bound to its sizes.
            total_steps: batches to come, for schedules; ``None`` where that is not known.
        """
        ...

    def train_batch(
        self, network: nn.Module, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """Learn from one batch; return what was measured and the next state."""
        ...

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Measure one batch and change nothing."""
        ...


@runtime_checkable
class BeforeEvaluation(Protocol):
    """A rule that must look at training data before it can be evaluated, for labels say.

    `fit` calls it before each validation and at the end; what it returns goes into checkpoints.
    """

    def before_evaluation(
        self, network: nn.Module, batches: Iterable[Batch], rule_state: RuleState, *, final: bool
    ) -> RuleState:
        """The next state; the network and its learning stay as they are.

        Args:
            network: in evaluation mode.
            batches: all training samples in an order that training does not use, drawn as they
                are asked for.
            rule_state: the state so far.
            final: whether training is over.
        """
        ...


@runtime_checkable
class Starts(Protocol):
    """A rule whose evaluation starts from a state of the network that training left."""

    def start(self, network: Any, samples: int, rule_state: RuleState) -> dict[str, Any]:
        """The state, as ``network.run(x, state)`` takes it, for so many samples."""
        ...


def rescales(rule: object) -> bool:
    """Whether `fit` may scale first weights to a firing rate: yes, unless ``rule.rescales`` is
    False, for rules whose weights have bounds."""
    return bool(getattr(rule, "rescales", True))
