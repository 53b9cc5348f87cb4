"""The ATen operations that the accelerator knows, one function each."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from spikewright.targets.fpga.floats.lines import constant, line
from spikewright.targets.fpga.floats.network import AveragePool, BatchNorm, ReLU
from spikewright.targets.fpga.floats.reader import Reader, arguments, shape_of
from spikewright.targets.fpga.floats.taps import centred, spread
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Pair,
)

Read = Callable[[Reader, Node, dict[str, Any]], None]
_WORKED_OUT = "Put the weights into parameters of their own (remove parametrisations first)."


def read(reader: Reader, node: Node) -> None:
    """Take one node of an exported graph into the reader."""
    if node.op == "placeholder":
        if node.name not in reader.tensors:
            reader.open(node)
    elif node.op == "output":
        _output(reader, node)
    elif node.op == "call_function":
        kind = str(node.target).split(".")[1] if "." in str(node.target) else str(node.target)
        reads = any(reader.knows(one) for one in node.all_input_nodes)
        if not reads:
            _constant(reader, node)
            return
        if node.target is operator.getitem:
            _part(reader, node)
            return
        schema: Any = getattr(node.target, "_schema", None)
        given = {} if schema is None else arguments(node)
        _READERS.get(kind.rstrip("_"), _unknown)(reader, node, given)


def _constant(reader: Reader, node: Node) -> None:
    """Worked out here, if it is made of parameters and constants, as by weight norm."""
    if all(one.name in reader.tensors for one in node.all_input_nodes):
        given = map_arg((node.args, node.kwargs), lambda one: reader.tensors[one.name])
        args, kwargs = cast(tuple[Any, dict[str, Any]], given)
        value = cast(Callable[..., Any], node.target)(*args, **kwargs)
        if isinstance(value, Tensor):
            reader.tensors[node.name] = value.detach()


def _output(reader: Reader, node: Node) -> None:
    results: Any = node.args[0]
    if isinstance(results, Sequence) and len(results) == 1 and reader.knows(results[0]):
        reader.output = reader.source(results[0])


def _part(reader: Reader, node: Node) -> None:
    """One of several outputs: what gives them was refused, unless it is pooling."""
    reader.same(node, node.args[0])
    if node.args[1] != 0 and str(node.args[0]).startswith("adaptive_max_pool"):
        reader.refuse(node, "places of the largest values", "Use return_indices=False.")


def _unknown(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    kind = str(node.target).removeprefix("aten.").partition(".")[0].rstrip("_")
    way = _WAYS.get(kind, "Replace it by layers the accelerator knows, or leave it out.")
    reader.refuse(node, f"the operation {kind!r}", way)


def _convolution(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    weight, bias = reader.tensor(given["weight"]), reader.tensor(given["bias"])
    if weight is None or (bias is None and given["bias"] is not None):
        return reader.refuse(node, "weights that are worked out", _WORKED_OUT, "fixed weights")
    weight = weight.unsqueeze(2) if weight.ndim == 3 else weight
    weight = spread(weight, _pair(given["dilation"], 1))
    padding = (0, 0)
    if given["padding"] == "same":
        weight, padding = centred(weight)
    elif given["padding"] != "valid":
        padding = _pair(given["padding"], 0)
    bias = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias
    options = (_pair(given["stride"], 1), padding, int(given["groups"]))
    return reader.add(node, Convolution(weight, bias, *options), given["input"])


def _pair(given: Sequence[int], row: int) -> Pair:
    """Of rows and columns; ``row`` is the value of the one row that a line of values has."""
    sizes = tuple(int(size) for size in given)
    return (row, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _linear(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    weight, bias = reader.tensor(given["weight"]), reader.tensor(given["bias"])
    if weight is None or (bias is None and given["bias"] is not None):
        return reader.refuse(node, "weights that are worked out", _WORKED_OUT, "fixed weights")
    if len(shape_of(given["input"])) != 1:
        way = "Put a Flatten before it, or use a convolution with a kernel of 1."
        return reader.refuse(node, "a product along the last axis of an image", way)
    bias = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias
    return reader.add(node, Dense(weight, bias), given["input"])


def _batch_norm(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    mean, variance = reader.tensor(given["running_mean"]), reader.tensor(given["running_var"])
    if mean is None or variance is None or given["training"]:
        way = "Use track_running_stats=True and train once more."
        return reader.refuse(node, "the statistics of its batch", way, "running statistics")
    weight, bias = reader.tensor(given["weight"]), reader.tensor(given["bias"])
    weight = torch.ones_like(mean) if weight is None else weight
    bias = torch.zeros_like(mean) if bias is None else bias
    norm = BatchNorm(weight, bias, mean, variance, float(given["eps"]))
    return reader.add(node, norm, given["input"])


def _relu(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    reader.add(node, ReLU(6.0 if "relu6" in str(node.target) else math.inf), given["self"])


def _clip(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    least = given.get("min_val", given.get("min"))
    most = given.get("max_val", given.get("max"))
    if least != 0 or isinstance(most, Node) or (most is not None and most <= 0):
        way = "Use ReLU or ReLU6 and train once more."
        return reader.refuse(node, f"activations from {least} to {most}", way, "those from 0 on")
    return reader.add(node, ReLU(math.inf if most is None else float(most)), given["self"])


def _max_pool(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    if _overhangs(node, given) or any(step != 1 for step in given["dilation"]):
        way = "Use ceil_mode=False and dilation=1, and train the layers behind it once more."
        return reader.refuse(node, "ceil_mode or dilation of windows", way, "plain windows")
    return reader.add(node, MaxPool(*_windows(given)), given["self"])


def _average_pool(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    window, stride, padding = _windows(given)
    apart = padding != (0, 0) and not given["count_include_pad"]
    if _overhangs(node, given) or apart:
        way = "Use ceil_mode=False and count_include_pad=True, and train once more."
        return reader.refuse(node, "windows of different sizes", way, "windows of one size")
    divisor = int(given.get("divisor_override") or math.prod(window))
    if divisor < 1:
        way = "Use a positive divisor_override."
        return reader.refuse(node, f"divisor_override={divisor}", way, "positive divisors")
    return reader.add(node, AveragePool(window, stride, padding, divisor), given["self"])


def _overhangs(node: Node, given: dict[str, Any]) -> bool:
    """Whether ceil_mode adds windows, which it does where they do not cover the image evenly."""
    plain = (
        (size + 2 * pad - window) // step + 1
        for size, window, step, pad in zip(
            shape_of(given["self"])[1:], *_windows(given), strict=True
        )
    )
    return tuple(plain) != shape_of(node)[1:]


def _windows(given: dict[str, Any]) -> tuple[Pair, Pair, Pair]:
    window = _pair(given["kernel_size"], 1)
    stride = _pair(given["stride"], 1) if given["stride"] else window
    return window, stride, _pair(given["padding"], 0)


def _adaptive(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    window = _even(reader, node, given)
    if window is not None:
        pool = AveragePool(window, window, (0, 0), math.prod(window))
        reader.add(node, pool, given["self"])


def _adaptive_max(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    window = _even(reader, node, given)
    if window is not None:
        reader.add(node, MaxPool(window, window, (0, 0)), given["self"])


def _even(reader: Reader, node: Node, given: dict[str, Any]) -> Pair | None:
    """The windows of adaptive pooling, where they are all alike and apart."""
    rows, columns = shape_of(given["self"])[1:]
    sizes = _pair(given["output_size"], 1)
    if rows % sizes[0] or columns % sizes[1]:
        way = "Choose an output size that divides the image."
        if sizes[0] > rows or sizes[1] > columns:
            way = f"Leave it out and train with {rows} x {columns}, or use larger images."
        return reader.refuse(node, "windows of different sizes", way, "windows of one size")
    return rows // sizes[0], columns // sizes[1]


def _mean(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    rank = given["self"].meta["val"].ndim
    if sorted(axis % rank for axis in given["dim"] or ()) != list(range(2, rank)) or rank < 3:
        way = "Take the mean over all rows and columns, or use AvgPool2d."
        return reader.refuse(node, f"a mean over the axes {given['dim']}", way)
    window = (shape_of(given["self"])[1], shape_of(given["self"])[2])
    pool = AveragePool(window, window, (0, 0), math.prod(window))
    reader.add(node, pool, given["self"])
    if not given["keepdim"]:
        reader.add(node, Flatten(), node, part="_flatten")
    return None


def _add(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    both = (given["self"], given["other"])
    if not all(map(reader.knows, both)):
        source, other = _told_apart(reader, both)
        shift = None if other is None else other * given.get("alpha", 1)
        return line(reader, node, source, shift=shift)
    if given.get("alpha", 1) != 1:
        way = "Put the factor into the layer before it."
        return reader.refuse(node, "a branch times a number", way, "additions of two branches")
    if shape_of(both[0]) != shape_of(both[1]):
        way = "Bring both branches to one shape, say by a convolution with a kernel of 1."
        return reader.refuse(node, "an addition of different shapes", way, "equal shapes")
    return reader.add(node, Add((0, 0)), *both)


def _subtract(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    if reader.knows(given["self"]) and not reader.knows(given["other"]):
        other = constant(reader, given["other"])
        shift = None if other is None else -other * given.get("alpha", 1)
        return line(reader, node, given["self"], shift=shift)
    way = "Train with an addition: the layers before it can turn the sign."
    return reader.refuse(node, "a difference", way, "additions, and differences from constants")


def _multiply(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    both = (given["self"], given["other"])
    if all(map(reader.knows, both)):
        way = "Train without it: spikes gate the adders, so values are multiplied by weights only."
        return reader.refuse(node, "a product of two branches", way)
    source, other = _told_apart(reader, both)
    return line(reader, node, source, gain=other)


def _divide(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    other = constant(reader, given["other"])
    if not reader.knows(given["self"]) or given.get("rounding_mode") or other is None:
        return _unknown(reader, node, given)
    if bool(torch.as_tensor(other == 0).any()):
        way = "Divide by numbers other than 0."
        return reader.refuse(node, "a division by 0", way, "finite numbers")
    return line(reader, node, given["self"], gain=1 / other)


def _told_apart(reader: Reader, both: tuple[Any, Any]) -> tuple[Any, Any]:
    """What depends on the input, and the constant."""
    source, other = both if reader.knows(both[0]) else both[::-1]
    return source, constant(reader, other)


def _reshape(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    source, before, after = given["self"], shape_of(given["self"]), shape_of(node)
    samples = node.meta["val"].shape[0] == source.meta["val"].shape[0]
    if samples and before == after:
        return reader.same(node, source)
    if samples and len(after) == 1:
        return reader.add(node, Flatten(), source)
    if samples and len(after) == 3 and reader.source(source) == INPUT and len(source.users) == 1:
        reader.shape = after  # the order of the values stays: only the shape of an input changes
        return reader.same(node, source)
    way = "Use only torch.flatten(x, 1) between layers."
    return reader.refuse(node, f"a change of shape from {before} to {after}", way)


def _same(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    reader.same(node, next(iter(given.values())))


def _dropout(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    if given["train"]:
        way = "Use nn.Dropout, or pass training=self.training."
        return reader.refuse(node, "dropout in evaluation mode", way, "no random numbers")
    return reader.same(node, given["input"])


_BENT = "Use ReLU and train once more."
_NORM = "Use BatchNorm, whose numbers are fixed after training, and train once more."
_TIME = "Use convolutions over time; spiking recurrent layers go onto the LIF core."
_LAST = "Leave it out at the end: the largest output stays the largest. Inside, use ReLU."
_WAYS = {
    "leaky_relu": _BENT,
    "prelu": _BENT,
    "elu": _BENT,
    "gelu": _BENT,
    "silu": _BENT,
    "mish": _BENT,
    "tanh": _BENT,
    "hardswish": _BENT,
    "softplus": _BENT,
    "layer_norm": _NORM,
    "group_norm": _NORM,
    "instance_norm": _NORM,
    "lstm": _TIME,
    "gru": _TIME,
    "rnn_tanh": _TIME,
    "rnn_relu": _TIME,
    "softmax": _LAST,
    "log_softmax": _LAST,
    "sigmoid": "Use ReLU and train once more, or leave it out at the end.",
    "pad": "Use the padding of the layer behind it.",
    "max_pool2d_with_indices": "Use return_indices=False.",
    "cat": "Add branches up instead of joining them.",
}
_READERS: dict[str, Read] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "relu": _relu,
    "relu6": _relu,
    "hardtanh": _clip,
    "clamp": _clip,
    "clamp_min": _clip,
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "avg_pool1d": _average_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool1d": _adaptive,
    "adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool1d": _adaptive_max,
    "adaptive_max_pool2d": _adaptive_max,
    "mean": _mean,
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "div": _divide,
    "flatten": _reshape,
    "view": _reshape,
    "reshape": _reshape,
    "unflatten": _reshape,
    "unsqueeze": _reshape,
    "squeeze": _reshape,
    "dropout": _dropout,
    "feature_dropout": _dropout,
    "alpha_dropout": _dropout,
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
    "alias": _same,
}
