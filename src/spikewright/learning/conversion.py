"""From a trained ReLU network to a spiking one: weights balanced layer by layer.

A layer whose activations reach up to s gets weights W s_in / s and biases b / s, so that one spike
a step stands for s; its neurons have a threshold of 1 and soft reset. What lies above s saturates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from spikewright import connections
from spikewright.engine.layer import Layer
from spikewright.errors import NetworkError, ParameterError, ShapeError, nearest
from spikewright.learning.proxy.as_torch import as_torch, refused
from spikewright.learning.proxy.twin import Statistics
from spikewright.network import Network, Sequential
from spikewright.neurons import IF
from spikewright.neurons.firing import Firing

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
MAX_POOLS = {"spikes": connections.MaxPool2d, "rates": connections.RateMaxPool2d}
HALF = 0.5
"""Of a threshold: the charge that makes counts round to the nearest instead of down."""


@dataclass
class _Product:
    """A product of the ReLU network, what follows it put into it as far as it goes."""

    module: Any
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        values = {"weight": self.weight.to(x.dtype), "bias": self.bias.to(x.dtype)}
        return torch.func.functional_call(self.module, values, (x,))


@dataclass
class _Neurons:
    """A ReLU; ``top`` is the activation that one spike a step stands for."""

    top: float = 1.0


_Chain = dict[str, Any]
"""By name: products, neurons, and torch modules of pooling and flattening."""


def convert(
    model: nn.Module,
    x: Tensor,
    *,
    dt: float = 1e-3,
    percentile: float = 99.9,
    shift_over: int | None = None,
    max_pool: Literal["spikes", "rates"] = "spikes",
    statistics: Statistics | None = None,
) -> Sequential:
    """A spiking network that does with rates what a ReLU network does with activations.

    Args:
        model: ``torch.nn.Sequential`` of Linear, Conv1d, Conv2d, BatchNorm, ReLU, MaxPool2d,
            AvgPool2d, Flatten and Dropout, on one device; or a network of `IF` whose `Twin` was
            trained, by ``Proxy(substituted="nothing")`` say. Not changed.
        x: a batch to calibrate on, (batch, *features), in the range that the current will have.
        dt: time step of the spiking network, s.
        percentile: which of a layer's positive activations becomes one spike a step; 100 for the
            largest.
        shift_over: steps over which the biases add half a threshold, those of the run: counts
            then round to the nearest. ``None`` for no shift.
        max_pool: ``"spikes"`` for `MaxPool2d`, which passes any spike of a window: fast, and
            compiled for targets, but of too high a rate however long the run. ``"rates"`` for
            `RateMaxPool2d`, whose rate is the largest of the window.
        statistics: ``rule_state["statistics"]`` of the twin's batch norms; by default the
            network's own.

    Returns:
        Connections, and `IF` with a threshold of 1 and soft reset in place of each ReLU and at
        the output, for constant currents.

    Raises:
        NetworkError: a layer that cannot be converted, by name, or one that is silent on ``x``.
        ShapeError: ``x`` does not fit the model.
        ParameterError: an option is outside its range.

    Sources: Diehl et al. 2015, IJCNN (largest activation); Rueckauer et al. 2017, Front.
    Neurosci. 11:682 (percentile, soft reset, batch norm folded); Deng and Gu 2021, ICLR (the
    shift; Bu et al. 2022, AAAI 36, put the same charge on the membrane before the first step).

    >>> _ = torch.manual_seed(0)
    >>> ann = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3))
    >>> x = torch.rand(50, 4)
    >>> net = convert(ann, x, percentile=100.0)
    >>> counts = net(x.expand(1000, -1, -1))[0].sum(0)
    >>> float((counts.argmax(-1) == ann(x).argmax(-1)).float().mean()) > 0.9
    True
    """
    _check_options(percentile, shift_over, max_pool)
    if isinstance(model, Network):
        model = as_torch(model, statistics)
    chain = _chain(model)
    with torch.no_grad():
        _calibrate(chain, x, percentile)
        shift = 0.0 if shift_over is None else HALF / shift_over
        layers = _layers(chain, shift, MAX_POOLS[max_pool])
    return Sequential(layers, dt=dt, shape=x.shape[1:]).to(x.device, x.dtype)


def _check_options(percentile: float, shift_over: int | None, max_pool: str) -> None:
    if max_pool not in MAX_POOLS:
        raise ParameterError(
            f"convert: max_pool must be one of {', '.join(MAX_POOLS)}, got {max_pool!r}. "
            f"{nearest(max_pool, MAX_POOLS)}"
        )
    if not isinstance(percentile, int | float) or not 0 < percentile <= 100:
        raise ParameterError(
            f"convert: percentile must be above 0 and at most 100, got {percentile!r}. "
            "Use 99.9, or 100 for the largest activation."
        )
    if shift_over is not None and (type(shift_over) is not int or shift_over < 1):
        raise ParameterError(
            f"convert: shift_over must be a number of steps from 1 on, got {shift_over!r}. "
            "Pass those of the run, or leave it out."
        )


def _chain(model: nn.Module) -> _Chain:
    """The model as products, neurons and pooling, batch norms folded."""
    chain: _Chain = {}
    latest: _Product | None = None  # the product that no neurons have followed yet
    for name, module in _modules("", model):
        item = _item(name, module, latest, next(reversed(chain.values()), None))
        if item is None:
            continue
        if name in chain:
            raise refused(name, type(module).__name__, "another layer has this name already")
        chain[name] = item
        latest = item if isinstance(item, _Product) else latest
        latest = None if isinstance(item, _Neurons) else latest
    if latest is not None:
        output = "output"
        while output in chain:
            output += "_neurons"
        chain[output] = _Neurons()
    last = next(reversed(chain.values()), None)
    if not isinstance(last, _Neurons):
        raise refused(next(reversed(chain), "model"), type(last).__name__, "the end must be a "
                      "product or a ReLU, whose spikes are counted")  # fmt: skip
    return chain


def _modules(prefix: str, model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules of nested Sequentials in order; a network's names allow no dots."""
    if not isinstance(model, nn.Sequential):
        if not prefix:
            raise refused("model", type(model).__name__, "it must be a torch.nn.Sequential")
        return [(prefix, model)]
    found: list[tuple[str, nn.Module]] = []
    # Not named_children, which leaves out the second use of a module.
    for name, module in model.named_modules(remove_duplicate=False):
        if name and "." not in name:
            found += _modules(f"{prefix}_{name}" if prefix else name, module)
    return found


