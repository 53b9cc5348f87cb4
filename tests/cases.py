"""The table that generic tests of neurons walk: model × options × dtype × backend × tolerance.

A new model gets all of them by one line here and a reference model in ``tests/reference``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.engine import surrogate as s
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.neurons import (
    AHPLIF,
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    AdEx,
    CubaLI,
    CubaLIF,
    Firing,
    Integrator,
    MultiSynapseLIF,
    Neuron,
    Threshold,
    learnable,
)
from spikewright.neurons.parameters import ParameterSet

DT = 1e-3
F32, F64 = torch.float32, torch.float64
GRADIENT_TOLERANCE = {
    F32: (1e-5, "sums over time and batch in another order, of float32 products"),
    F64: (1e-12, "the same in float64"),
}
"""Greatest difference in units of the reference's norm, and why it is not zero.

Outputs, traces and states have none where a step uses + - * / comparisons and where only, for
which the compiled code must be equal bit for bit.
"""
VALUE_TOLERANCE = {F32: 1e-5, F64: 1e-13}
"""Of a step with ``exp``, which is equal to 2 ulp a step, in units of the reference's norm."""
RANGES = {
    "tau_mem": (8e-3, 25e-3),
    "tau_syn": (2e-3, 9e-3),
    "tau_adapt": (30e-3, 90e-3),
    "tau_ahp": (30e-3, 90e-3),
    "beta": (0.1, 0.4),
    "v_exponential": (0.4, 0.6),
    "slope": (0.05, 0.15),
    "a": (0.05, 0.3),
    "b": (0.05, 0.3),
    "v_threshold": (0.6, 1.2),
    "v_leak": (-0.1, 0.1),
    "v_reset": (-0.3, 0.2),
    "r": (0.8, 1.6),
}
"""From where each parameter is drawn, SI units."""


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Args:
        options: keywords of the layer.
        per_neuron: whether each neuron has its own parameters.
        backend: what is compared with the reference backend.
    """

    model: type[Neuron]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dtype: torch.dtype = F32
    per_neuron: bool = False
    surrogate: SurrogateGradient = s.SuperSpike(width=0.2)
    backend: str = "cpu"

    @property
    def name(self) -> str:
        words = [self.model.__name__]
        for key, value in self.options.items():
            words.append(describe(value) if key == "firing" else f"{key}={value}")
        words += [type(self.surrogate).__name__] if self.model.spiking else []
        words += ["each"] if self.per_neuron else []
        return "-".join([*words, str(self.dtype).removeprefix("torch."), self.backend])

    @property
    def synapses(self) -> int:
        return 2 if self.model is MultiSynapseLIF else 1

    @property
    def record(self) -> tuple[str, ...]:
        return self.model.State._fields  # type: ignore[attr-defined]

    @property
    def tolerance(self) -> float:
        return GRADIENT_TOLERANCE[self.dtype][0]

    @property
    def transcendental(self) -> bool:
        """Whether the step uses ``exp``."""
        return self.model is AdEx and self.options.get("exponential", True)

    def equal(self, found: Tensor, expected: Tensor) -> bool:
        """Whether values are those of another backend, as well as they can be."""
        if self.transcendental:
            return distance(found, expected) <= VALUE_TOLERANCE[self.dtype]
        return torch.equal(found, expected)

    def layer(self, neurons: int, backend: str | None = None, seed: int = 0) -> Neuron:
        """The layer of this case, every parameter learnable."""
        random = torch.Generator().manual_seed(seed)
        values: dict[str, Any] = {}
        for f in dataclasses.fields(self.model.Params):
            low, high = RANGES[f.name]
            count = (neurons,) if self.per_neuron else ()
            many = self.synapses if f.name == "tau_syn" else 1
            drawn = [
                low + (high - low) * torch.rand(count, generator=random, dtype=F64).to(self.dtype)
                for _ in range(many)
            ]
            values[f.name] = learnable(tuple(drawn) if many > 1 else drawn[0])
        layer = self.model(
            surrogate=self.surrogate if self.model.spiking else None,
            backend=backend or self.backend,
            **self.options,
            **values,
        )
        layer.build((neurons * self.synapses,), DT)
        return layer

    def input(self, steps: int, batch: int, neurons: int, seed: int = 1) -> Tensor:
        """A drive at which neurons fire now and then, (steps, batch, neurons * synapses)."""
        random = torch.Generator().manual_seed(seed)
        shape = (steps, batch, neurons * self.synapses)
        x = torch.rand(shape, generator=random, dtype=F64) * self.drive
        return (x * (torch.rand(shape, generator=random) < 0.5)).to(self.dtype)

    @property
    def drive(self) -> float:
        return {IF: 0.8, LIF: 4.0, LI: 2.0, AdaptiveLIF: 5.0, AHPLIF: 5.0}.get(self.model, 2.0)


def describe(firing: Firing) -> str:
    words = [firing.reset, "detached" if firing.detach_reset else "through"]
    words += [f"up_to_{firing.max_spikes}"] if firing.max_spikes > 1 else []
    return "-".join([*words, "inclusive" if firing.inclusive else "strict"])


def _firing(reset: Any, **options: Any) -> dict[str, Any]:
    return {"firing": Firing(reset, **options)}


CASES = [
    Case(IF, _firing("to_value"), F32, True, s.FastSigmoid(width=0.2)),
    Case(
        IF,
        _firing("subtract", max_spikes=3, inclusive=True, detach_reset=False),
        F64,
        False,
        s.PeriodicExponential(),
    ),
    Case(LIF, _firing("to_value"), F32),
    Case(LIF, _firing("to_value", detach_reset=False), F64, True, s.Arctan()),
    Case(LIF, {"order": "euler", **_firing("subtract")}, F32, True, s.Gaussian()),
    Case(LIF, {"refractory": 3e-3}, F32, True, s.Sigmoid(width=0.3)),
    Case(CubaLIF, {"order": "exact"}, F32),
    Case(CubaLIF, {"order": "held", **_firing("none")}, F64, True, s.StraightThrough()),
    Case(CubaLIF, {"order": "euler", **_firing("subtract", detach_reset=False)}, F32),
    Case(CubaLIF, {"refractory": 2e-3, "noise": 2.0, **_firing("subtract")}, F64, False),
    Case(AdaptiveLIF, _firing("to_value"), F32, True, s.Triangular(width=1.0, scale=0.3)),
    Case(AHPLIF, {"refractory": 2e-3, **_firing("subtract", detach_reset=False)}, F32, True),
    Case(AHPLIF, _firing("to_value"), F64, True, s.Triangular(width=1.0, scale=0.3)),
    Case(MultiSynapseLIF, _firing("to_value"), F32),
    Case(MultiSynapseLIF, _firing("subtract"), F64, True, s.Arctan(window=1.0)),
    Case(AdEx, _firing("to_value"), F64, True, s.Arctan()),
    Case(AdEx, {"leak": False, "refractory": 2e-3}, F32),
    Case(Threshold, {}, F64, True, s.Gaussian()),
    Case(Integrator, {}, F32, True),
    Case(LI, {"order": "euler"}, F64),
    Case(CubaLI, {"order": "exact"}, F32, True),
]
"""Chosen so that each model, reset, order, surrogate and option meets both dtypes and both kinds
of parameters somewhere; the full product would only compile longer."""

SIZES = [(1, 1, 1), (18, 2, 63), (16, 1, 513), (39, 3, 7), (33, 1, 1000)]
"""(steps, batch, neurons) around the edges of kernels: tiles of 512 lanes, blocks of 4 steps."""


def walk(cases: list[Case] = CASES) -> pytest.MarkDecorator:
    """Run a test once for each case, as argument ``case``."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@dataclass
