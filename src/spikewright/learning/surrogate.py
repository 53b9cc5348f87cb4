"""Training by surrogate gradients: backpropagation through time with a stand-in for the spike."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from spikewright.borrow import in_mode
from spikewright.coding import Count, Decoder, Mean
from spikewright.engine.segments import Memory, check_memory
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import ParameterError, RuleError, nearest
from spikewright.learning.losses import CrossEntropy, Loss
from spikewright.learning.processes import average_gradients
from spikewright.learning.regularisers import SpikeRate
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.learning.shortage import shortage_explained
from spikewright.learning.window import WindowSchedule, acting
from spikewright.network import COUNTS, Network, Run

OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
Schedule = Literal["constant", "cosine", "step"]
OPTIONS = ("decoder", "loss", "surrogate", "window", "regularisers", "memory", "truncate")


@dataclass(frozen=True)
class Optimisation:
    """How gradients become weight changes.

    Args:
        optimiser: ``"adam"``, ``"adamw"`` or ``"sgd"``.
        learning_rate: step size at the start.
        schedule: ``"constant"``; ``"cosine"`` falls to zero over the planned steps, which must be
            known; ``"step"`` multiplies by ``gamma`` at each ``period`` steps.
        weight_decay: as the optimiser defines it.
        clip: greatest norm of the whole gradient; ``None`` for none.
        options: further arguments of the torch optimiser, for example ``{"momentum": 0.9}``.

    Raises:
        ParameterError: an option is unknown or outside its range.
    """

    optimiser: str = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    period: int = 1000
    gamma: float = 0.5
    weight_decay: float = 0.0
    clip: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        for name, known in (("optimiser", OPTIMISERS), ("schedule", get_args(Schedule))):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"Optimisation: {name} must be one of {', '.join(known)}, got "
                    f"{getattr(self, name)!r}. {nearest(str(getattr(self, name)), known)}"
                )
        self._check_positive("learning_rate", "1e-3")
        self._check_positive("period", "1000")
        self._check_positive("gamma", "0.5")
        if self.clip is not None:
            self._check_positive("clip", "1.0")
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            raise ParameterError(
                f"Optimisation: weight_decay must be zero or positive, got {self.weight_decay!r}. "
                "Use 0.0 for none."
            )
        taken = inspect.signature(OPTIMISERS[self.optimiser]).parameters
        known = [name for name in taken if name not in ("params", "lr", "weight_decay")]
        for name in self.options:
            if name not in known:
                raise ParameterError(
                    f"Optimisation: options must be further arguments of {self.optimiser}, got "
                    f"{name!r}. {nearest(name, known)}"
                )

    def _check_positive(self, name: str, example: str) -> None:
        value = getattr(self, name)
        if not (value > 0 and math.isfinite(value)):
            raise ParameterError(
                f"Optimisation: {name} must be positive and finite, got {value!r}. "
                f"Start from {example}."
            )

    def rate(self, step: int, total_steps: int | None) -> float:
        """The learning rate at a step.

        Raises:
            ParameterError: a cosine schedule, and the number of steps is not known.

        >>> Optimisation(learning_rate=0.1, schedule="cosine").rate(50, 100)
        0.05
        """
        if self.schedule == "step":
            return self.learning_rate * self.gamma ** (step // self.period)
        if self.schedule == "cosine":
            if not total_steps:
                raise ParameterError(
                    f"Optimisation: schedule 'cosine' must know the number of steps to come, got "
                    f"{total_steps}. Give fit epochs instead of seconds, or init total_steps."
                )
            done = min(step / total_steps, 1.0)
            return self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * done))
        return self.learning_rate

    def make(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        """A fresh torch optimiser; its state is put in from the rule's."""
        kind: Any = OPTIMISERS[self.optimiser]
        return kind(parameters, lr=rate, weight_decay=self.weight_decay, **self.options)


