"""NIR graphs simulated in NumPy float64, literally from NIR's equations by explicit Euler.

Knows nothing of our code. IF and I take their input as the charge of a step, as every simulator
that writes NIR does. Edges in ``late`` carry the value of the step before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import nir
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
Edge = tuple[str, str]


def simulate(graph: Any, x: Array, dt: float, late: Collection[Edge] = ()) -> dict[str, Array]:
    """All nodes' outputs, (time, *features), for an input (time, *features)."""
    memory: dict[str, dict[str, Any]] = {name: {} for name in graph.nodes}
    before = {a: np.zeros(graph.nodes[a].output_type["output"]) for a, _ in late}
    traces: dict[str, list[Array]] = {name: [] for name in graph.nodes}
    for row in x:
        now: dict[str, Array] = {}
        for name in _order(graph, late):
            node = graph.nodes[name]
            if isinstance(node, nir.Input):
                now[name] = np.asarray(row, dtype=np.float64)
            else:
                total: Any = 0.0
                for source in (a for a, b in graph.edges if b == name):
                    is_late = (source, name) in late
                    total = total + (before[source] if is_late else now[source])
                now[name] = step(node, total, memory[name], dt)
            traces[name].append(now[name])
        before = now
    return {name: np.array(values) for name, values in traces.items()}


def _order(graph: Any, late: Collection[Edge]) -> list[str]:
    """Nodes, each after those it needs in the same step."""
    waiting, order = list(graph.nodes), []
    needs = {n: {a for a, b in graph.edges if b == n and (a, b) not in late} for n in waiting}
    while waiting:
        ready = next(name for name in waiting if needs[name] <= set(order))
        order.append(ready)
        waiting.remove(ready)
    return order


def step(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    """One step of one node; ``m`` is what it remembers."""
    return _STEPS[type(node).__name__](node, x, m, dt)


def _fire(node: Any, m: dict[str, Any]) -> Array:
    spikes = m["v"] > node.v_threshold
    m["v"] = np.where(spikes, node.v_reset, m["v"])
    return spikes.astype(np.float64)


def _leak(node: Any, x: Any, m: dict[str, Any], dt: float, tau: Any) -> None:
    v = m.get("v", node.v_leak + np.zeros(np.shape(x)))
    m["v"] = v + dt / tau * (node.v_leak - v + node.r * x)


def _cuba(node: Any, x: Any, m: dict[str, Any], dt: float) -> None:
    i = m.get("i", np.zeros(np.shape(x)))
    m["i"] = i + dt / node.tau_syn * (node.w_in * x - i)
    _leak(node, m["i"], m, dt, node.tau_mem)


def lif(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    _leak(node, x, m, dt, node.tau)
    return _fire(node, m)


def li(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    _leak(node, x, m, dt, node.tau)
    return m["v"]


def cuba_lif(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    _cuba(node, x, m, dt)
    return _fire(node, m)


def cuba_li(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    _cuba(node, x, m, dt)
    return m["v"]


def integrator(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    m["v"] = m.get("v", 0.0) + node.r * x
    return m["v"]


def integrate_and_fire(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    integrator(node, x, m, dt)
    return _fire(node, m)


def delay(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    past = m.setdefault("past", [])
    past.append(np.array(x))
    steps = np.broadcast_to(np.round(node.delay / dt).astype(int), np.shape(x))
    out = np.zeros(np.shape(x))
    for place in np.ndindex(out.shape):
        index = len(past) - 1 - steps[place]
        out[place] = past[index][place] if index >= 0 else 0.0
    return out


def flatten(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    first, last = (axis % x.ndim for axis in (node.start_dim, node.end_dim))
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


def windows(x: Array, size: Any, stride: Any, padding: Any, dilation: Any) -> Array:
    """(channels, *places, *size) of zero-padded features (channels, *sizes)."""
    reach = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
    if isinstance(padding, str):
        zeros = [(r // 2, r - r // 2) if padding == "same" else (0, 0) for r in reach]
    else:
        zeros = [(p, p) for p in padding]
    padded = np.pad(x, [(0, 0), *zeros])
    axes = tuple(range(1, x.ndim))
    view = sliding_window_view(padded, [r + 1 for r in reach], axis=axes)
    picks = [slice(None), *(slice(None, None, s) for s in stride)]
    return view[(*picks, *(slice(None, None, d) for d in dilation))]


def per_axis(value: Any, axes: int) -> Any:
    if isinstance(value, str):
        return value
    return tuple(int(v) for v in np.broadcast_to(np.asarray(value), (axes,)))


def convolve(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    axes = node.weight.ndim - 2
    stride, padding, dilation = (
        per_axis(getattr(node, name), axes) for name in ("stride", "padding", "dilation")
    )
    view = windows(x, node.weight.shape[2:], stride, padding, dilation)
    width, inputs = len(node.weight) // node.groups, node.weight.shape[1]
    out: list[Array] = []
    for k in range(node.groups):
        group = view[k * inputs : (k + 1) * inputs]
        rows = np.moveaxis(group, 0, axes).reshape(*group.shape[1 : 1 + axes], -1)
        kernels = node.weight[k * width : (k + 1) * width].reshape(width, -1)
        out.extend(np.moveaxis(rows @ kernels.T.astype(np.float64), -1, 0))
    return np.array(out) + node.bias.reshape(-1, *(1,) * axes)


def pool(node: Any, x: Any, m: dict[str, Any], dt: float) -> Array:
    sizes = (per_axis(v, 2) for v in (node.kernel_size, node.stride, node.padding))
    view = windows(x, *sizes, (1, 1))
    return view.sum((-1, -2)) if isinstance(node, nir.SumPool2d) else view.mean((-1, -2))


_STEPS: dict[str, Any] = {
    "LIF": lif,
    "LI": li,
    "CubaLIF": cuba_lif,
    "CubaLI": cuba_li,
    "I": integrator,
    "IF": integrate_and_fire,
    "Delay": delay,
    "Flatten": flatten,
    "Conv1d": convolve,
    "Conv2d": convolve,
    "AvgPool2d": pool,
    "SumPool2d": pool,
    "Affine": lambda node, x, m, dt: node.weight @ x + node.bias,
    "Linear": lambda node, x, m, dt: node.weight @ x,
    "Scale": lambda node, x, m, dt: node.scale * x,
    "Threshold": lambda node, x, m, dt: (x > node.threshold).astype(np.float64),
    "Output": lambda node, x, m, dt: np.asarray(x),
}
