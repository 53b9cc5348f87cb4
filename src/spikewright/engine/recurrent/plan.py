"""The kernels of a recurrent layer: printed once for each kind of step and connection."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import torch

from spikewright.engine import cache
from spikewright.engine.cpu.backend import stored_plan
from spikewright.engine.recurrent.kernel import backward_source, forward_source
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.tracing.trace import Needs, Slots, Step, trace_reach, trace_step


@dataclass
class RecurrentPlan:
    """The kernels of one step for one kind of arguments; compiled when first called.

    Args:
        sources: printed code, ``forward``, and if a gradient is needed ``backward``.
        outputs: trailing shape of each output.
        single: whether the step returns one tensor rather than a tuple.
        local: whether the kernels know where a gradient of the spikes is of use.
    """

    sources: dict[str, str]
    outputs: list[tuple[int, ...]]
    single: bool
    local: bool
    needs: Needs | None
    compiled: dict[str, cache.Kernel] = field(default_factory=dict[str, cache.Kernel])

    def kernel(self, name: str) -> cache.Kernel:
        if name not in self.compiled:
            self.compiled[name] = cache.load_kernel(self.sources[name], name)
        return self.compiled[name]


@functools.lru_cache(maxsize=512)
def find_recurrent_plan(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None, kind: str
) -> RecurrentPlan:
    """The kernels for ``step`` with spikes that travel as ``kind`` says."""
    make = functools.partial(_make_plan, step, slots, surrogate, needs, kind)
    stored = stored_plan(make, step, slots, surrogate, (needs, "recurrent", kind))
    outputs = [tuple(shape) for shape in stored["outputs"]]
    return RecurrentPlan(stored["sources"], outputs, stored["single"], stored["local"], needs)


def _make_plan(
    step: Step, slots: Slots, surrogate: SurrogateGradient, needs: Needs | None, kind: str
) -> dict[str, Any]:
    graphs = trace_step(step, slots, surrogate, needs)
    local = needs is not None and _vanishes(surrogate)
    reach = trace_reach(step, slots, surrogate, needs) if needs and local else None
    sources = {"forward": forward_source(graphs, kind, reach)}
    if needs is not None:
        sources["backward"] = backward_source(graphs, needs, kind, local)
    return {
        "sources": sources,
        "outputs": [list(shape) for shape in graphs.outputs],
        "single": graphs.single,
        "local": local,
    }


def _vanishes(surrogate: SurrogateGradient) -> bool:
    """Whether the derivative is exactly zero away from the threshold."""
    if surrogate.window is not None:
        return True
    far = torch.tensor(8 * surrogate.width, dtype=torch.float64)
    return not bool(surrogate.derivative(far))
