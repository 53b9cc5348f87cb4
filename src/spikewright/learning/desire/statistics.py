"""What desires say to a network, layer by layer, and what to change where they say nothing."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.learning.advice import never_fire, saturated, silent
from spikewright.learning.desire.chain import Chain
from spikewright.learning.desire.passes import Array, Spikes, counts
from spikewright.learning.desire.signals import Gates, signs_of
from spikewright.learning.doctor import (
    MANY_SILENT,
    SATURATED_ABOVE,
    SILENT_BELOW,
    Diagnosis,
    LayerHealth,
)

MANY_GATED = 0.9


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
    if layer.rate < SILENT_BELOW:
        cure = "raise its first input weights, lower v_threshold, or use aim_rates"
        return [silent(layer.name, cure, ", and a neuron that does not spike does not learn")]
    lines: list[str] = []
    if layer.rate > SATURATED_ABOVE:
        cure = "lower its first input weights or the learning rate"
        lines.append(saturated(layer.name, layer.rate, cure))
    if layer.dead > MANY_SILENT:
        cure = "raise its first input weights, or lower the learning rate if they once did"
        lines.append(never_fire(layer.name, layer.dead, cure, ", and stay so"))
    if layer.gated > MANY_GATED:
        lines.append(
            f"layer {layer.name!r}: {layer.gated:.0%} of its neurons are told something for every "
            "sample: raise hidden_gate."
        )
    return lines