class Surrogate:
    """Learning rule: backpropagation through time with surrogate derivatives of the spikes.

    The loss is a mean over the batch. Neftci, Mostafa and Zenke, IEEE Signal Processing Magazine
    36(6), 2019.

    Args:
        decoder: turns the output into class scores; by default the spike count of a spiking
            output and the mean over time of a membrane.
        loss: of output, scores and targets.
        surrogate: takes the place of each neuron's own surrogate derivative.
        window: widens the window of that ``surrogate`` at the start of training.
        regularisers: of the spikes of the layers, added to the loss.
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
        regularisers: tuple[SpikeRate, ...] = (),
        optimisation: Optimisation | None = None,
        memory: Memory = "full",
        truncate: int | None = None,
        **fields: Any,
    ) -> None:
        if optimisation is not None and fields:
            raise ParameterError(
                f"Surrogate: optimisation must be given once, got it and {', '.join(fields)}. "
                "Put all of them into Optimisation(...)."
            )
        known = Optimisation.__dataclass_fields__
        for name in fields:
            if name not in known:
                raise ParameterError(
                    f"Surrogate: options must be {', '.join(OPTIONS)} or one of "
                    f"{', '.join(known)}, got {name!r}. {nearest(name, [*OPTIONS, *known])}"
                )
        if window is not None and (surrogate is None or surrogate.window is None):
            raise ParameterError(
                f"Surrogate: window must come with a surrogate that has one, got {surrogate!r}. "
                "Pass surrogate=sw.surrogate.SuperSpike(width=0.01, window=0.2), say."
            )
        self.optimisation = optimisation or Optimisation(**fields)
        self.decoder, self.loss = decoder, loss or CrossEntropy()
        self.surrogate, self.window = surrogate, window
        self.regularisers = tuple(regularisers)
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
        problems = [] if any(p.requires_grad for p in network.parameters()) else [
            "network: has no parameter that may change"
        ]  # fmt: skip
        try:
            self.loss.check_decoder(self._decoder(network).name)
        except RuleError as cause:
            last = next(reversed(network.layers))
            problems.append(f"layer {last!r}: {cause}")
        return problems + self._check_regularisers(network) + self._check_memory(network)

    def _check_memory(self, network: Network) -> list[str]:
        if self.memory == "full" and self.truncate is None:
            return []
        return [
            f"layer {name!r}: {type(layer).__name__} looks at all steps at once, which neither "
            "memory='checkpoint' nor truncate allows"
            for name, layer in network.layers.items()
            if layer.whole_sequence
        ]

    def _check_regularisers(self, network: Network) -> list[str]:
        spiking = [name for name, layer in network.layers.items() if layer.spiking]
        return [
            f"layer {name!r}: {type(regulariser).__name__} acts on it, but it is no spiking layer. "
            f"{nearest(name, spiking)}"
            for regulariser in self.regularisers
            for name in regulariser.layers or ()
            if name not in spiking
        ]

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: step 0 and no moments yet."""
        return {"step": 0, "total_steps": total_steps, "moments": {}}

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """One optimiser step on the mean loss of ``batch``; see `Rule.train_batch`."""
        parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
        for parameter in parameters.values():
            parameter.grad = None
        with (
            shortage_explained(self, network, batch.x),
            acting(network, self._surrogate_at(rule_state["step"])) as activity,
        ):
            loss, scores, run = self._loss(network, batch)
            loss.backward()
        average_gradients(parameters.values(), batch.x.shape[1])
        if self.optimisation.clip is not None:
            nn.utils.clip_grad_norm_(parameters.values(), self.optimisation.clip)
        moments = self._step(parameters, rule_state)
        after = {**rule_state, "step": rule_state["step"] + 1, "moments": moments}
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
            counts, steps = _counts(run), len(batch.x)
            loss = loss + torch.stack([r(counts, steps) for r in self.regularisers]).sum()
        return loss, scores, run

    def _step(self, parameters: dict[str, nn.Parameter], rule_state: RuleState) -> dict[str, Any]:
        """Let the torch optimiser work on moments that live in the rule's state."""
        used = {n: p for n, p in parameters.items() if p.grad is not None}
        if not used:
            return rule_state["moments"]
        rate = self.optimisation.rate(rule_state["step"], rule_state["total_steps"])
        optimiser = self.optimisation.make(list(used.values()), rate)
        for name, parameter in used.items():
            if name in rule_state["moments"]:
                optimiser.state[parameter] = dict(rule_state["moments"][name])
        optimiser.step()
        made = {name: dict(optimiser.state[parameter]) for name, parameter in used.items()}
        return {**rule_state["moments"], **made}

    def _decoder(self, network: Network) -> Decoder:
        if self.decoder is not None:
            return self.decoder
        last = network.layers[next(reversed(network.layers))]
        return Count() if last.spiking else Mean()


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