def _item(name: str, module: Any, latest: _Product | None, before: Any) -> Any:
    """What a module becomes in the chain; ``None`` where it vanishes."""
    kind = type(module).__name__
    if isinstance(module, NOTHING):
        return None
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
        if getattr(module, "padding_mode", "zeros") != "zeros":
            raise refused(name, kind, "it must pad with zeros")
        bias = torch.zeros(len(module.weight)) if module.bias is None else module.bias
        both = (
            tensor.detach().to(module.weight.device).double() for tensor in (module.weight, bias)
        )
        return _Product(module, *both)
    if isinstance(module, NORMS):
        if before is not latest or latest is None or module.running_mean is None:
            raise refused(name, kind, "it needs running statistics and a product right before it")
        return _put_into(latest, module)
    if isinstance(module, nn.ReLU):
        if latest is None:
            raise refused(name, kind, "it needs a product before it")
        return _Neurons()
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.Flatten):
        _check_window(name, module, latest is not None)
        return module
    raise refused(name, kind, "rates of IF neurons follow a ReLU only")


def _put_into(product: _Product, norm: Any) -> None:
    fuse: Any = fuse_linear_bn_weights
    if not isinstance(product.module, nn.Linear):
        fuse = fuse_conv_bn_weights
    tensors = (norm.running_mean, norm.running_var)
    affine = (norm.weight, norm.bias)
    mean, var = (tensor.detach().double() for tensor in tensors)
    scale, shift = (None if tensor is None else tensor.detach().double() for tensor in affine)
    weight, bias = fuse(product.weight, product.bias, mean, var, norm.eps, scale, shift)
    product.weight, product.bias = weight.detach(), bias.detach()


