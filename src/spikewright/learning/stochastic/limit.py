"""What streams without end would do: the network of means, a clipped ReLU net with softmax."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, linear

from spikewright.borrow import in_mode
from spikewright.learning.optimisation import (
    Optimisation,
    descend,
    start_state,
    take_optimisation,
    trainable,
)
from spikewright.learning.processes import average_gradients
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.learning.stochastic.chain import as_chain, problems
from spikewright.network import Network


def expected_logits(network: Any, x: Tensor) -> Tensor:
    """Potentials of the output if every stream had the mean of its neuron, differentiable.

    h <- clip(W h + b, 0, 1) layer by layer, from the mean of ``x`` over time; the last W h + b.

    Args:
        network: a chain that `Stochastic` trains; dropout acts in training mode.
        x: (time, batch, inputs).

    Returns:
        (batch, classes).
    """
    values = network.to_floating(x)
    values = values[0] if values.stride(0) == 0 else values.mean(0)
    chain = as_chain(network)
    for link in chain:
        values = dropout(values, link.dropout, training=network.training)
        values = linear(values, link.wires.weight, link.wires.bias)
        values = values if link is chain[-1] else values.clamp(0.0, 1.0)
    return values


class StochasticLimit:
    """Learning rule: the gradient that `Stochastic` estimates, by autograd on the means.

    The ANN of the same size: clipped ReLU, softmax cross-entropy, plain gradient descent. It
    trains the networks that `Stochastic` trains; the weights serve both. `evaluate` measures the
    means too, so it also says what a network trained on streams would do with endless ones.

    Args:
        optimisation: an `Optimisation`, or its fields; by default ``optimiser="sgd"`` and a
            ``learning_rate`` of 0.3.

    Raises:
        ParameterError: an option is unknown or outside its range.

    >>> from spikewright import Linear, Sequential, SoftmaxWinner, StochasticReLU
    >>> net = Sequential(
    ...     Linear(4, 20), StochasticReLU(), Linear(20, 2), SoftmaxWinner(), dt=1e-3)
    >>> rule = StochasticLimit()
    >>> batch = Batch(torch.rand(8, 4).expand(16, 8, 4), torch.tensor([0, 1] * 4))
    >>> sorted(rule.train_batch(net, batch, rule.init(net))[0])
    ['accuracy', 'loss']
    """

    rescales = False

    def __init__(self, *, optimisation: Optimisation | None = None, **fields: Any) -> None:
        given = {"optimiser": "sgd", "learning_rate": 0.3} if optimisation is None else {}
        self.optimisation = take_optimisation(
            "StochasticLimit", optimisation, {**given, **fields}, ()
        )

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        return problems(network)

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch."""
        return start_state(total_steps)

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """One step down the gradient; see `Rule.train_batch`."""
        parameters = trainable(network)
        for parameter in parameters.values():
            parameter.grad = None
        metrics, loss = _measure(network, batch)
        loss.backward()
        average_gradients(parameters.values(), batch.samples)
        moments = descend(self.optimisation, parameters, rule_state)
        metrics.pop("predictions")
        return metrics, {**rule_state, "step": rule_state["step"] + 1, "moments": moments}

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Loss, accuracy and predictions; see `Rule.evaluate`."""
        with in_mode(network, training=False), torch.no_grad():
            return _measure(network, batch)[0]


def _measure(network: Any, batch: Batch) -> tuple[dict[str, Any], Tensor]:
    assert isinstance(network, Network)
    logits = expected_logits(network, network.to_floating(batch.x))
    loss = cross_entropy(logits, batch.y)
    predictions = logits.detach().argmax(-1)
    right = (predictions == batch.y).double().mean()
    found = {"loss": loss.detach(), "accuracy": right, "predictions": predictions}
    return found, loss
