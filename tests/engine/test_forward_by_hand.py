"""The gradient in the loop against loops written by hand from the equations."""

from __future__ import annotations

import torch
from torch import Tensor

import spikewright as sw
from cases import distance
from engine.devices import Itself, Scripted, random_view
from spikewright.engine.forward import Observation, forward_by

STEPS, BATCH = 15, 3


def input_spikes() -> Tensor:
    random = torch.Generator().manual_seed(2)
    return (torch.rand(STEPS, BATCH, 6, generator=random) < 0.5).double()


def held_network() -> sw.Network:
    torch.manual_seed(1)

    def exactly(**seconds: float) -> dict[str, Tensor]:
        return {name: torch.tensor(t, dtype=torch.float64) for name, t in seconds.items()}

    options = {"order": "held", "backend": "reference"}
    return sw.Sequential(
        sw.Linear(6, 8, bias=False),
        sw.CubaLIF(**exactly(tau_mem=8e-3, tau_syn=5e-3), **options),  # type: ignore[arg-type]
        sw.Linear(8, 3, bias=False),
        sw.CubaLI(**exactly(tau_mem=6e-3, tau_syn=4e-3), **options),  # type: ignore[arg-type]
        dt=1e-3,
    ).double()


def test_the_gradient_equals_an_independent_loop_of_the_paper() -> None:
    """Current-based neurons with recorded spikes and a membrane with gaps, in plain autograd."""
    random = torch.Generator().manual_seed(6)
    net = held_network()
    x = input_spikes()
    shows = random_view(net, x)
    weights = torch.rand(STEPS, BATCH, 3, generator=random, dtype=torch.float64)
    with forward_by(Scripted(shows)):
        (net(x)[0] * weights).sum().backward()

    weights_of = {n: p for n, p in net.named_parameters() if n.endswith("weight")}
    first, second = (p.detach().clone().requires_grad_() for p in weights_of.values())
    hidden = _hidden_by_hand(x @ first.T, shows["1_cubalif"])
    loss = (_readout_by_hand(hidden @ second.T) * weights).sum()
    expected = torch.autograd.grad(loss, (first, second))
    for (name, weight), gradient in zip(weights_of.items(), expected, strict=True):
        assert weight.grad is not None
        assert bool(gradient.any())
        assert distance(weight.grad, gradient) < 1e-12, name


def test_only_the_models_own_membrane_gives_plain_backpropagation() -> None:
    """With a device equal to the model, the operator of arXiv 2212.12210 does not.

    It looks at the sampled membrane, which is reset already where the device fired, and passes
    the gradient by the reset.
    """
    net, x = held_network(), input_spikes()
    first, second = (p for n, p in net.named_parameters() if n.endswith("weight"))
    with torch.no_grad():
        first.mul_(4)
        seen = Itself().observe(net, x)["1_cubalif"]
    expected = torch.autograd.grad(net(x)[0].square().sum(), first)[0]
    found: dict[str, float] = {}
    for name, hidden in (("ours", _hidden_by_hand), ("paper", _hidden_of_the_paper)):
        own = first.detach().clone().requires_grad_()
        output = _readout_by_hand(hidden(x @ own.T, seen) @ second.detach().T)
        found[name] = distance(torch.autograd.grad(output.square().sum(), own)[0], expected)
    assert found["ours"] < 1e-12
    assert found["paper"] > 0.1, found


def _decay(tau: float) -> float:
    return float(torch.exp(torch.tensor(-1e-3 / tau, dtype=torch.float64)))


def _hidden_by_hand(drive: Tensor, seen: Observation) -> Tensor:
    """v' = a v + (1 - a) i;  i <- b i + x;  z of the device with h(v' - 1);  v of the device.

    The derivative of the membrane after the step is that of v' where no spike reset it, else 0.
    """
    a, b = _decay(8e-3), _decay(5e-3)
    v, i, rows = torch.zeros_like(drive[0]), torch.zeros_like(drive[0]), []
    assert seen.spikes is not None
    assert seen.v is not None
    for x, z, membrane in zip(drive, seen.spikes, seen.v, strict=True):
        v = a * v + (1 - a) * i
        i = b * i + x
        h = (1.0 / (1.0 + (v - 1.0).abs() / 0.02) ** 2).detach()
        rows.append(z + h * (v - v.detach()))
        after = (1 - z) * v
        shown = torch.where(membrane.isnan(), after.detach(), membrane)
        v = shown + (after - after.detach())
    return torch.stack(rows)


def _hidden_of_the_paper(drive: Tensor, seen: Observation) -> Tensor:
    """v of the device in place of v' = a v + (1 - a) i, no reset; z of the device with h(v - 1)."""
    a, b = _decay(8e-3), _decay(5e-3)
    v, i, rows = torch.zeros_like(drive[0]), torch.zeros_like(drive[0]), []
    assert seen.spikes is not None
    assert seen.v is not None
    for x, z, membrane in zip(drive, seen.spikes, seen.v, strict=True):
        v = a * v + (1 - a) * i
        i = b * i + x
        v = membrane + (v - v.detach())
        h = (1.0 / (1.0 + (v - 1.0).abs() / 0.02) ** 2).detach()
        rows.append(z + h * (v - v.detach()))
    return torch.stack(rows)


def _readout_by_hand(drive: Tensor) -> Tensor:
    """A linear readout, whose gradient does not depend on what was observed."""
    a, b = _decay(6e-3), _decay(4e-3)
    v, i, rows = torch.zeros_like(drive[0]), torch.zeros_like(drive[0]), []
    for x in drive:
        v, i = a * v + (1 - a) * i, b * i + x
        rows.append(v)
    return torch.stack(rows)
