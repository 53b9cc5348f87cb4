"""A twin run on the network's own clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.targets.xylo.lowering.wanted import Wanted
from spikewright.targets.xylo.twin.twin import Shown, Twin, TwinState


class LayerShown(NamedTuple):
    """Spikes and, where recorded, membranes (codes) of a layer, (time, batch, n)."""

    spikes: Tensor
    v: Tensor | None


def run_aligned(
    twin: Twin,
    want: Wanted,
    x: Tensor,
    state: TwinState | None = None,
    exact: bool = True,
) -> tuple[dict[str, LayerShown], Shown, TwinState]:
    """Run a chip and move each layer back by its lag, so that step t is step t of the network.

    The chip shows a layer's step t some steps later, and nothing of the input that comes in
    between has reached the layer by then: the steps that are missing at the end are found by
    letting a copy of the chip run on in silence.

    Args:
        x: events, (time, batch, inputs).
        state: of the chip after the steps before.
        exact: see `Twin.run`.

    Returns:
        By layer what it shows at each step, all of the chip for counts, and its state.
    """
    most, steps = max(want.lags.values()), len(x)
    shown, after = twin.run(x, state, exact=exact)
    more = shown
    if most:
        silence = x.new_zeros(most, *x.shape[1:])
        behind, _ = twin.run(silence, after, exact=exact)
        more = shown._replace(
            spikes=torch.cat([shown.spikes, behind.spikes]),
            out=torch.cat([shown.out, behind.out]),
            v=_joined(shown.v, behind.v),
            v_out=_joined(shown.v_out, behind.v_out),
        )
    found = {
        name: _layer(more.spikes, more.v, (want.lags[name], steps), place)
        for name, place in want.places.items()
    }
    out = want.out.name
    found[out] = _layer(more.out, more.v_out, (want.lags[out], steps), slice(None))
    return found, shown, after


def _joined(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else torch.cat([a, b])


def _layer(spikes: Tensor, v: Tensor | None, when: tuple[int, int], place: slice) -> LayerShown:
    lag, steps = when
    part = slice(lag, lag + steps), slice(None), place
    return LayerShown(spikes[part], None if v is None else v[part])


def counts(found: Mapping[str, LayerShown], name: str) -> Tensor:
    """Spikes of each sample and neuron, (batch, n)."""
    return found[name].spikes.sum(0)
