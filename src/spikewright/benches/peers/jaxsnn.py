"""jaxsnn, by EventProp on exact event times"""

from __future__ import annotations

from functools import partial
from importlib import metadata
from typing import Any

from spikewright.benches.core.latency import (
    LEARNING_RATE,
    PLAIN,
    SPIKES,
    TAU_MEM,
    TAU_SYN,
    TRIAL,
    numbers,
)
from spikewright.benches.core.task import Task, Work
from spikewright.optional import require

KIND = "peer"
TAU_LOSS = 1e-3


def variants(task: Task) -> tuple[str, ...]:
    """It does none of the work on a time grid."""
    return ("",) if task.net == PLAIN else ()


def prepare(task: Task, variant: str) -> Work:
    """A step of training with a loss on first spikes, all in one jit; one spike a neuron."""
    return _Latency(task).work()


class _Latency:
    def __init__(self, task: Task) -> None:
        self.task, self.given = task, numbers(task)
        self.jax: Any = require("jax", extra="bench")
        self.np: Any = require("jax.numpy", extra="bench")
        self.modules: Any = require("jaxsnn.event.modules", extra="bench")
        self.first_spike: Any = require("jaxsnn.event.loss", extra="bench").first_spike

    def work(self) -> Work:
        training: Any = require("jaxsnn.event.training", extra="bench")
        types: Any = require("jaxsnn.event.types", extra="bench")
        optimiser = require("optax", extra="bench").adam(LEARNING_RATE)
        init, self.apply = self._topology()
        parameters = init(self.jax.random.PRNGKey(0))
        state = types.OptState(optimiser.init(parameters), parameters, None)
        update = self.jax.jit(partial(training.update, optimiser, self._loss))
        batch = (self._input(types.Spike), self.np.asarray(self.given.classes.numpy()))

        def run() -> Any:
            return self.jax.block_until_ready(update(state, batch))

        version = f"{metadata.version('jaxsnn')}, JAX {metadata.version('jax')}"
        return Work(run, list, version)

    def _topology(self) -> Any:
        inputs, hidden, outputs = self.task.sizes
        kinds: Any = require("jaxsnn.event.modules.lif.lif", extra="bench")
        # So low a reset is its way of allowing one spike a neuron.
        cells = kinds.LIFParameters(v_reset=-1000.0, v_th=1.0, tau_syn=TAU_SYN, tau_mem=TAU_MEM)
        into, out = (weight.numpy() for weight in self.given.weights)
        builder = require("jaxsnn.event.topology", extra="bench").Topology(
            t_max=TRIAL, backprop_method="eventprop"
        )
        builder.add(
            {
                "inp": self.modules.Source(inputs),
                "lif1": self.modules.LIF(hidden, SPIKES + hidden, cells),
                "lif2": self.modules.LIF(outputs, hidden + outputs, cells),
                "syn1": self.modules.Linear(pre_weights=into),
                "syn2": self.modules.Linear(pre_weights=out),
            }
        )
        ways = [("inp", "syn1"), ("syn1", "lif1"), ("lif1", "syn2"), ("syn2", "lif2")]
        builder.connect(ways)
        return builder.done()

    def _input(self, kind: Any) -> Any:
        np, shape = self.np, tuple(self.given.times.shape)
        return kind(
            time=np.asarray(self.given.times.numpy()),
            idx=np.asarray(self.given.units.numpy()),
            current=np.zeros(shape),
            layer_idx=np.zeros(shape, dtype=int),
            internal=np.ones(shape, dtype=bool),
        )

    def _loss(self, parameters: Any, batch: Any) -> Any:
        spikes, classes = batch
        events = self.apply({"inp": spikes}, parameters)
        outputs = self.task.sizes[-1]
        first = self.jax.vmap(self.first_spike, in_axes=(0, None))(events["lif2"], outputs)
        times = self.np.minimum(first, TRIAL)
        chances = self.jax.nn.log_softmax(-times / TAU_LOSS)
        return -chances[self.np.arange(len(classes)), classes].mean(), (times, events)
