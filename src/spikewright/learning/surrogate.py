"""Training by surrogate gradients: backpropagation through time with a stand-in for the spike."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.borrow import in_mode
from spikewright.coding import Count, Decoder, Mean, decoder_by_name
from spikewright.engine.segments import Memory, check_memory
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import ParameterError, RuleError
from spikewright.learning.losses import CrossEntropy, Loss
from spikewright.learning.optimisation import (
    Optimisation,
    descend,
    start_state,
    take_optimisation,
    trainable,
)
from spikewright.learning.processes import average_gradients
from spikewright.learning.regularisers import SpikeRate, check_layers
from spikewright.learning.rewiring import DeepR
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.learning.shortage import shortage_explained
from spikewright.learning.spread import SpreadSchedule, spread_layers, spreading
from spikewright.learning.window import WindowSchedule, acting
from spikewright.network import COUNTS, Network, Run

OPTIONS = (
    "decoder",
    "loss",
    "surrogate",
    "window",
    "spread",
    "regularisers",
    "rewiring",
    "memory",
    "truncate",
)


class Surrogate:
    """Learning rule: backpropagation through time with surrogate derivatives of the spikes.

    The loss is a mean over the batch. Neftci, Mostafa and Zenke, IEEE Signal Processing Magazine
    36(6), 2019.

    Args:
        decoder: turns the output into class scores; by default the spike count of a spiking
            output and the mean over time of a membrane, or the one that the loss needs.
        loss: of output, scores and targets.
        surrogate: takes the place of each neuron's own surrogate derivative.
        window: widens the window of that ``surrogate`` at the start of training.
        spread: narrows the Gaussian around the delays that have one while training goes on.
        regularisers: of the spikes of the layers, added to the loss.
        rewiring: keeps the number of active connections fixed and learns which; see `DeepR`.
        optimisation: an `Optimisation`, or give its fields: ``learning_rate=2e-3``.
        memory: ``"full"`` or ``"checkpoint"``, see `spikewright.Network.run`: the gradient is the
            same, memory grows with the square root of the steps, and the forward pass runs twice.
        truncate: steps after which no gradient passes on; ``None`` for the whole sequence. The
            loss is that of the whole output: each chunk gets the gradient of its own outputs.
            With ``memory="checkpoint"`` one chunk at a time is in memory, with ``"full"`` all.

    Raises:
        ParameterError: an option is unknown or outside its range.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> net = Sequential(Linear(4, 20), LIF(tau_mem=5e-3), Linear(20, 2), LI(), dt=1e-3)
    >>> rule = Surrogate(learning_rate=1e-2)
    >>> state = rule.init(net)
    >>> batch = Batch(torch.rand(20, 8, 4), torch.tensor([0, 1] * 4))
    >>> losses = []
    >>> for _ in range(10):
    ...     metrics, state = rule.train_batch(net, batch, state)
    ...     losses.append(float(metrics["loss"]))
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(  # noqa: PLR0913 - one for each part that a user may choose
        self,
        *,
        decoder: Decoder | None = None,
        loss: Loss | None = None,
        surrogate: SurrogateGradient | None = None,
        window: WindowSchedule | None = None,
        spread: SpreadSchedule | None = None,
        regularisers: tuple[SpikeRate, ...] = (),
        rewiring: DeepR | None = None,
        optimisation: Optimisation | None = None,
        memory: Memory = "full",
        truncate: int | None = None,
        **fields: Any,
    ) -> None:
        self.optimisation = take_optimisation("Surrogate", optimisation, fields, OPTIONS)
        if window is not None and (surrogate is None or surrogate.window is None):
            raise ParameterError(
                f"Surrogate: window must come with a surrogate that has one, got {surrogate!r}. "
                "Pass surrogate=sw.surrogate.SuperSpike(width=0.01, window=0.2), say."
            )
        self.decoder, self.loss = decoder, loss or CrossEntropy()
        self.surrogate, self.window, self.spread = surrogate, window, spread
        self.regularisers = tuple(regularisers)
        self.rewiring = rewiring
        check_memory("Surrogate", memory, truncate)
        self.memory: Memory = memory
        self.truncate = truncate

    def __repr__(self) -> str:
        fields = (*OPTIONS, "optimisation")
        return f"Surrogate({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"

    def with_memory(self, **options: Any) -> Surrogate:
        """A copy with another ``memory`` or ``truncate``.

        >>> Surrogate().with_memory(memory="checkpoint").memory
        'checkpoint'
        """
        other = copy.copy(self)
        for name, value in options.items():
            setattr(other, name, value)
        check_memory("Surrogate", other.memory, other.truncate)
        return other

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        if not isinstance(network, Network):
            return [f"network: must be a spikewright Network, is {type(network).__name__}"]
        problems = [] if trainable(network) else [
            "network: has no parameter that may change"
        ]  # fmt: skip
        try:
            self.loss.check_decoder(self._decoder(network).name)
        except RuleError as cause:
            last = next(reversed(network.layers))
            problems.append(f"layer {last!r}: {cause}")
        if self.spread is not None and not spread_layers(network):
            problems.append("network: has no delays with a spread for the schedule to narrow")
        if self.rewiring is not None:
            problems += self.rewiring.requirements(network)
        return problems + check_layers(self.regularisers, network) + self._check_memory(network)

    def _check_memory(self, network: Network) -> list[str]:
        if self.memory == "full" and self.truncate is None:
            return []
        return [
            f"layer {name!r}: {type(layer).__name__} looks at all steps at once, which neither "
            "memory='checkpoint' nor truncate allows"
            for name, layer in network.layers.items()
            if layer.whole_sequence
        ]

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: step 0 and no moments yet."""
        return start_state(total_steps)

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """One optimiser step on the mean loss of ``batch``; see `Rule.train_batch`."""
        parameters = trainable(network)
        x = network.to_floating(batch.x)
        if self.rewiring is not None:
            if network.shape is None:
                network.build(x.shape[2:])
            rule_state = self.rewiring.take_up(network, rule_state)
        for parameter in parameters.values():
            parameter.grad = None
        with (
            shortage_explained(self, network, x),
            acting(network, self._surrogate_at(rule_state["step"])) as activity,
            spreading(network, self.spread, rule_state["step"]),
        ):
            loss, scores, run = self._loss(network, Batch(x, batch.y))
            loss.backward()
        average_gradients(parameters.values(), batch.samples)
        if self.rewiring is not None:
            changed = self.rewiring.descend(self.optimisation, parameters, rule_state)
        else:
            changed = {"moments": descend(self.optimisation, parameters, rule_state)}
        after = {**rule_state, "step": rule_state["step"] + 1, **changed}
        active = activity.shares()
        measured = _metrics(loss, scores, batch, run)
        return {**measured, **({"active": active} if active else {})}, after

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Loss, accuracy, rates and predictions of ``batch``; see `Rule.evaluate`.

        Where the targets are signals there is neither accuracy nor prediction.

        Runs in evaluation mode. Noise draws from torch's random stream, which
        `spikewright.evaluate` puts back.
        """
        with in_mode(network, training=False), torch.no_grad():
            loss, scores, run = self._loss(network, batch)
        measured = _metrics(loss, scores, batch, run)
        return {**measured, "predictions": scores.argmax(-1)} if _classes(batch) else measured

    def loss_of(self, network: Network, batch: Batch) -> tuple[Tensor, Run]:
        """The loss of a batch, differentiable, and the run it came from."""
        with acting(network, self.surrogate):
            loss, _, run = self._loss(network, batch, ("spikes", COUNTS))
        return loss, run

    def _surrogate_at(self, step: int) -> SurrogateGradient | None:
        """What takes the place of the neurons' own in a training step."""
        if self.window is None or self.surrogate is None:
            return self.surrogate
        return self.window.of(self.surrogate, step)

    def _loss(
        self, network: Any, batch: Batch, record: tuple[str, ...] = (COUNTS,)
    ) -> tuple[Tensor, Tensor, Run]:
        run: Run = network.run(batch.x, None, record, self.memory, self.truncate)
        output = run.output.float() if run.output.dtype in _HALF else run.output
        scores = self._decoder(network)(output)
        loss = self.loss(output, scores, batch.y)
        if self.regularisers:
            counts, steps = _counts(run), len(run.output)
            loss = loss + torch.stack([r(counts, steps) for r in self.regularisers]).sum()
        return loss, scores, run

    def _decoder(self, network: Network) -> Decoder:
        if self.decoder is not None:
            return self.decoder
        last = network.layers[next(reversed(network.layers))]
        usual = Count() if last.spiking else Mean()
        read = self.loss.decoders
        if read is None or usual.name in read:
            return usual
        return decoder_by_name(read[0], network.dt)


_HALF = (torch.float16, torch.bfloat16)


def _counts(run: Run) -> dict[str, Tensor]:
    """The spikes of each spiking layer summed over time, (batch, *n)."""
    return {name: record[COUNTS] for name, record in run.records.items() if COUNTS in record}


def _metrics(loss: Tensor, scores: Tensor, batch: Batch, run: Run) -> Metrics:
    """Means over the batch, on the way to the training loop."""
    with torch.no_grad():
        steps = len(run.output)
        rates = {n: c.sum() / (c.numel() * steps) for n, c in _counts(run).items()}
        if not _classes(batch):
            return {"loss": loss.detach(), "rates": rates}
        right = (scores.argmax(-1) == batch.y).double().mean()
    return {"loss": loss.detach(), "accuracy": right, "rates": rates}


def _classes(batch: Batch) -> bool:
    """Whether the targets are classes, not signals."""
    return batch.y.ndim == 1
