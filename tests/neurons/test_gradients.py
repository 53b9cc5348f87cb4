"""Gradients against finite differences where the model is smooth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cases import F64
from spikewright.engine.surrogate import Triangular
from spikewright.neurons import (
    AHPLIF,
    LI,
    AdaptiveLIF,
    AdEx,
    CubaLI,
    CubaLIF,
    Firing,
    MultiSynapseLIF,
    Neuron,
    learnable,
)

SHAPES: list[tuple[str, Callable[..., Neuron], dict[str, Any]]] = [
    ("LI", LI, {"tau_mem": 8e-3, "v_leak": 0.1, "r": 1.2}),
    ("LI euler", LI, {"tau_mem": 8e-3, "v_leak": 0.1, "order": "euler"}),
    ("CubaLI exact", CubaLI, {"tau_mem": 8e-3, "tau_syn": 3e-3, "v_leak": 0.1, "r": 1.2}),
    ("CubaLI equal", CubaLI, {"tau_mem": 5e-3, "tau_syn": 5e-3, "v_leak": 0.1, "r": 1.2}),
    ("CubaLI held", CubaLI, {"tau_mem": 8e-3, "tau_syn": 3e-3, "order": "held"}),
    ("CubaLI euler", CubaLI, {"tau_mem": 8e-3, "tau_syn": 3e-3, "order": "euler"}),
    ("CubaLIF", CubaLIF, {"tau_mem": 8e-3, "tau_syn": 3e-3, "firing": Firing("none")}),
    ("AdaptiveLIF", AdaptiveLIF, {"tau_mem": 8e-3, "v_leak": 0.1, "firing": Firing("none")}),
    ("AHPLIF", AHPLIF, {"tau_mem": 8e-3, "v_leak": 0.1, "r": 1.2, "firing": Firing("none")}),
    ("AdEx", AdEx, {"tau_mem": 8e-3, "slope": 0.1, "a": 0.2, "firing": Firing("none")}),
    ("MultiSynapseLIF", MultiSynapseLIF, {"tau_mem": 8e-3, "firing": Firing("none")}),
]


@pytest.mark.parametrize(
    ("name", "make", "values", "backend"),
    [(*s, "reference") for s in SHAPES] + [(*s, "cpu") for s in SHAPES[:3:2]],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_membrane_gradients_equal_finite_differences(
    name: str, make: Callable[..., Neuron], values: dict[str, Any], backend: str
) -> None:
    """No spike occurs, and away from the threshold the surrogate is exactly zero."""
    marked = {
        key: learnable(torch.tensor(value, dtype=F64)) if isinstance(value, float) else value
        for key, value in values.items()
    }
    layer = make(backend=backend, **marked).double()
    if layer.spiking:
        layer.surrogate = Triangular(width=0.1)
    features = 2 * (2 if name == "MultiSynapseLIF" else 1)
    layer.build((features,), 1e-3)
    random = torch.Generator().manual_seed(0)
    x = torch.rand(19, 2, features, generator=random, dtype=F64) * 0.2
    names = list(dict(layer.named_parameters()))
    start = layer.initial_state(2)
    leaves, tree = torch.utils._pytree.tree_flatten(start)
    fields = layer.field_names()

    def function(x: torch.Tensor, *rest: torch.Tensor) -> Any:
        for place, key in zip(rest, names, strict=False):
            delattr(layer.parameter_set, key.removeprefix("parameter_set."))
            setattr(layer.parameter_set, key.removeprefix("parameter_set."), place)
        state = torch.utils._pytree.tree_unflatten(list(rest[len(names) :]), tree)
        _, last, traces = layer.run(x, state, fields)
        return (*traces.values(), *torch.utils._pytree.tree_leaves(last))

    parameters = [p.detach().clone() for p in layer.parameters()]
    inputs = [t.clone().requires_grad_() for t in (x, *parameters, *(q.detach() for q in leaves))]
    for key in names:
        short = key.removeprefix("parameter_set.")
        delattr(layer.parameter_set, short)
        setattr(layer.parameter_set, short, torch.zeros(()))
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