def _check_window(name: str, module: Any, before_relu: bool) -> None:
    kind = type(module).__name__
    if isinstance(module, nn.MaxPool2d):
        if before_relu:
            raise refused(name, kind, "currents of one step do not rank as rates do; put the ReLU "
                          "before the pooling")  # fmt: skip
        if module.ceil_mode or module.dilation not in (1, (1, 1)) or module.return_indices:
            raise refused(name, kind, "ceil_mode, dilation and indices are not there in spikes")
    if isinstance(module, nn.AvgPool2d):
        padded = module.padding not in (0, (0, 0))
        if module.ceil_mode or (padded and not module.count_include_pad):
            raise refused(name, kind, "padding must count as zeros, and ceil_mode be off")
        if before_relu and (padded or module.divisor_override is not None):
            raise refused(name, kind, "it must be a mean without padding to stand before a ReLU")
        if module.divisor_override not in (None, 1):
            raise refused(name, kind, "divisor_override must be left out, or 1")


def _calibrate(chain: _Chain, x: Tensor, percentile: float) -> None:
    """Find what one spike a step of each layer stands for."""
    for name, item in chain.items():
        if not isinstance(item, _Neurons):
            x = _applied(name, item, x)
            continue
        active = x[x > 0].float().cpu().numpy()
        if active.size == 0 or not x.isfinite().all():
            raise NetworkError(
                f"convert: layer {name!r} must have finite, positive activations on the "
                "calibration batch, got none. Train the model, or calibrate on typical input."
            )
        item.top = float(np.percentile(active, percentile))
        x = x.relu()


def _applied(name: str, item: Any, x: Tensor) -> Tensor:
    try:
        return item(x)
    except RuntimeError as cause:
        raise ShapeError(
            f"convert: x must fit layer {name!r}, got {tuple(x.shape)} there ({cause}). "
            "Pass a batch as the model takes it, (batch, *features)."
        ) from cause


def _layers(chain: _Chain, shift: float, max_pool: Any) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    unit = 1.0  # what one spike a step, or one unit of current, of the input stands for
    ahead = list(chain.values())
    for place, (name, item) in enumerate(chain.items()):
        if isinstance(item, _Product):
            following = next(it for it in ahead[place + 1 :] if not _is_pool(it))
            top = following.top if isinstance(following, _Neurons) else None
            layers[name] = _connection(item, unit / (top or 1.0), top, shift)
            unit = 1.0
        elif isinstance(item, _Neurons):
            layers[name] = IF(v_threshold=1.0, firing=Firing(reset="subtract"))
            unit = item.top
        else:
            layers[name] = _window(item, max_pool)
    return layers


def _is_pool(item: Any) -> bool:
    return not isinstance(item, _Product | _Neurons)


def _connection(product: _Product, factor: float, top: float | None, shift: float) -> Layer:
    """The product in the units of what comes before it and behind it."""
    module = product.module
    if isinstance(module, nn.Linear):
        made: Any = connections.Linear(module.in_features, module.out_features)
    else:
        kind: Any = getattr(connections, type(module).__name__)
        names = ("stride", "padding", "dilation", "groups")
        options = {key: getattr(module, key) for key in names}
        made = kind(module.in_channels, module.out_channels, module.kernel_size, **options)
    made.weight.copy_(product.weight * factor)
    made.bias.copy_(product.bias if top is None else product.bias / top + shift)
    return made


def _window(module: Any, max_pool: Any) -> Layer:
    if isinstance(module, nn.Flatten):
        axes = (module.start_dim, module.end_dim)
        return connections.Flatten(*(axis - 1 if axis > 0 else axis for axis in axes))
    kind = max_pool
    if isinstance(module, nn.AvgPool2d):
        kind = connections.AvgPool2d if module.divisor_override is None else connections.SumPool2d
    return kind(module.kernel_size, module.stride, module.padding)
