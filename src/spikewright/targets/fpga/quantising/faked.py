"""A network that trains in real numbers and gives exactly what whole ones would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import (
    INPUT,
    Convolution,
    Dense,
    IntegerNetwork,
    Stage,
    exact_format,
)
from spikewright.targets.fpga.quantising.bias import check_biases, whole_bias
from spikewright.targets.fpga.quantising.check_sums import check_sums
from spikewright.targets.fpga.quantising.quantised import Quantised, RealWeights
from spikewright.targets.fpga.quantising.round_weights import rounded


class Faked(nn.Module):
    """Weights, biases and activations rounded as the integer network has them, in every pass.

    The output is the integer network's sums times their scale, bit for bit. Gradients go straight
    through the rounding: d floor(x + 1/2) / dx = 1; of activations, only inside their range. All
    scales stay as they are, and so do taps that are 0 in every kernel, as between dilated ones.

    Args:
        made: where it starts; not changed.

    >>> from spikewright.targets.fpga.convert import convert
    >>> _ = torch.manual_seed(0)
    >>> x = torch.rand(9, 4)
    >>> made = convert(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), x)
    >>> sums = made.network.run(encode(made.network, x))
    >>> scale = made.network.stages[-1].scale
    >>> bool((Faked(made)(x) == (sums * scale).float()).all())
    True
    """

    def __init__(self, made: Quantised) -> None:
        super().__init__()
        self.made = made
        self.places = {name: place for place, name in enumerate(made.weights)}
        # In float64 as `quantise` had them: in float32 some would round to another number.
        self.weights = nn.ParameterList(real.weight.clone() for real in made.weights.values())
        self.biases = nn.ParameterList(real.bias.clone() for real in made.weights.values())
        self._exact = _formats(made)
        for real, place in zip(made.weights.values(), self.places.values(), strict=True):
            self.register_buffer(f"taps_{place}", _taps(real.weight))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *features) to (batch, ...) float32, in the trained network's numbers."""
        network = self.made.network
        values = {INPUT: encode(network, x)}
        out, scale = values[INPUT], network.scale
        for stage in network.stages:
            given = tuple(values[name].to(self._exact[stage.name]) for name in stage.inputs)
            out, scale = self._operation(stage).accumulate(given), stage.scale
            if stage.requantise is not None:
                top = stage.requantise.most
                out = _straight(out * 2.0**-stage.requantise.shift, 0, top, True)
            values[stage.name] = out
        return (out.double() * scale).float()

    def quantised(self) -> Quantised:
        """What the network is with its weights of now.

        Raises:
            CompileError: biases or sums no longer fit; names the fix.
        """
        weights = {name: self._real(name) for name in self.places}
        network = self.made.network
        stages = tuple(replace(s, operation=_whole(s, weights)) for s in network.stages)
        made = IntegerNetwork(network.shape, network.bits, stages, network.scale)
        check_biases(weights, self.made.settings)
        check_sums(made, self.made.settings)
        return replace(self.made, network=made, weights=weights)

    @torch.no_grad()
    def bound(self) -> None:
        """Bring weights and biases back into what can be held; called after each change."""
        for name, place in self.places.items():
            real, margin = self.made.weights[name], self.made.settings.margin_bits
            form, bits = real.form, self.made.settings.bits
            self.weights[place].clamp_(form.least * real.scale, form.most * real.scale)
            most = 2 ** (form.bits + bits + margin - 1) - 1
            self.biases[place].clamp_(-most * real.unit, most * real.unit)

    def _real(self, name: str) -> RealWeights:
        place = self.places[name]
        weight, bias = (held[place].detach().cpu().clone() for held in (self.weights, self.biases))
        return replace(self.made.weights[name], weight=weight, bias=bias)

    def _operation(self, stage: Stage) -> Any:
        if not isinstance(stage.operation, Convolution | Dense):
            return stage.operation
        place, real = self.places[stage.name], self.made.weights[stage.name]
        weight = self.weights[place] * self.get_buffer(f"taps_{place}") / real.scale
        weight = _straight(weight, real.form.least, real.form.most, False)
        bias = _straight(self.biases[place] / real.unit, -torch.inf, torch.inf, False)
        return replace(stage.operation, weight=weight, bias=bias)


def _taps(weight: Tensor) -> Tensor:
    """1 for the taps that train, (rows, columns); a layer of zeros trains all of them."""
    used = (weight != 0).flatten(0, 1).any(0)
    return (used if bool(used.any()) else torch.ones_like(used)).to(weight.dtype)


def _whole(stage: Stage, weights: dict[str, RealWeights]) -> Any:
    if stage.name not in weights:
        return stage.operation
    real = weights[stage.name]
    weight = rounded(real.weight, real.scale, real.form).to(torch.int64)
    bias = whole_bias(real.bias, real.unit).to(torch.int64)
    return replace(stage.operation, weight=weight, bias=bias)


def _formats(made: Quantised) -> dict[str, torch.dtype]:
    """Where whole numbers stay exact, whatever weights and biases training comes to."""
    stages = tuple(replace(s, operation=_widest(s, made)) for s in made.network.stages)
    bounds = replace(made.network, stages=stages).bounds
    return {name: exact_format(bound) for name, bound in bounds.items()}


def _widest(stage: Stage, made: Quantised) -> Any:
    operation = stage.operation
    if not isinstance(operation, Convolution | Dense):
        return operation
    real = made.weights[stage.name]
    bits = real.form.bits + made.settings.bits + made.settings.margin_bits
    weight = torch.full_like(operation.weight, real.form.least)
    return replace(operation, weight=weight, bias=torch.full_like(operation.bias, 2 ** (bits - 1)))


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, least: float, most: float, inside: bool) -> Tensor:
        whole = torch.floor(x + 0.5)
        if inside:
            ctx.save_for_backward((whole >= least) & (whole <= most))
        return whole.clamp(least, most)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        masks: tuple[Tensor, ...] = ctx.saved_tensors
        return (gradient * masks[0] if masks else gradient), None, None, None


def _straight(x: Tensor, least: float, most: float, inside: bool) -> Tensor:
    """clip(floor(x + 1/2)), the gradient as of x; 0 where it was clipped if ``inside``."""
    return _Straight.apply(x, least, most, inside)  # pyright: ignore
