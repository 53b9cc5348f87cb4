"""DEEP R: matrices in which a fixed number of connections is active, and which ones is learned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikewright import seeding
from spikewright.connections.linear import AllToAll
from spikewright.errors import ParameterError, nearest
from spikewright.learning.optimisation import Optimisation, descend
from spikewright.learning.rule import RuleState
from spikewright.network import Network


@dataclass(frozen=True)
class DeepR:
    """Deep rewiring: of each matrix a fixed number of connections is active at any time.

    Each connection has a sign s that never changes. After each step of the optimiser, which moves
    the active ones alone, theta = s w of those becomes

        theta <- theta - rate l1 + sqrt(2 rate temperature) noise

    Connections with theta < 0 become dormant (w = 0), and as many dormant ones, chosen at random,
    become active with theta = 0. Bellec, Kappel, Maass and Legenstein, "Deep rewiring: training
    very sparse deep networks", ICLR 2018. The first batch of a training leaves a random choice of
    connections, which grow so that sums keep their spread; a matrix that has no more than so many
    weights beside zero keeps those.

    Args:
        density: share of active connections, in (0, 1]; one for each trained `AllToAll` connection
            of the network, or by the names of those to rewire: ``{"1_recurrent.connection": 0.2}``.
        l1: pull of the active weights to zero, in units of a gradient.
        temperature: of the noise of the active weights.
        signs: Dale's law: for connections by name the sign, +1 or -1, of all that leaves each of
            their inputs, (inputs,). Without it each connection draws its own.
        seed: of choices and noise.

    Raises:
        ParameterError: an option is outside its range.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> from spikewright.learning import Batch, Surrogate
    >>> net = Sequential(Linear(10, 20), LIF(), Linear(20, 2), LI(), dt=1e-3)
    >>> rule = Surrogate(rewiring=DeepR(density=0.3, l1=1e-2))
    >>> batch = Batch(torch.rand(20, 8, 10), torch.tensor([0, 1] * 4))
    >>> _, state = rule.train_batch(net, batch, rule.init(net))
    >>> [int(wires["active"].sum()) for wires in state["wiring"].values()]
    [60, 12]
    """

    density: float | Mapping[str, float] = 0.2
    l1: float = 0.0
    temperature: float = 0.0
    signs: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor], compare=False)
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.density.values() if isinstance(self.density, Mapping) else (self.density,)
        if not given:
            raise ParameterError(
                "DeepR: density must name at least one connection, got none. Use 0.2 for all."
            )
        for density in given:
            if not 0 < density <= 1:
                raise ParameterError(
                    f"DeepR: density must be above 0 and at most 1, got {density!r}. Use 0.2."
                )
        for name in ("l1", "temperature"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ParameterError(
                    f"DeepR: {name} must be zero or positive, got {getattr(self, name)!r}. "
                    "Use 0.0 for none."
                )
        for name, signs in self.signs.items():
            if signs.ndim != 1 or not bool((signs.abs() == 1).all()):
                raise ParameterError(
                    f"DeepR: signs of {name!r} must be +1 or -1 for each input, got {signs}. "
                    "Pass for example torch.tensor([1, 1, -1])."
                )

    def requirements(self, network: Network) -> list[str]:
        """Why the connections of ``network`` cannot be rewired so; empty if they can."""
        known = dict(_connections(network))
        named = [*(self.density if isinstance(self.density, Mapping) else ()), *self.signs]
        problems = [
            f"layer {name!r}: DeepR rewires it, but it is no all-to-all connection that is "
            f"trained. {nearest(name, known)}"
            for name in named
            if name not in known
        ]
        problems += [
            f"layer {name!r}: DeepR has signs for it, but density does not name it"
            for name in self.signs
            if isinstance(self.density, Mapping) and name not in self.density
        ]
        return problems + [
            f"layer {name!r}: DeepR needs {known[name].in_features} signs, got {len(signs)}"
            for name, signs in self.signs.items()
            if name in known and known[name].in_features not in (None, len(signs))
        ]

    def take_up(self, network: Network, rule_state: RuleState) -> RuleState:
        """The rule's state with its ``wiring``; on the first batch it is chosen here.

        Returns:
            The state; ``wiring`` has, by parameter, ``active`` (bool) and ``sign`` (int8), both of
            the weight's shape.
        """
        if "wiring" in rule_state:
            return rule_state
        wiring: dict[str, dict[str, Tensor]] = {}
        for name, connection in _connections(network):
            if not isinstance(self.density, Mapping) or name in self.density:
                wiring[f"{_NODES}{name}.weight"] = self._start(name, connection.weight)
        return {**rule_state, "wiring": wiring}

    def _start(self, name: str, weight: Tensor) -> dict[str, Tensor]:
        share = self.density[name] if isinstance(self.density, Mapping) else self.density
        stream = seeding.generator(self.seed, "deep r", name)
        with torch.no_grad():
            present = weight != 0
            count, before = max(1, round(share * weight.numel())), int(present.sum())
            place = torch.rand(weight.numel(), generator=stream).to(weight.device)
            place = place + present.flatten()
            active = torch.zeros_like(present).flatten()
            active[place.topk(count).indices] = True
            active = active.view_as(weight)
            sign = self._signs(name, weight, stream)
            weight.copy_(weight.abs() * sign * active * math.sqrt(max(1.0, before / count)))
        return {"active": active, "sign": sign}

    def _signs(self, name: str, weight: Tensor, stream: torch.Generator) -> Tensor:
        if name in self.signs:
            return self.signs[name].to(weight.device, torch.int8).expand(weight.shape).clone()
        drawn = 2 * torch.randint(2, weight.shape, generator=stream, dtype=torch.int8) - 1
        return torch.where(weight == 0, drawn.to(weight.device), weight.sign().to(torch.int8))

    def descend(
        self, plan: Optimisation, parameters: Mapping[str, nn.Parameter], rule_state: RuleState
    ) -> dict[str, Any]:
        """A step of the optimiser on the active connections, then the rewiring.

        Returns:
            What changes in the rule's state: ``moments`` and ``wiring``.
        """
        wiring, step = rule_state["wiring"], rule_state["step"]
        used = {n: w for n, w in wiring.items() if n in parameters}
        for name, wires in used.items():
            gradient = parameters[name].grad
            if gradient is not None:
                gradient.mul_(wires["active"])
        moments = descend(plan, parameters, rule_state)
        rate = plan.rate(step, rule_state["total_steps"])
        after = {
            name: self._rewire(parameters[name], wires, rate, (name, step))
            for name, wires in used.items()
        }
        for name in used.keys() & moments.keys():
            moments[name] = _only(moments[name], after[name]["active"])
        return {"moments": moments, "wiring": {**wiring, **after}}

    def _rewire(
        self, weight: Tensor, wires: Mapping[str, Tensor], rate: float, key: tuple[str, int]
    ) -> dict[str, Tensor]:
        stream = seeding.generator(self.seed, "deep r", *key)
        active, sign = wires["active"], wires["sign"]
        with torch.no_grad():
            theta = weight * sign - rate * self.l1
            if self.temperature:
                noise = torch.randn(weight.shape, generator=stream).to(weight)
                theta += math.sqrt(2 * rate * self.temperature) * noise
            kept = active & (theta >= 0)
            weight.copy_(torch.where(kept, theta, 0) * sign)
            dormant = (~kept).flatten().nonzero().flatten()
            gone = int(active.sum() - kept.sum())
            chosen = torch.randperm(len(dormant), generator=stream)[:gone].to(dormant.device)
            kept.view(-1)[dormant[chosen]] = True
        return {"active": kept, "sign": sign}


_NODES = "nodes."
"""Where a network keeps its layers, in the names of its parameters."""


def _connections(network: Network) -> Iterator[tuple[str, AllToAll]]:
    """Those that have a matrix that may change, by name."""
    for name, module in network.named_modules():
        if isinstance(module, AllToAll) and module.weight.requires_grad:
            yield name.removeprefix(_NODES), module


def _only(moments: Mapping[str, Any], active: Tensor) -> dict[str, Any]:
    """An optimiser's moments of active connections; a dormant one forgets its own."""
    return {
        name: value * active if isinstance(value, Tensor) and value.shape == active.shape else value
        for name, value in moments.items()
    }
