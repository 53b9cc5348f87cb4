"""The ReLU network of the same shape as a spiking one, on the very same parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.func import functional_call

from spikewright.connections import BatchNorm, Dropout
from spikewright.engine.layer import Layer, State
from spikewright.learning.proxy.output import substitute
from spikewright.network import INPUT, Network, sum_inputs
from spikewright.neurons import IF

Statistics = dict[str, dict[str, Tensor]]
"""Running mean and variance of the twin's batch norms, by layer."""

FIELDS = ("running_mean", "running_var")


class Twin(nn.Module):
    """A spiking network with a ReLU for each layer of `IF`, and none at the output.

    A neuron with input z fires up to z r / q times a step, q the charge that a spike takes away
    (v_threshold, or v_threshold - v_reset where it is set to v_reset). So

        a = max(0, r z / q)   in place of a hidden layer of neurons, and r z / q of the last one,

    is the rate of neurons that never saturate; with ``saturating`` a ends at the most spikes that
    a neuron fires in a step. One step stands for all.

    The twin has no layers and no parameters of its own: it reads those of the network, whatever
    device or dtype they move to. Of batch norms it has the running statistics alone.

    Args:
        network: what `Proxy` can train.
        statistics: of the batch norms, changed in place while they are in training mode; by
            default a copy of the network's.
        saturating: whether activations end where neurons cannot fire more.

    >>> import torch
    >>> from spikewright import IF, Linear, Sequential
    >>> net = Sequential(Linear(3, 4), IF(), Linear(4, 2), IF(), dt=1e-3)
    >>> twin = Twin(net)
    >>> all(a is b for a, b in zip(twin.parameters(), net.parameters(), strict=True))
    True
    >>> twin(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        network: Network,
        statistics: Statistics | None = None,
        saturating: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.statistics = copy_statistics(network) if statistics is None else statistics
        self.saturating = saturating

    def forward(
        self,
        x: Tensor,
        masks: Mapping[str, State] | None = None,
        rates: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The output for ``x`` (batch, *features), (batch, classes)."""
        return self.run(x, masks, rates)[next(reversed(self.network.layers))]

    def run(
        self,
        x: Tensor,
        masks: Mapping[str, State] | None = None,
        rates: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The output of every layer by name, (batch, *n).

        Args:
            x: one step of a constant current, (batch, *features).
            masks: of the layers of `Dropout`, for those that the spiking network drew.
            rates: spikes a step of hidden layers of neurons by name, (batch, *n), put in place
                of their activations, which keep the gradient.
        """
        values: dict[str, Tensor] = {INPUT: x}
        last = next(reversed(self.network.layers))
        for name, layer in self.network.layers.items():
            total = sum_inputs([values[source] for source in self.network.sources[name]])
            if isinstance(layer, IF):
                rate = drive(layer, total)
                most = layer.firing.max_spikes if self.saturating else None
                values[name] = rate if name == last else rate.clamp(0, most)
                if rates is not None and name != last:
                    values[name] = substitute(values[name], rates[name])
            else:
                state = (masks or {}).get(name) if isinstance(layer, Dropout) else None
                values[name] = self._connect(name, layer, total, state)
        del values[INPUT]
        return values

    def _connect(self, name: str, layer: Layer, x: Tensor, state: State) -> Tensor:
        step = x.unsqueeze(0)
        if isinstance(layer, BatchNorm):
            moved = {f: v.to(layer.running_mean) for f, v in self.statistics[name].items()}
            self.statistics[name] = moved
            return functional_call(layer, moved, (step,))[0][0]
        return layer(step, state)[0][0]


def drive(layer: IF, z: Tensor) -> Tensor:
    """r z / q: the spikes a step that an input z would be worth without silence or saturation."""
    params = layer.params()
    kept = params.v_reset if layer.firing.reset == "to_value" else 0.0
    return z * (params.r / (params.v_threshold - kept))


def batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """The layers of batch norm by name."""
    layers = network.layers if isinstance(network, Network) else {}
    return {name: layer for name, layer in layers.items() if isinstance(layer, BatchNorm)}


def copy_statistics(network: nn.Module) -> Statistics:
    """The running statistics of the network's own batch norms, copied."""
    return {
        name: {field: getattr(layer, field).detach().clone() for field in FIELDS}
        for name, layer in batch_norms(network).items()
    }


@contextmanager
def norms_frozen(network: nn.Module, frozen: bool) -> Iterator[None]:
    """Batch norms use their running statistics in the block, if ``frozen``."""
    before = {layer: layer.training for layer in batch_norms(network).values()}
    try:
        for layer, training in before.items():
            layer.training = training and not frozen
        yield
    finally:
        for layer, training in before.items():
            layer.training = training
