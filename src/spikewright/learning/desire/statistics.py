"""What desires say to a network, layer by layer, and what to change where they say nothing."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.learning.desire.chain import Chain
from spikewright.learning.desire.passes import Array, Spikes, counts
from spikewright.learning.desire.signals import Gates, signs_of
from spikewright.learning.doctor import Diagnosis, LayerHealth

SILENT_BELOW, SATURATED_ABOVE = 1e-4, 0.5
MANY_DEAD, MANY_GATED = 0.5, 0.9


@dataclass(frozen=True)
class LayerSignal:
    """What one layer of neurons was told over a batch.

    Attributes:
        negative, off, positive: shares of (sample, neuron) told not to fire, nothing, and to fire.
        learning: share of (sample, neuron) that were told something and fired, so that they learn.
        dead: share of neurons without a spike in the whole batch.
        rate: spikes per step and neuron.
    """

    name: str
    negative: float
    off: float
    positive: float
    learning: float
    dead: float
    rate: float

    @property
    def gated(self) -> float:
        """Share of (sample, neuron) that were told something."""
        return self.negative + self.positive


@dataclass(frozen=True)
class Statistics:
    """What each layer was told, and ``taught``, the share of samples that teach anything."""

    layers: tuple[LayerSignal, ...]
    taught: float

    def __str__(self) -> str:
        width = max(len("layer"), *(len(layer.name) for layer in self.layers))
        columns = ("negative", "off", "positive", "learning", "dead", "rate")
        head = f"{'layer':<{width}}" + "".join(f"  {name:>8}" for name in columns)
        rows = [
            f"{layer.name:<{width}}" + "".join(f"  {getattr(layer, c):8.4f}" for c in columns)
            for layer in self.layers
        ]
        return "\n".join([head, *rows, f"{self.taught:.1%} of the samples teach."])


def statistics(chain: Chain, spikes: Spikes, targets: Array, gates: Gates) -> Statistics:
    """What a batch tells the neurons of a chain."""
    signs = signs_of(chain, spikes, targets, gates)
    layers = tuple(
        _layer(stage.neurons, of_stage, counts(spikes.after(place)), spikes.steps)
        for place, (stage, of_stage) in enumerate(zip(chain.stages, signs, strict=True))
    )
    return Statistics(layers, float(signs[-1].any(1).mean()))


def _layer(name: str, signs: Array, fired: Array, steps: int) -> LayerSignal:
    return LayerSignal(
        name=name,
        negative=float((signs < 0).mean()),
        off=float((signs == 0).mean()),
        positive=float((signs > 0).mean()),
        learning=float(((signs != 0) & (fired > 0)).mean()),
        dead=float((fired.sum(0) == 0).mean()),
        rate=float(fired.mean() / steps),
    )


def examine(found: Statistics) -> Diagnosis:
    """Findings in the form of the doctor's."""
    layers = tuple(
        LayerHealth(layer.name, layer.rate, layer.dead, None, None) for layer in found.layers
    )
    whole = [] if found.taught else [
        "no sample teaches: every output neuron is within its gate. The batch is learnt, or lower "
        "output_gate or margin."
    ]  # fmt: skip
    return Diagnosis(layers, (*whole, *(line for layer in found.layers for line in advise(layer))))


def advise(layer: LayerSignal) -> list[str]:
    """What to change in a layer, worst first; empty if nothing stands out."""
    name = f"layer {layer.name!r}"
    if layer.rate < SILENT_BELOW:
        return [
            f"{name} is silent, and a neuron that does not spike does not learn: raise its first "
            "weights, lower v_threshold, or use aim_rates."
        ]
    lines: list[str] = []
    if layer.rate > SATURATED_ABOVE:
        lines.append(
            f"{name} is saturated ({layer.rate:.2f} spikes a step): lower its first weights or "
            "the learning rate."
        )
    if layer.dead > MANY_DEAD:
        lines.append(
            f"{name}: {layer.dead:.0%} of its neurons never fire, and stay so: raise its first "
            "weights, or lower the learning rate if they once did."
        )
    if layer.gated > MANY_GATED:
        lines.append(
            f"{name}: {layer.gated:.0%} of its neurons are told something for every sample: raise "
            "hidden_gate."
        )
    return lines
