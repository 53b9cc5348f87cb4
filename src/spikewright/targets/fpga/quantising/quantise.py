"""From a float network to one in whole numbers, whose requantisations are shifts.

With scales s of the activations and s_w of the weights, sums stand for u = s s_w each. A shift by
k makes activations of them that stand for u 2^k, so one of s_w and the next s is free, not both:
s_w is chosen first, and k such that the range holds what calibration saw. The input keeps its own
scale, top / (2^T - 1): an image's 1.0 is the largest number, not one beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from spikewright.compiler.target import Broken
from spikewright.errors import CompileError
from spikewright.targets.fpga.floats.check import faults
from spikewright.targets.fpga.floats.network import (
    AveragePool,
    FloatNetwork,
    FloatStage,
    ReLU,
)
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Operation,
    Requantise,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.quantising.bias import check_biases, whole_bias
from spikewright.targets.fpga.quantising.calibrate import Calibration
from spikewright.targets.fpga.quantising.check_sums import check_sums
from spikewright.targets.fpga.quantising.choose_shift import choose_shift
from spikewright.targets.fpga.quantising.families import Families
from spikewright.targets.fpga.quantising.quantised import Quantised, RealWeights
from spikewright.targets.fpga.quantising.round_weights import on_grid, rounded, weight_scale
from spikewright.targets.fpga.quantising.settings import Quantisation


def quantise(
    network: FloatNetwork, calibration: Calibration, settings: Quantisation | None = None
) -> Quantised:
    """Round weights and biases, choose scales, and put each ReLU into the stage before it.

    Args:
        network: batch norms folded and ReLUs first; see `convert` for all in one.
        calibration: of this network.

    Raises:
        CompileError: layers that spikes cannot work out, biases or sums that do not fit; all of
            them, with the way out.

    >>> from spikewright.targets.fpga.quantising.calibrate import calibrate
    >>> dense = Dense(torch.tensor([[1.0, -2.0], [3.0, 1.0]]), torch.zeros(2))
    >>> net = FloatNetwork((2,), (FloatStage("out", (INPUT,), dense),))
    >>> made = quantise(net, calibrate(net, torch.rand(9, 2)))
    >>> made.network.stages[0].operation.weight
    tensor([[ 1, -2],
            [ 3,  1]])
    """
    settings = settings or Quantisation()
    refuse("fpga.quantise", faults(network))
    _check_layers(network, settings)
    work = _Work(network, calibration, settings)
    for stage in network.stages:
        work.add(stage)
    check_biases(work.weights, settings)
    made = IntegerNetwork(network.shape, settings.bits, tuple(work.stages), work.scales[INPUT])
    check_sums(made, settings)
    return Quantised(made, work.weights, settings, calibration.silent, work.clips)


def _clips(network: FloatNetwork) -> dict[str, float]:
    """By stage, where the ReLU that reads it ends, if it does."""
    relus = ((stage.inputs[0], stage.operation) for stage in network.stages)
    return {
        name: relu.most
        for name, relu in relus
        if isinstance(relu, ReLU) and math.isfinite(relu.most)
    }


def _check_layers(network: FloatNetwork, settings: Quantisation) -> None:
    products = [s.name for s in network.stages if isinstance(s.operation, Convolution | Dense)]
    unknown = sorted(set(settings.layers) - set(products))
    if unknown:
        raise CompileError(
            f"fpga.quantise: layers must name products, got {', '.join(unknown)}. They are "
            f"{', '.join(products)}."
        )


class _Work:
    """Stages so far, and by the names of the float network what stands for them."""

    def __init__(
        self, network: FloatNetwork, calibration: Calibration, settings: Quantisation
    ) -> None:
        self.network, self.calibration, self.settings = network, calibration, settings
        top = settings.input_top or calibration.seen[INPUT].most or 1.0
        self.scales = {INPUT: top / settings.most}
        self.most = {INPUT: settings.most}
        self.names = {INPUT: INPUT}
        self.weights: dict[str, RealWeights] = {}
        self.stages: list[Stage] = []
        self.families = Families(network, settings.scales == "free")
        self.families.settle(INPUT, self.scales[INPUT])
        self.clips = _clips(network)
        refuse("fpga.quantise", list(self._bound_to_clips()))

    def add(self, stage: FloatStage) -> None:
        """One more stage; a ReLU is already in the one before it."""
        if isinstance(stage.operation, ReLU) and stage.inputs[0] != INPUT:
            source = stage.inputs[0]
            self.names[stage.name] = self.names[source]
            self.scales[stage.name], self.most[stage.name] = self.scales[source], self.most[source]
            return
        operation, unit = self._operation(stage)
        bound = operation.bound(tuple(self.most[name] for name in stage.inputs))
        requantise, scale = None, unit
        seen = self._range_of(stage)
        if seen is not None:
            histogram, clip = self.calibration.seen[seen], self.clips.get(stage.name, math.inf)
            shift = choose_shift(histogram, unit, bound, self.settings, clip)
            requantise, scale = Requantise(shift, self.settings.bits), unit * 2.0**shift
        self.scales[stage.name] = scale
        self.most[stage.name] = requantise.most if requantise else bound
        self.names[stage.name] = stage.name
        inputs = tuple(self.names[name] for name in stage.inputs)
        self.stages.append(Stage(stage.name, inputs, operation, requantise, scale))

    def _bound_to_clips(self) -> Iterator[Broken]:
        """Scales of which the largest activation is where its ReLU ends, as in ReLU6."""
        for name, most in self.clips.items():
            if not self.families.bind(name, most / self.settings.most):
                need = f"a clip at {most:g}, but its scale is bound to that of other stages"
                way = "Use scales='free', the same clip in all branches of a sum, or ReLU."
                yield Broken(name, "clips", need, "one clip to all scales that are bound", way)

    def _range_of(self, stage: FloatStage) -> str | None:
        """The float stage whose range the activations have; ``None`` where sums stay sums."""
        users = self.network.users[stage.name]
        if users and isinstance(users[0].operation, ReLU):
            return users[0].name
        handed_on = isinstance(stage.operation, MaxPool | Flatten | Convolution | Dense)
        negative = stage.name not in self.calibration.seen
        return None if handed_on or negative or self._ends(stage) else stage.name

    def _ends(self, stage: FloatStage) -> bool:
        """Whether nothing but flattening is between a stage and the output."""
        users = self.network.users[stage.name]
        return all(isinstance(user.operation, Flatten) and self._ends(user) for user in users)

    def _operation(self, stage: FloatStage) -> tuple[Operation, float]:
        """In whole numbers, and what 1 stands for in its sums."""
        operation, scale = stage.operation, self.scales[stage.inputs[0]]
        if isinstance(operation, Convolution | Dense):
            return self._product(stage, operation, scale)
        if isinstance(operation, AveragePool):
            pool = SumPool(operation.window, operation.stride, operation.padding)
            return pool, scale / operation.divisor
        if isinstance(operation, Add):
            return self._sum(stage)
        if isinstance(operation, MaxPool | Flatten):
            return operation, scale
        return Add((0,)), scale  # a ReLU of the input

    def _product(
        self, stage: FloatStage, product: Convolution | Dense, scale: float
    ) -> tuple[Operation, float]:
        form = self.settings.of(stage.name)
        wanted = weight_scale(product.weight, form) or self._for_bias(product.bias, scale, stage)
        family = self.families.unit(stage.name)
        grid = None if family is None else _snapped(family / scale)
        chosen = wanted if grid is None else on_grid(wanted, grid, product.weight, form)
        unit = chosen * scale
        self.families.settle(stage.name, unit)
        real = RealWeights(product.weight, product.bias, chosen, unit, form)
        self.weights[stage.name] = real
        weight = rounded(product.weight, chosen, form).to(torch.int64)
        bias = whole_bias(product.bias, unit).to(torch.int64)
        if isinstance(product, Dense):
            return Dense(weight, bias), unit
        options = (product.stride, product.padding, product.groups)
        return Convolution(weight, bias, *options), unit

    def _for_bias(self, bias: Tensor, scale: float, stage: FloatStage) -> float:
        """The weight scale of a layer without weights: its bias fills half of what it may."""
        bits = self.settings.of(stage.name).bits + self.settings.bits
        return float(bias.abs().max()) / (scale * 2.0 ** (bits - 2)) or 1.0

    def _sum(self, stage: FloatStage) -> tuple[Operation, float]:
        scales = [self.scales[name] for name in stage.inputs]
        unit = min(scales)
        return Add(tuple(round(math.log2(scale / unit)) for scale in scales)), unit


def _snapped(ratio: float) -> float:
    """What is a power of two but for the last digits is one."""
    k = round(math.log2(ratio))
    return 2.0**k if math.isclose(ratio, 2.0**k, rel_tol=1e-9) else ratio
