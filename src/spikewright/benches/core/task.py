"""The work that every framework is given alike, and what a framework makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spikewright.errors import SpikewrightError

Net = Literal["lif", "cuba", "dense", "recurrent", "conv", "latency", "delays", "stdp"]
Action = Literal["train", "infer", "stream"]

DT = 1e-3
DECAY = 0.9
"""Share of the membrane potential that is left after a step, in every framework."""


class NotOffered(SpikewrightError):
    """A framework lacks what a task needs; the text says what."""


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Args:
        net: a single layer of neurons (``"lif"``, ``"cuba"``: with currents and learnable time
            constants), or a network of ``sizes``: inputs, hidden, outputs. For ``"conv"`` the
            sizes are the side of the image, the channels of both convolutions, outputs. For
            ``"latency"`` and ``"delays"``, a delay each synapse, see `benches.core.latency`; for
            ``"stdp"`` see `benches.core.unsupervised`.
        action: ``"train"`` is forward and backward (a network also takes a step of Adam),
            ``"infer"`` forward alone, ``"stream"`` forward one step at a time, state carried on.
        steps: T.
        batch: B.
        density: share of ones in the input of a network, which is a dense tensor of 0 and 1.
    """

    net: Net
    action: Action
    steps: int
    batch: int
    sizes: tuple[int, ...]
    density: float = 1.0

    @property
    def layer_alone(self) -> bool:
        return self.net in ("lif", "cuba")

    @property
    def unit(self) -> str:
        return "µs" if self.action == "stream" else "ms"

    @property
    def label(self) -> str:
        """What is done, in words.

        >>> Task("dense", "train", 100, 64, (700, 256, 20), 0.05).label
        'train step 700-256-20, T=100 B=64, 5 % ones'
        """
        if self.layer_alone:
            what = {"lif": "LIF, gradient of input", "cuba": "CubaLIF, all gradients"}[self.net]
            return f"{what}, T={self.steps} B={self.batch} N={self.sizes[0]}"
        verb = {"train": "train step", "infer": "inference", "stream": "one step of"}[self.action]
        shape = "-".join(map(str, self.sizes))
        if self.net == "conv":
            side, first, second, outputs = self.sizes
            shape = f"1×{side}×{side}-{first}C5-P-{second}C5-P-{outputs}"
        kind = {"recurrent": " recurrent", "delays": " with learnable delays"}.get(self.net, "")
        if self.net in ("latency", "delays"):
            spikes = round(self.density * self.sizes[0])
            return f"{verb}{kind} {shape}, T={self.steps} B={self.batch}, {spikes} input spikes"
        if self.net == "stdp":
            return f"STDP {shape}, one image of {self.steps} steps"
        time = "" if self.action == "stream" else f"T={self.steps} "
        return f"{verb}{kind} {shape}, {time}B={self.batch}, {100 * self.density:g} % ones"

    def figure(self, seconds: float) -> float:
        """Seconds of one run in `unit`; a stream's is per step.

        >>> Task("dense", "infer", 10, 1, (4, 4, 2)).figure(0.5)
        500.0
        """
        return seconds / self.steps * 1e6 if self.action == "stream" else seconds * 1e3

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Task:
        given: dict[str, Any] = {**values, "sizes": tuple(values["sizes"])}
        return Task(**given)


@dataclass(frozen=True)
class Work:
    """A task as a framework does it.

    Args:
        run: does it once.
        rates: the share of neurons that spike in a step, for each spiking layer; measured after
            the timing, so it may run the network.
        version: of the framework, with how it was used where there is a choice.
    """

    run: Callable[[], object]
    rates: Callable[[], list[float]]
    version: str = ""


def weight_bound(active: float) -> float:
    """Bound of uniform weights that lets hidden neurons fire at some 4 to 12 % of the steps.

    The potential's standard deviation is then one threshold before the reset.

    Args:
        active: mean number of inputs that are one in a step.
    """
    spread = math.sqrt((1 - DECAY**2) / max(active, 1.0))
    return math.sqrt(3.0) * spread
