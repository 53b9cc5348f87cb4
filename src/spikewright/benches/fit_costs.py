"""What products cost on this machine, dense and event by event: a table for training to use.

``spikewright bench fit-costs --json FILE`` writes the table that ``costs = FILE`` in the settings
of a training run, or `spikewright.engine.products.costs.read_costs`, takes. Each row is a cost in
ns on one core, beside the shipped one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from spikewright.benches.core.row import Row
from spikewright.engine.products import conv_events
from spikewright.engine.products.costs import SHIPPED
from spikewright.engine.products.events import Events, events_in
from spikewright.engine.products.geometry import convolution
from spikewright.engine.products.linear import (
    flipped,
    listed_input_gradient,
    product,
    weight_gradient,
)

Array = np.ndarray[Any, Any]
ROWS = (64, 16)
"""Steps and samples of the inputs."""
DENSITIES = (0.002, 0.01, 0.05, 0.2)
SIZES = ((256, 32), (700, 256), (512, 512), (128, 1024))
"""Inputs and outputs."""
IMAGES = ((2, 32, 20), (16, 32, 14), (32, 64, 8))
"""Channels in and out, and the side of an image."""
REPEATS = 7


@dataclass(frozen=True)
class Sample:
    """A measured time (ns) and how often it pays each of some costs."""

    nanoseconds: float
    times: tuple[float, ...]


def rows() -> Iterator[Row]:
    """Measure all costs, beside the shipped ones."""
    fitted = fit()
    for name, shipped in asdict(SHIPPED).items():
        yield Row(name, fitted[name], shipped, "shipped table", "ns")


def fit() -> dict[str, float]:
    """Each cost of a `Costs` table, ns, by least squares on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return asdict(SHIPPED) | _fit_linear() | _fit_convolution()
    finally:
        torch.set_num_threads(before)


def _fit_linear() -> dict[str, float]:
    cases = [_measure(*size, density) for size in SIZES for density in DENSITIES]
    costs = {name: least_squares([case[name] for case in cases]) for name in cases[0]}
    event, add, row = costs["forward"]
    return {
        "dense": costs["dense"][0],
        "read": costs["read"][0],
        "event": event,
        "add": add,
        "row": row,
        "add_gradient": costs["gradient"][1],
        "dot": costs["listed"][1],
    }


def _fit_convolution() -> dict[str, float]:
    cases = [_measure_convolution(*size, density) for size in IMAGES for density in DENSITIES]
    event, add, row = least_squares([forward for forward, _ in cases])
    return {
        "conv_event": event,
        "conv_add": add,
        "conv_row": row,
        "conv_gradient": least_squares([gradient for _, gradient in cases])[1],
    }


def _measure_convolution(
    inputs: int, outputs: int, side: int, density: float
) -> tuple[Sample, Sample]:
    """A convolution of images with kernels of 3 by 3: forward, and the weights' gradient."""
    conv = convolution((inputs, side, side), (outputs, inputs, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    _, events = _spikes(inputs * side**2, density)
    weight, y = torch.randn(outputs, inputs, 3, 3), torch.empty(events.rows, *conv.shape)
    pays = (events.number, events.number * conv.added, y.numel())
    return (
        _sample(lambda: conv_events.product(conv, events, weight, None, y), pays),
        _sample(lambda: conv_events.weight_gradient(conv, events, y), pays),
    )


def _measure(inputs: int, outputs: int, density: float) -> dict[str, Sample]:
    """Each kind of product of one size: its time, and what it pays."""
    x, events = _spikes(inputs, density)
    values = np.random.default_rng(0).standard_normal((events.rows, outputs), np.float32)
    weight = torch.randn(outputs, inputs)
    by_input, bias = flipped(weight.numpy()), np.zeros(outputs, np.float32)
    y, n, r = np.empty_like(values), events.number, events.rows
    return {
        "dense": _sample(lambda: functional.linear(x, weight), (r * inputs * outputs,)),
        "read": _sample(lambda: events_in(x), (x.numel(), n)),
        "forward": _sample(
            lambda: product(events, flipped(weight.numpy()), bias, y),
            (n, n * outputs, (r + inputs) * outputs),
        ),
        "gradient": _sample(
            lambda: weight_gradient(events, values), (n, n * outputs, inputs * outputs)
        ),
        "listed": _sample(
            lambda: listed_input_gradient(events, by_input, values), (n, n * outputs, r * inputs)
        ),
    }


def _spikes(inputs: int, density: float) -> tuple[torch.Tensor, Events]:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(*ROWS, inputs, generator=generator) < density).float()
    events = events_in(x)
    assert events is not None
    return x, events


def _sample(call: Callable[[], object], times: tuple[float, ...]) -> Sample:
    """The best of some calls: what disturbs a timing only makes it longer."""
    taken: list[float] = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return Sample(min(taken[1:]) * 1e9, times)


def least_squares(samples: Sequence[Sample]) -> list[float]:
    """The costs that explain the times, each sample weighed by its own time; none below zero.

    >>> least_squares([Sample(7.0, (1, 2)), Sample(8.0, (2, 1)), Sample(15.0, (3, 3))])
    [3.0, 2.0]
    """
    from scipy.optimize import nnls

    matrix = np.array([s.times for s in samples]) / np.array([[s.nanoseconds] for s in samples])
    found, _ = nnls(matrix, np.ones(len(samples)))
    least = 1e-6
    return [round(max(float(cost), least), 9) for cost in found]
