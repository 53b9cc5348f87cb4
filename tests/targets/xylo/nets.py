"""Networks that a chip holds, active on their input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.models.bit_shift import bit_shift_tau
from spikewright.models.layers import cuba_lif, multi_synapse_lif, readout, spiking_options

DT = 1e-3
FIRING = sw.Firing(reset="subtract", max_spikes=31, inclusive=True)


def tau(milliseconds: float) -> float:
    """The time constant of shifted bits nearest to one in ms, s."""
    return bit_shift_tau(milliseconds * 1e-3, DT)


def cells(ms: float = 8.0) -> sw.CubaLIF:
    """Hidden neurons."""
    return cuba_lif(tau(4.0), torch.tensor(tau(ms)), DT, spiking_options(1.0, 31))


def out(kind: Any = "membrane") -> sw.Layer:
    """Outputs."""
    return readout(kind, tau(4.0), tau(8.0), DT, 1.0)


def linear(inputs: int, outputs: int, size: float) -> sw.Linear:
    """Weights around a mean a little above zero."""
    layer = sw.Linear(inputs, outputs, bias=False)
    torch.nn.init.normal_(layer.weight, 0.1 * size, size)
    return layer


def stack(kind: Any = "membrane", second: sw.Layer | None = None) -> sw.Network:
    """Two layers of hidden neurons, the second one as given."""
    torch.manual_seed(0)
    layers = {
        "in": linear(5, 12, 0.3), "hidden": cells(), "between": linear(12, 8, 0.2),
        "second": second or cells(16.0), "w": linear(8, 3, 0.2), "out": out(kind),
    }  # fmt: skip
    return sw.Sequential(layers, dt=DT, shape=(5,)).eval()


def recurrent() -> sw.Network:
    """A recurrent layer of two synaptic currents."""
    torch.manual_seed(1)
    inner = multi_synapse_lif((tau(2.0), tau(16.0)), DT, spiking_options(1.0, 31))
    layers = {
        "in": linear(5, 20, 0.3), "hidden": sw.Recurrent(inner, linear(10, 20, 0.05)),
        "w": linear(10, 3, 0.2), "out": out(),
    }  # fmt: skip
    return sw.Sequential(layers, dt=DT, shape=(5,)).eval()


def residual(delay: int = 1, wide: int = 6, narrow: int = 4) -> sw.Network:
    """Spikes of two wide layers added up before the same weights, late ones as on the chip."""
    torch.manual_seed(2)
    layers: dict[str, sw.Layer] = {
        "in": linear(5, wide, 0.3), "first": cells(),
        "up": linear(wide, wide, 0.3), "second": cells(),
        "w": linear(wide, narrow, 0.3), "third": cells(),
        "last": linear(narrow, 3, 0.3), "out": out(),
    }  # fmt: skip
    edges = [("input", "in"), ("in", "first"), ("first", "up"), ("up", "second"), ("first", "w")]
    late = "second"
    if delay:
        late = "late"
        layers["late"] = sw.Delay(delay * DT, delay * DT, rounded=True)
        edges.append(("second", "late"))
    edges += [(late, "w"), ("w", "third"), ("third", "last"), ("last", "out")]
    order = ("in", "first", "up", "second", "late", "w", "third", "last", "out")
    layers = {name: layers[name] for name in order if name in layers}
    return sw.Graph(layers, edges=edges, dt=DT, shape=(5,)).eval()


def events(steps: int = 60, batch: int = 6, seed: int = 3) -> Tensor:
    """Counts of input events, (time, batch, 5)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.full((steps, batch, 5), 0.5), generator=generator).clamp(max=15)