class Result:
    """What a layer gives and its gradients, under names for messages."""

    values: dict[str, Tensor]
    gradients: dict[str, Tensor]


def run(layer: Neuron, x: Tensor, record: tuple[str, ...], seed: int = 2) -> Result:
    """Outputs, traces, last state, and gradients of a random function of all of them.

    The weights of that function are positive, or what cancels in the sums of a gradient would be
    measured against the little that is left. Gradients are those of the input, of each field of
    the first state and of each parameter.
    """
    torch.manual_seed(seed)
    x = x.detach().clone().requires_grad_()
    state = layer.initial_state(x.shape[1])
    leaves, tree = torch.utils._pytree.tree_flatten(state)
    leaves = [_free(leaf) for leaf in leaves]
    first = torch.utils._pytree.tree_unflatten(leaves, tree)
    y, last, traces = layer.run(x, first, record)
    ends = torch.utils._pytree.tree_leaves(last)
    values = {"output": y, **traces, **{f"state {i}": e for i, e in enumerate(ends)}}
    random = torch.Generator().manual_seed(seed)
    loss = torch.zeros((), dtype=y.dtype)
    for value in values.values():
        if value.requires_grad:
            weight = torch.rand(value.shape, generator=random, dtype=F64).to(value)
            loss = loss + (weight * value).sum()
    wanted = {"x": x, **{f"start {i}": q for i, q in enumerate(leaves) if q.requires_grad}}
    wanted |= dict(layer.named_parameters())
    grads = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    zeros = [
        torch.zeros_like(w) if g is None else g for w, g in zip(wanted.values(), grads, strict=True)
    ]
    return Result(
        {name: value.detach() for name, value in values.items()},
        dict(zip(wanted, zeros, strict=True)),
    )


def _free(leaf: Tensor) -> Tensor:
    leaf = leaf.detach().clone()
    return leaf.requires_grad_() if leaf.is_floating_point() else leaf


def distance(a: Tensor, b: Tensor) -> float:
    """Norm of the difference in units of the norm of ``b``; NaN if either holds one."""
    a, b = a.double(), b.double()
    scale = float(b.norm())
    return float((a - b).norm()) / scale if scale else float(a.norm())


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads inside, and as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def nan_memory() -> Iterator[None]:
    """Fresh memory holds NaN inside."""
    before = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = fill


def values_of(layer: Neuron) -> dict[str, Any]:
    """The layer's parameters as NumPy float64, for the models in ``tests/reference``."""
    parameters: ParameterSet = layer.parameter_set
    return {name: parameters.value(name).detach().double().numpy() for name in parameters.fields}
