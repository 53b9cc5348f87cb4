"""A small data set, two small networks and two rules that need nothing but torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.learning import processes
from spikewright.learning.rule import Batch


class FakeSplit:
    """Rates of two classes, encoded as Bernoulli spikes with the generator that is passed."""

    steps = 5
    shape = (4,)

    def __init__(self, samples: int, seed: int) -> None:
        own = torch.Generator().manual_seed(seed)
        self.targets = torch.arange(samples) % 2
        noise = torch.rand(samples, 4, generator=own) * 0.3
        self.rates = noise + 0.6 * nn.functional.one_hot(self.targets, 4)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(
        self, index: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        draws = torch.rand(self.steps, len(index), 4, generator=generator)
        return (draws < self.rates[index]).float(), self.targets[index]


@dataclass
class FakeData:
    dt: float = 1e-3
    classes: tuple[str, ...] = ("even", "odd")
    train: FakeSplit = field(default_factory=lambda: FakeSplit(23, 1))
    validation: FakeSplit | None = field(default_factory=lambda: FakeSplit(9, 2))
    test: FakeSplit = field(default_factory=lambda: FakeSplit(9, 3))


class FakeNetwork(nn.Module):
    """Linear, dropout from the global stream, batch mean kept in a buffer, linear."""

    dt = 1e-3

    def __init__(self, hidden: int = 6, dropout: float = 0.2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Linear(4, hidden)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(hidden, 2)
        self.register_buffer("seen", torch.zeros(()))

    @property
    def layers(self) -> dict[str, nn.Module]:
        return {"0_first": self.first, "1_second": self.second}

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if self.training:
            self.seen += x.mean()
        return self.second(self.dropout(torch.relu(self.first(x)))), state


@dataclass
class GradientRule:
    """Momentum by hand, with its velocity in the rule state."""

    learning_rate: float = 0.05
    before: Callable[[int], None] | None = field(default=None, repr=False)

    def requirements(self, network: nn.Module) -> list[str]:
        return []

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> Any:
        velocity = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
        return {"velocity": velocity, "step": 0, "total": total_steps}

    def train_batch(
        self, network: nn.Module, batch: Batch, rule_state: Any
    ) -> tuple[dict[str, Any], Any]:
        if self.before is not None:
            self.before(rule_state["step"])
        network.zero_grad()
        loss, accuracy, _ = self._measure(network, batch)
        loss.backward()
        processes.average_gradients(network.parameters(), len(batch.y))
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                velocity = rule_state["velocity"][name]
                velocity.mul_(0.9).add_(parameter.grad)
                parameter.sub_(self.learning_rate * velocity)
        state = rule_state | {"step": rule_state["step"] + 1}
        return {"loss": loss.detach(), "accuracy": accuracy, "rates": {"0_first": 0.1}}, state

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: Any) -> dict[str, Any]:
        loss, accuracy, predictions = self._measure(network, batch)
        return {"loss": loss, "accuracy": accuracy, "predictions": predictions}

    def _measure(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        output, _ = network(batch.x)
        scores = output.mean(0)
        predictions = scores.argmax(-1)
        accuracy = (predictions == batch.y).float().mean()
        return nn.functional.cross_entropy(scores, batch.y), accuracy, predictions


class HebbianNetwork(nn.Module):
    """One matrix; no gradient is ever asked of it."""

    dt = 1e-3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 4), 0.2), requires_grad=False)


class HebbianRule:
    """Oja's rule with a trace of the input that lasts from batch to batch.

    The weights change at every time step, so later steps of a sequence see other weights than
    earlier ones. There is no loss, no accuracy and no optimiser.
    """

    def requirements(self, network: nn.Module) -> list[str]:
        return [] if hasattr(network, "weight") else ["'network' has no weight"]

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> Any:
        return (torch.zeros(4), {"steps": 0})

    def train_batch(
        self, network: nn.Module, batch: Batch, rule_state: Any
    ) -> tuple[dict[str, Any], Any]:
        trace, counts = rule_state
        spikes = 0.0
        for x in batch.x:
            trace = 0.8 * trace + x.mean(0)
            y = (network.weight @ trace + 0.01 * torch.randn(3) > 0.3).float()
            network.weight += 0.05 * y[:, None] * (trace - y[:, None] * network.weight)
            spikes += float(y.mean())
        state = (trace, {"steps": counts["steps"] + len(batch.x)})
        return {"rates": {"hebbian": spikes / len(batch.x)}}, state

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: Any) -> dict[str, Any]:
        return {"drive": float((batch.x @ network.weight.T).mean())}
