"""Spiking layers in whole numbers, neuron by neuron in Python's integers and fractions.

Written from the neurons' equations, not from the lowered step, to judge it.
"""

from __future__ import annotations

import math
from fractions import Fraction


def half_up(number):
    return math.floor(number + Fraction(1, 2))


def near(value, bits):
    """The fraction with a numerator of so many bits next to a positive number."""
    places = bits - 1 - math.floor(math.log2(value))
    return Fraction(half_up(Fraction(value) * 2**places), 2**places)


def run_plain(layer, neuron, dt, spikes, settings):
    """Outputs (time, neurons) as lists, and how many states were cut, of one sample.

    Args:
        layer: for its weights and binary places.
        neuron: the layer of neurons, for what it is.
    """
    formats = settings.coefficient, settings.membrane
    told, states = [], [Plain(layer, neuron, dt, *formats) for _ in range(layer.neurons)]
    own = [0] * layer.neurons
    for row in spikes.tolist():
        outputs = []
        for n, state in enumerate(states):
            total = sum(count * int(layer.weight[i, n]) for i, count in enumerate(row))
            if layer.back is not None:
                total += sum(one * int(layer.back[j, n]) for j, one in enumerate(own))
            x = total * 2 ** (layer.fraction - layer.places) + int(layer.bias[n])
            outputs.append(state.step(x))
        told.append(outputs)
        own = outputs
    return told, sum(state.cut for state in states)


def coefficients(neuron, dt):
    """Decays and gain from time constants, after the textbook: exact for a step."""
    values = {name: float(value) for name, value in vars(neuron.params()).items()}
    if "tau_mem" not in values:
        return values, {}
    decays = {"mem": math.exp(-dt / values["tau_mem"])}
    if "tau_syn" in values:
        mem, syn = values["tau_mem"], values["tau_syn"]
        decays["syn"] = math.exp(-dt / syn)
        decays["gain"] = values["r"] * syn / (syn - mem) * (decays["syn"] - decays["mem"])
    return values, decays


class Plain:
    """One neuron."""

    def __init__(self, layer, neuron, dt, bits, membrane):
        values, decays = coefficients(neuron, dt)
        self.by = {name: near(value, bits) for name, value in decays.items()}
        self.firing = neuron.firing if neuron.spiking else None
        self.scale = Fraction(2) ** layer.fraction
        self.least, self.most = -(2 ** (membrane - 1)), 2 ** (membrane - 1) - 1
        self.threshold = self.grid(values.get("v_threshold", 0.0))
        self.reset = self.grid(values.get("v_reset", 0.0))
        self.leak = self.grid(values.get("v_leak", 0.0))
        self.silence = round(neuron.refractory / dt)
        self.v, self.i, self.remaining, self.cut = self.leak, 0, 0, 0

    def grid(self, value):
        return half_up(Fraction(value) * self.scale)

    def integrated(self, x):
        if not self.by:
            return self.v + x, 0
        v = self.leak + half_up(self.by["mem"] * (self.v - self.leak))
        if "syn" not in self.by:
            return v + x, 0
        i = self.i + x
        return v + half_up(self.by["gain"] * i), half_up(self.by["syn"] * i)

    def step(self, x):
        v, i = self.integrated(x)
        fires = self.firing is not None and self.over(v) and self.remaining == 0
        if self.remaining > 0:
            v = self.v
        if fires and self.firing.reset == "to_value":
            v = self.reset
        elif fires and self.firing.reset == "subtract":
            v -= self.threshold
        self.remaining = self.silence if fires else max(self.remaining - 1, 0)
        self.v, self.i = self.kept(v), self.kept(i)
        self.cut += self.v != v or self.i != i
        return self.v if self.firing is None else int(fires)

    def over(self, v):
        return v >= self.threshold if self.firing.inclusive else v > self.threshold

    def kept(self, number):
        return min(max(number, self.least), self.most)
