"""The fused CPU engine: against the bytes it must move, the eager loop and other frameworks.

Each layer runs through autograd with fresh outputs, forward and backward. The limit is the time
of one copy, into existing memory, of half the bytes that the layer's own algorithm reads and
writes: a copy reads and writes each of its bytes once. An allowance times that limit is what the
layer may take.

Beside other frameworks each runs in a process of its own. There the limit is three copies of the
layer's input: read input, output gradient and again input, write output and input gradient.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.benches.core.compare import compared
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task
from spikewright.benches.core.timing import interleaved
from spikewright.engine.cpu.kernel import kept_rows
from spikewright.files import CACHE_VARIABLE
from spikewright.neurons import LIF, CubaLIF, Neuron, learnable
from spikewright.neurons.base import unwrap

SIZES = ((100, 64, 1000), (1000, 16, 512))
ROUNDS = 21
EAGER_ROUNDS = PEER_ROUNDS = 9
FIRST_USE_LIMIT, CACHED_LIMIT, IMPORT_FACTOR = 6.0, 0.5, 1.6 / 0.95
TASKS = tuple(
    Task(net, "train", steps, batch, (neurons,))
    for steps, batch, neurons in SIZES
    for net in ("lif", "cuba")
)


@dataclass(frozen=True)
class Case:
    """One layer at one size.

    Args:
        allowed: how many times the copy of its bytes it may take.
        faster: how many times faster than the eager loop it must be.
    """

    name: str
    make: Callable[[], Neuron]
    size: tuple[int, int, int]
    allowed: float
    faster: float | None


def cases() -> Iterator[Case]:
    """The layers and sizes of the benchmark."""
    for size in SIZES:
        faster = 5.0 if size[0] == 100 else 10.0
        name = "CubaLIF, gradients of input and all parameters"
        yield Case(name, _cuba_lif, size, 2.2, faster)
        yield Case("LIF, gradient of input", lambda: LIF(tau_mem=10e-3), size, 2.0, None)


def rows() -> Iterator[Row]:
    """Measure: speed against copy, eager loop and peers, bytes kept, compile and import times."""
    for case in cases():
        yield from _speed(case)
    yield from compared(TASKS, PEER_ROUNDS)
    yield from _compile_times()
    yield _import_time()


def moved_bytes(layer: Neuron, size: tuple[int, int, int]) -> int:
    """Bytes that a forward and backward pass of ``layer`` must read or write.

    Forward reads the input, writes the output and the state before every block of
    steps; backward reads those states, the input and the output's gradient and writes the
    input's gradient.
    """
    steps, batch, neurons = size
    lanes = batch * neurons
    planes = len(unwrap(layer.State._fields))  # type: ignore[attr-defined]
    learned = sum(1 for _ in layer.parameters())
    edges = 4 * planes * lanes + learned * lanes
    return 4 * (5 * steps * lanes + 2 * kept_rows(steps) * planes * lanes + edges)


def kept_bytes(layer: Neuron, x: Tensor) -> int:
    """Bytes of distinct memory that autograd keeps from a forward pass for the backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive = layer(x)
    del alive
    return sum(kept.values())


def _cuba_lif() -> Neuron:
    values = {"tau_mem": 10e-3, "tau_syn": 5e-3, "v_threshold": 1.0, "v_leak": 0.0}
    values |= {"v_reset": 0.0, "r": 1.0}
    return CubaLIF(**{name: learnable(value) for name, value in values.items()})


def _speed(case: Case) -> Iterator[Row]:
    layer = case.make()
    x, gradient = _data(layer, case.size)
    source = torch.zeros(moved_bytes(layer, case.size) // 8)
    target = torch.ones_like(source)
    timing = interleaved(
        {"ours": lambda: _step(layer, x, gradient), "copy": lambda: target.copy_(source)}, ROUNDS
    )
    ours, copy = timing["ours"].median * 1e3, timing["copy"].median * 1e3
    label = f"{case.name}, T={case.size[0]} B={case.size[1]} N={case.size[2]}"
    megabytes = 2 * source.nbytes / 1e6
    limit = f"{case.allowed:g} × copying its {megabytes:.0f} MB"
    yield Row(f"{label} (± {timing['ours'].spread:.0%})", ours, case.allowed * copy, limit)
    if case.faster is not None:
        yield from _against_eager(case, label)


def _against_eager(case: Case, label: str) -> Iterator[Row]:
    layer, eager = case.make(), case.make()
    eager.backend = "reference"
    x, gradient = _data(layer, case.size)
    eager.build((case.size[2],), 1e-3)
    _check_equal(layer(x)[0], eager(x)[0])
    timing = interleaved(
        {"ours": lambda: _step(layer, x, gradient), "eager": lambda: _step(eager, x, gradient)},
        EAGER_ROUNDS,
        warm_up=1,
    )
    ours, other = timing["ours"].median * 1e3, timing["eager"].median * 1e3
    yield Row(f"{label}, same spikes", ours, other, f"eager loop (to reach: {case.faster:g} ×)")
    kept = kept_bytes(layer, x) / 1e6, kept_bytes(eager, x) / 1e6
    yield Row(f"{label}, kept for the backward pass", *kept, "eager loop", "MB")


def _data(layer: Neuron, size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Input that makes some neurons fire, and a gradient of the output."""
    generator = torch.Generator().manual_seed(0)
    layer.build((size[2],), 1e-3)
    scale = 0.4 if isinstance(layer, CubaLIF) else 1.8
    x = torch.rand(size, generator=generator).mul_(scale).requires_grad_()
    return x, torch.randn(size, generator=generator)


def _step(layer: Neuron, x: Tensor, gradient: Tensor) -> None:
    spikes, _ = layer(x)
    torch.autograd.grad(spikes, [x, *layer.parameters()], gradient)


def _check_equal(ours: Tensor, eager: Tensor) -> None:
    if not torch.equal(ours, eager):
        raise RuntimeError("bench engine: the fused and the eager spikes must be equal")


def _compile_times() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        first, again = (_seconds(_FIRST_USE, {CACHE_VARIABLE: folder}) for _ in range(2))
    yield Row("first forward and backward of a new layer", first, FIRST_USE_LIMIT, "limit", "s")
    yield Row("the same from the cache, new process", again, CACHED_LIMIT, "limit", "s")


def _import_time() -> Row:
    pairs = [
        [_seconds(_IMPORT.format(module=name), {}) for name in ("spikewright", "torch")]
        for _ in range(5)
    ]
    ours, torch_alone = (sorted(column)[2] for column in zip(*pairs, strict=True))
    name = f"{IMPORT_FACTOR:.2f} × import torch ({torch_alone:.2f} s)"
    return Row("import spikewright", ours, IMPORT_FACTOR * torch_alone, name, "s")


_IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
_FIRST_USE = """
import time
import torch
from spikewright.neurons import CubaLIF
layer = CubaLIF()
layer.build((100,), 1e-3)
x = torch.rand(20, 4, 100, requires_grad=True)
t = time.perf_counter()
layer(x)[0].sum().backward()
print(time.perf_counter() - t)
"""


def _seconds(program: str, variables: dict[str, str]) -> float:
    """What a fresh process prints as its time."""
    import os

    run: Any = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)
