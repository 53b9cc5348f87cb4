"""From a framework's neurons to a task, for the frameworks on PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.benches.core.task import NotOffered, Task, Work
from spikewright.benches.peers.core import runs
from spikewright.benches.peers.core.data import layer_input, network_input
from spikewright.benches.peers.core.nets import (
    AllSteps,
    Stack,
    StepByStep,
    Unrolled,
    connections,
)

IN_LOOP, ALL_STEPS = "products in the loop", "products of all steps"
"""Where connections run: step by step with the neurons, or before them for all steps at once."""


class Framework:
    """A framework's neurons, which its file fills in, and networks of them.

    Neurons are modules over sequences, (T, B, *n) to (T, B, *n), or, with ``cells``, modules
    ``(x[t], state) -> (y[t], state)``.

    Args:
        version: what the tables say of it.
        in_loop: whether connections run inside the loop over time, too.
    """

    gain = 1.0
    """What its neurons multiply their input by."""
    cells = True

    def __init__(self, version: str, in_loop: bool = False) -> None:
        self.version, self.in_loop = version, in_loop

    def lif(self, neurons: int) -> nn.Module:
        raise NotImplementedError

    def readout(self, neurons: int) -> nn.Module:
        """Leaky integrators that do not spike."""
        raise NotImplementedError

    def recurrent(self, task: Task) -> nn.Module:
        """LIF neurons with feedback between all of them."""
        raise NotImplementedError

    def cuba(self, neurons: int) -> nn.Module:
        """Current-based neurons with learnable time constants and threshold."""
        raise NotOffered("no current-based neuron with learnable time constants")

    def links(self, task: Task) -> list[nn.Module]:
        """What comes before each layer of neurons."""
        return connections(task, self.gain)

    def begin(self, net: nn.Module) -> None:
        """Forget the state that modules hide, before a sequence."""

    def neurons(self, task: Task) -> Iterator[nn.Module]:
        """A task's layers of neurons, the readout last."""
        if task.layer_alone:
            yield (self.lif if task.net == "lif" else self.cuba)(task.sizes[0])
            return
        for hidden in task.sizes[1:-1]:
            yield self.recurrent(task) if task.net == "recurrent" else self.lif(hidden)
        yield self.readout(task.sizes[-1])

    def network(self, task: Task) -> nn.Module:
        """The task's network over whole sequences."""
        neurons = list(self.neurons(task))
        over_time = [Unrolled(cell) for cell in neurons] if self.cells else neurons
        if task.layer_alone:
            return over_time[0]
        links = self.links(task)
        if self.in_loop:
            return StepByStep(links, neurons)
        return Stack(map(AllSteps, links), over_time)

    def stream(self, task: Task) -> Callable[[Tensor], object]:
        """The network as a function of one step's input, which carries the state on."""
        if not self.cells:
            raise NotOffered("runs whole sequences only")
        net = StepByStep(self.links(task), self.neurons(task))
        states: list[Any] | None = None

        def step(x: Tensor) -> Tensor:
            nonlocal states
            y, states = net.step(x, states)
            return y

        return step

    def work(self, task: Task) -> Work:
        """The task as this framework does it."""
        if task.action == "stream":
            return Work(runs.streaming(self.stream(task), task), list, self.version)
        net = self.network(task)
        net.register_forward_pre_hook(lambda module, _: self.begin(module))
        return Work(self.run(net, task), lambda: self.rates(net, task), self.version)

    def rates(self, net: nn.Module, task: Task) -> list[float]:
        """Share of neurons that spike in a step, for each spiking layer."""
        return mean_outputs(net, task, self.gain)

    def run(self, net: nn.Module, task: Task) -> runs.Run:
        """What is timed."""
        if task.layer_alone:
            return runs.layer(net, task, self.gain)
        return runs.training(net, task) if task.action == "train" else runs.inference(net, task)


def mean_outputs(net: nn.Module, task: Task, gain: float) -> list[float]:
    """Mean output of each hidden layer, or of a layer alone."""
    hidden = [net] if task.layer_alone else list(net.neurons)[:-1]  # type: ignore[arg-type]
    means: list[list[float]] = [[] for _ in hidden]
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, result, found=found: found.append(
                float(runs.output_of(result).detach().mean())
            )
        )
        for module, found in zip(hidden, means, strict=True)
    ]
    with torch.inference_mode():
        net(layer_input(task, gain)[0] if task.layer_alone else network_input(task)[0])
    for hook in hooks:
        hook.remove()
    return [sum(found) / len(found) for found in means]
