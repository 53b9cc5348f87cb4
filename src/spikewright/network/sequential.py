"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spikewright.engine.layer import Layer
from spikewright.errors import NetworkError
from spikewright.network.base import INPUT, Network


class Sequential(Network):
    """Layers one after the other.

    Args:
        *layers: layers, or one mapping of names to layers. Unnamed ones are called by their
            place and kind, ``"0_linear"``, ``"1_lif"``, ...
        dt: time step in seconds, for all layers.
        shape: feature shape of one input; taken from the first layer or the first input if left
            out.

    Raises:
        NetworkError: no layers, or two that do not fit together.

    >>> import torch
    >>> from spikewright import LI, LIF, Linear
    >>> net = Sequential(Linear(5, 20), LIF(tau_mem=10e-3), Linear(20, 3), LI(), dt=1e-3)
    >>> out, state = net(torch.rand(50, 8, 5))
    >>> out.shape, sorted(state)
    (torch.Size([50, 8, 3]), ['1_lif', '3_li'])
    """

    def __init__(
        self,
        *layers: Layer | Mapping[str, Layer],
        dt: float,
        shape: Iterable[int] | None = None,
    ) -> None:
        named = _name(layers)
        if not named:
            raise NetworkError(
                "Sequential: layers must be at least one, got none. Pass Linear(5, 3), say."
            )
        names = list(named)
        super().__init__(named, {n: (s,) for s, n in zip([INPUT, *names], names, strict=False)}, dt)
        first = getattr(named[names[0]], "in_features", None)
        if shape is not None or isinstance(first, int):
            self.build(shape if shape is not None else (first or 0,))


def _name(layers: tuple[Layer | Mapping[str, Layer], ...]) -> dict[str, Layer]:
    named: dict[str, Layer] = {}
    for index, item in enumerate(layers):
        own = f"{index}_{type(item).__name__.lower()}"
        for name, layer in item.items() if isinstance(item, Mapping) else [(own, item)]:
            if name in named:
                raise NetworkError(
                    f"Sequential: a layer's name must be used once, got {name!r} twice. "
                    "Rename one of them."
                )
            named[name] = layer
    return named
