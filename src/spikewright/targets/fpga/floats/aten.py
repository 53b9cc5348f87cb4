"""The ATen operations that the accelerator knows, one function each."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Node

from spikewright.targets.fpga.floats.network import AveragePool, BatchNorm, ReLU
from spikewright.targets.fpga.floats.reader import Reader, arguments, shape_of
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
            return  # worked out from parameters: whoever uses it as a weight is refused
        if node.target is operator.getitem:
            reader.same(node, node.args[0])  # of several outputs: what gives them was refused
            return
        schema: Any = getattr(node.target, "_schema", None)
        given = {} if schema is None else arguments(node)
        _READERS.get(kind.rstrip("_"), _unknown)(reader, node, given)


def _output(reader: Reader, node: Node) -> None:
    results: Any = node.args[0]
    if isinstance(results, Sequence) and len(results) == 1 and reader.knows(results[0]):
        reader.output = reader.source(results[0])


def _unknown(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    kind = str(node.target).removeprefix("aten.").partition(".")[0].rstrip("_")
    way = _WAYS.get(kind, "Replace it by layers the accelerator knows, or leave it out.")
    reader.refuse(node, f"the operation {kind!r}", way)


def _convolution(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    weight, bias = reader.tensor(given["weight"]), reader.tensor(given["bias"])
    if weight is None or (bias is None and given["bias"] is not None):
        return reader.refuse(node, "weights that are worked out", _WORKED_OUT, "fixed weights")
    taps = tuple(weight.shape[2:])
    padding = _padding(given["padding"], taps)
    if padding is None:
        way = "Use an odd kernel, or give padding as a number."
        return reader.refuse(node, "more padding on one side", way, "padding alike on both sides")
    if any(step != 1 for step in given["dilation"]):
        way = "Use a larger kernel or a stride."
        return reader.refuse(node, f"dilation {given['dilation']}", way, "taps side by side")
    weight = weight.unsqueeze(2) if len(taps) == 1 else weight
    bias = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias
    options = (_pair(given["stride"], 1), _pair(padding, 0), int(given["groups"]))
    return reader.add(node, Convolution(weight, bias, *options), given["input"])


def _padding(given: Any, taps: tuple[int, ...]) -> tuple[int, ...] | None:
    """Zeros on each side; ``None`` if the sides differ."""
    if given == "valid":
        return (0,) * len(taps)
    if given == "same":
        return None if any(size % 2 == 0 for size in taps) else tuple(s // 2 for s in taps)
    return tuple(given)


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
    reader.add(node, ReLU(), given["self"])


def _max_pool(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    if given["ceil_mode"] or any(step != 1 for step in given["dilation"]):
        way = "Use ceil_mode=False and dilation=1."
        return reader.refuse(node, "ceil_mode or dilation of windows", way, "plain windows")
    return reader.add(node, MaxPool(*_windows(given)), given["self"])


def _average_pool(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    window, stride, padding = _windows(given)
    apart = padding != (0, 0) and not given["count_include_pad"]
    if given["ceil_mode"] or apart:
        way = "Use ceil_mode=False and count_include_pad=True."
        return reader.refuse(node, "windows of different sizes", way, "windows of one size")
    divisor = int(given.get("divisor_override") or math.prod(window))
    if divisor < 1:
        way = "Use a positive divisor_override."
        return reader.refuse(node, f"divisor_override={divisor}", way, "positive divisors")
    return reader.add(node, AveragePool(window, stride, padding, divisor), given["self"])


def _windows(given: dict[str, Any]) -> tuple[Pair, Pair, Pair]:
    window = _pair(given["kernel_size"], 1)
    stride = _pair(given["stride"], 1) if given["stride"] else window
    return window, stride, _pair(given["padding"], 0)


def _adaptive(reader: Reader, node: Node, given: dict[str, Any]) -> None:
    rows, columns = shape_of(given["self"])[1:]
    sizes = _pair(given["output_size"], 1)
    if rows % sizes[0] or columns % sizes[1]:
        way = "Choose an output size that divides the image."
        return reader.refuse(node, "windows of different sizes", way, "windows of one size")
    window = (rows // sizes[0], columns // sizes[1])
    pool = AveragePool(window, window, (0, 0), math.prod(window))
    return reader.add(node, pool, given["self"])


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
    if not all(map(reader.knows, both)) or given["alpha"] != 1:
        way = "Put the number into the bias of the layer before it."
        return reader.refuse(node, "the addition of a number", way, "additions of two branches")
    if shape_of(both[0]) != shape_of(both[1]):
        way = "Bring both branches to one shape, say by a convolution with a kernel of 1."
        return reader.refuse(node, "an addition of different shapes", way, "equal shapes")
    return reader.add(node, Add((0, 0)), *both)


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


_CLIPPED = "Use ReLU and train once more; activations saturate at the calibrated range anyway."
_LAST = "Leave it out at the end: the largest output stays the largest. Inside, use ReLU."
_WAYS = {
    "hardtanh": _CLIPPED,
    "relu6": _CLIPPED,
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
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "avg_pool1d": _average_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool1d": _adaptive,
    "adaptive_avg_pool2d": _adaptive,
    "mean": _mean,
    "add": _add,
    "flatten": _reshape,
    "view": _reshape,
    "reshape": _reshape,
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
