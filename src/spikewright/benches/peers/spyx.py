"""Spyx (JAX)"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

from torch import Tensor

from spikewright.benches.core.task import DECAY, Task, Work
from spikewright.benches.peers.core.data import layer_input, network_input, weights
from spikewright.benches.peers.core.runs import LEARNING_RATE
from spikewright.optional import require

KIND = "peer"


class Spyx:
    """Neurons in `spyx.nn.run`, connections for all steps at once, everything in one jit.

    Decays are constants, as with the others; in Spyx they are parameters unless held so.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.jax: Any = require("jax", extra="bench")
        self.np: Any = require("jax.numpy", extra="bench")
        self.nnx: Any = require("flax.nnx", extra="bench")
        self.snn: Any = require("spyx.nn", extra="bench")
        spike = require("spyx.axn", extra="bench").superspike()
        self.options = {"activation": spike, "rngs": self.nnx.Rngs(0)}
        self.version = f"{metadata.version('spyx')}, JAX {metadata.version('jax')}"

    def work(self) -> Work:
        """The task in Spyx."""
        if self.task.layer_alone:
            return self._layer()
        network = _Network(self)
        run = {"train": network.training, "infer": network.inference, "stream": network.streaming}
        return Work(run[self.task.action](), network.rates, self.version)

    def array(self, tensor: Tensor) -> Any:
        """A torch tensor as one of JAX."""
        return self.np.asarray(tensor.detach().numpy())

    def _layer(self) -> Work:
        cuba = self.task.net == "cuba"
        make = self.snn.CuBaLIF if cuba else self.snn.LIF
        synapse = {"alpha": 0.8} if cuba else {}
        layer = make(self.task.sizes, beta=DECAY, **synapse, **self.options)
        definition, state = self.nnx.split(layer)
        x, gradient = map(self.array, layer_input(self.task))

        def forward(state: Any, x: Any) -> Any:
            return self.snn.run(self.nnx.merge(definition, state), x)[0]

        def both(state: Any, x: Any, gradient: Any) -> Any:
            spikes, pull = self.jax.vjp(forward, state, x)
            gradients = pull(gradient)
            return spikes, gradients if cuba else gradients[1]

        step = self.jax.jit(both)

        def run() -> Any:
            return self.jax.block_until_ready(step(state, x, gradient))

        return Work(run, lambda: [float(run()[0].mean())], self.version)


class _Network:
    """Parameters are weights, biases and feedback; each layer's neurons a definition and state."""

    def __init__(self, peer: Spyx) -> None:
        self.peer, self.jax, self.np, self.nnx = peer, peer.jax, peer.np, peer.nnx
        task = peer.task
        values = [peer.array(value) for value in weights(task)]
        self.feedback = [values.pop().T] if task.net == "recurrent" else []
        biases = [self.np.zeros(len(value)) for value in values]
        self.parameters = {"w": values, "b": biases, "feedback": self.feedback}
        x, classes = network_input(task)
        x = x.movedim(2, -1) if task.net == "conv" else x
        self.x, self.classes = peer.array(x), peer.array(classes)
        self.layers = [self.nnx.split(layer) for layer in self.made_layers()]

    def neurons(self, parameters: Any) -> list[Any]:
        """The layers of neurons, the readout last, with the feedback among the parameters."""
        layers = [self.nnx.merge(*layer) for layer in self.layers]
        for weight in parameters["feedback"]:
            layers[0].recurrent_w = self.nnx.Param(weight)
        return layers

    def made_layers(self) -> list[Any]:
        snn, task, options = self.peer.snn, self.peer.task, self.peer.options
        hidden = snn.RLIF if task.net == "recurrent" else snn.LIF
        layers = [hidden(shape, beta=DECAY, **options) for shape in self.hidden_shapes()]
        return [*layers, snn.LI((task.sizes[-1],), beta=DECAY, rngs=options["rngs"])]

    def hidden_shapes(self) -> list[tuple[int, ...]]:
        task = self.peer.task
        if task.net != "conv":
            return [task.sizes[1:2]]
        side, first, second, _ = task.sizes
        pooled = (side - 4) // 2
        return [(side - 4, side - 4, first), (pooled - 4, pooled - 4, second)]

    def link(self, place: int, x: Any, parameters: Any) -> Any:
        """The product or convolution before layer ``place``, for any leading axes."""
        w, b = parameters["w"][place], parameters["b"][place]
        if self.peer.task.net != "conv":
            return x @ w.T + b
        images = x.reshape(-1, *x.shape[-3:])
        if place:
            window = (1, 2, 2, 1)
            images = self.jax.lax.reduce_window(
                images, -self.np.inf, self.jax.lax.max, window, window, "VALID"
            )
        if w.ndim == 2:
            return images.reshape(*x.shape[:-3], -1) @ w.T + b
        layout = ("NHWC", "OIHW", "NHWC")
        y = self.jax.lax.conv_general_dilated(images, w, (1, 1), "VALID", dimension_numbers=layout)
        return y.reshape(*x.shape[:-3], *y.shape[1:]) + b

    def forward(self, parameters: Any, x: Any) -> tuple[Any, list[Any]]:
        """Readout over all steps, (T, B, outputs), and the rate of each hidden layer."""
        rates: list[Any] = []
        for place, neurons in enumerate(self.neurons(parameters)):
            x = self.peer.snn.run(neurons, self.link(place, x, parameters))[0]
            rates.append(x.mean())
        return x, rates[:-1]

    def rates(self) -> list[float]:
        return [float(rate) for rate in self.forward(self.parameters, self.x)[1]]

    def training(self) -> Callable[[], object]:
        optax: Any = require("optax", extra="bench")
        optimiser = optax.adam(LEARNING_RATE)
        now = [self.parameters, optimiser.init(self.parameters)]

        def loss(parameters: Any, x: Any, classes: Any) -> Any:
            mean = self.forward(parameters, x)[0].mean(0)
            return optax.softmax_cross_entropy_with_integer_labels(mean, classes).mean()

        def step(parameters: Any, moments: Any, x: Any, classes: Any) -> Any:
            gradient = self.jax.grad(loss)(parameters, x, classes)
            updates, moments = optimiser.update(gradient, moments)
            return optax.apply_updates(parameters, updates), moments

        compiled = self.jax.jit(step)

        def run() -> None:
            now[:] = self.jax.block_until_ready(compiled(*now, self.x, self.classes))

        return run

    def inference(self) -> Callable[[], object]:
        compiled = self.jax.jit(lambda parameters, x: self.forward(parameters, x)[0].mean(0))
        return lambda: self.jax.block_until_ready(compiled(self.parameters, self.x))

    def streaming(self) -> Callable[[], object]:
        def step(parameters: Any, states: Any, x: Any) -> Any:
            after: list[Any] = []
            for place, neurons in enumerate(self.neurons(parameters)):
                x, state = neurons(self.link(place, x, parameters), states[place])
                after.append(state)
            return x, after

        compiled = self.jax.jit(step)
        batch, rows = self.peer.task.batch, list(self.x)
        states = [n.initial_state(batch) for n in self.neurons(self.parameters)]

        def run() -> None:
            nonlocal states
            for row in rows:
                y, states = compiled(self.parameters, states, row)
                y.block_until_ready()

        return run


def prepare(task: Task, variant: str) -> Work:
    """The task in Spyx."""
    return Spyx(task).work()
