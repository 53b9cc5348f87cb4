"""Proxy learning: spikes give the output, the ReLU network of the same shape the gradient."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from spikewright.borrow import in_mode
from spikewright.errors import ParameterError, nearest
from spikewright.learning.doctor import Diagnosis
from spikewright.learning.losses import CrossEntropy, Loss, RateMSE, SpikeCountMSE
from spikewright.learning.optimisation import (
    Optimisation,
    descend,
    start_state,
    take_optimisation,
    trainable,
)
from spikewright.learning.processes import average_gradients, broadcast
from spikewright.learning.proxy.output import choose, substitute, tied
from spikewright.learning.proxy.requirements import obstacles
from spikewright.learning.proxy.spiking import STEPS_AT_ONCE, Fired, one_step, run_spiking
from spikewright.learning.proxy.twin import (
    FIELDS,
    Statistics,
    Twin,
    copy_statistics,
    norms_frozen,
)
from spikewright.learning.rule import Batch, Metrics, RuleState
from spikewright.network import Network

OPTIONS = ("loss", "saturating", "freeze_after", "steps_at_once", "substituted")
Substituted = Literal["nothing", "output", "layers"]
LOSSES = (SpikeCountMSE, RateMSE, CrossEntropy)
HALF = (torch.float16, torch.bfloat16)


class Proxy:
    """Learning rule: proxy learning, for feed-forward networks of `IF` on constant currents.

    The network runs without gradient and gives spike counts o; its ReLU twin, on the very same
    parameters, runs once with gradient and gives y. The values of y are replaced by o:

        dL/dw = sum_k dL/do_k dy_k/dw

    so the error is that of the spikes, and its way back that of the twin. No surrogate gradient,
    no backpropagation through time; memory does not depend on the number of steps. See `Twin` for
    what the twin is, and `choose` for the class that counts stand for: ties are not broken in
    favour of the label.

    Args:
        loss: `CrossEntropy` of the softmax of the counts, `SpikeCountMSE` (as published with
            ``correct=1``), or `RateMSE`, which is given spikes a step.
        saturating: whether the twin's activations end where its neurons fire at every step, and
            with them the gradient; see `Twin`. Published: ``False``.
        freeze_after: training steps after which batch norms of both networks use their running
            statistics; ``None`` for never. Published: those of one epoch.
        steps_at_once: time steps that are in memory together.
        substituted: what of the twin the spikes replace. ``"output"`` is as published.
            ``"layers"`` replaces the activations of every layer of neurons by its rates, so that
            weights are changed by the spikes that reached them and the twin cannot drift from the
            network (tandem learning). ``"nothing"`` trains and measures the twin alone, by
            backpropagation: the ReLU network that `spikewright.learning.conversion` starts from.
        optimisation: an `Optimisation`, or give its fields: ``learning_rate=1e-4``.

    Raises:
        ParameterError: an option is unknown or outside its range.

    Source: Kheradpisheh, Mirsadeghi and Masquelier 2022, "Spiking neural networks trained via
    proxy", IEEE Access 10:70769 (arXiv:2109.13208). Rates in every layer: Wu et al. 2021, "A
    tandem learning rule for effective training and rapid inference of deep spiking neural
    networks", IEEE TNNLS.

    >>> from spikewright import IF, Linear, Sequential
    >>> _ = torch.manual_seed(0)
    >>> net = Sequential(Linear(4, 40), IF(), Linear(40, 2), IF(), dt=1e-3)
    >>> rule = Proxy(learning_rate=1e-2)
    >>> state = rule.init(net)
    >>> pixels = torch.rand(32, 4)
    >>> batch = Batch(pixels.expand(8, -1, -1), (pixels[:, 0] > pixels[:, 1]).long())
    >>> for _ in range(50):
    ...     metrics, state = rule.train_batch(net, batch, state)
    >>> float(metrics["accuracy"]) > 0.9
    True
    """

    def __init__(
        self,
        *,
        loss: Loss | None = None,
        saturating: bool = True,
        freeze_after: int | None = None,
        steps_at_once: int = STEPS_AT_ONCE,
        substituted: Substituted = "output",
        optimisation: Optimisation | None = None,
        **fields: Any,
    ) -> None:
        self.optimisation = take_optimisation("Proxy", optimisation, fields, OPTIONS)
        self.loss = CrossEntropy() if loss is None else loss
        if not isinstance(self.loss, LOSSES):
            raise ParameterError(
                f"Proxy: loss must be CrossEntropy, SpikeCountMSE or RateMSE, got {loss!r}. "
                "The twin has one step, so only losses of spike counts have a gradient."
            )
        self.saturating = saturating
        self.freeze_after = _checked("freeze_after", freeze_after, 0)
        self.steps_at_once = _checked("steps_at_once", steps_at_once, 1) or STEPS_AT_ONCE
        if substituted not in get_args(Substituted):
            raise ParameterError(
                f"Proxy: substituted must be one of {', '.join(get_args(Substituted))}, got "
                f"{substituted!r}. {nearest(str(substituted), get_args(Substituted))}"
            )
        self.substituted = substituted

    def __repr__(self) -> str:
        fields = (*OPTIONS, "optimisation")
        return f"Proxy({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"

    def requirements(self, network: nn.Module) -> list[str]:
        """Why this rule cannot train ``network``; see `Rule.requirements`."""
        still = [] if trainable(network) else ["network: has no parameter that may change"]
        return obstacles(network) + still

    def init(self, network: nn.Module, *, total_steps: int | None = None) -> RuleState:
        """Before the first batch: no moments, and the statistics of the network for the twin."""
        return {**start_state(total_steps), "statistics": copy_statistics(network)}

    def train_batch(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Metrics, RuleState]:
        """One optimiser step on the mean loss of ``batch``; see `Rule.train_batch`."""
        parameters = trainable(network)
        for parameter in parameters.values():
            parameter.grad = None
        frozen = self.freeze_after is not None and rule_state["step"] >= self.freeze_after
        with norms_frozen(network, frozen):
            loss, metrics, statistics = self.loss_and_metrics(network, batch, rule_state)
        loss.backward()
        average_gradients(parameters.values(), batch.samples)
        broadcast([own[field] for own in statistics.values() for field in FIELDS])
        moments = descend(self.optimisation, parameters, rule_state)
        step = rule_state["step"] + 1
        after = {**rule_state, "step": step, "moments": moments, "statistics": statistics}
        metrics.pop("predictions")
        return metrics, after

    def evaluate(self, network: nn.Module, batch: Batch, rule_state: RuleState) -> Metrics:
        """Loss, accuracy, rates, ties and predictions of ``batch``; see `Rule.evaluate`.

        ``ties``: share of samples of which several classes have the most spikes;
        ``twin_accuracy``: of the twin by its own output, which with ``substituted="layers"`` is
        its last product of the spikes.
        """
        with in_mode(network, training=False), torch.no_grad():
            _, metrics, _ = self.loss_and_metrics(network, batch, rule_state)
        return metrics

    def examine(self, network: Network, batch: Batch, rule_state: RuleState) -> Diagnosis:
        """What `doctor` says of a network; a copy, for gradients and statistics are changed."""
        from spikewright.learning.proxy.examination import examine

        return examine(self, network, batch, rule_state)

    def loss_and_metrics(
        self, network: Any, batch: Batch, rule_state: RuleState
    ) -> tuple[Tensor, dict[str, Any], Statistics]:
        """The loss with its graph, what was measured, and the twin's statistics after the batch."""
        x = network.to_floating(batch.x)
        fired = None
        if self.substituted != "nothing":
            fired = run_spiking(network, x, self.steps_at_once)
        statistics = {
            name: {field: value.clone() for field, value in own.items()}
            for name, own in rule_state["statistics"].items()
        }
        masks = None if fired is None else fired.state
        rates = None
        if fired is not None and self.substituted == "layers":
            rates = {name: counts / fired.steps for name, counts in fired.counts.items()}
        y = Twin(network, statistics, self.saturating)(one_step(x), masks, rates)
        y = y.float() if y.dtype in HALF else y
        output = y if fired is None else substitute(y, self._output(fired))
        loss = self.loss(output.unsqueeze(0), output, batch.y)
        measured = _metrics(y.detach(), fired, batch.y)
        return loss, {"loss": loss.detach(), **measured}, statistics

    def _output(self, fired: Fired) -> Tensor:
        """What the loss reads: spikes, or spikes a step."""
        return fired.output / fired.steps if isinstance(self.loss, RateMSE) else fired.output


def _metrics(y: Tensor, fired: Fired | None, targets: Tensor) -> dict[str, Any]:
    """Means over the batch, and the class of each sample; of the twin where nothing fired."""
    of_twin = y.argmax(-1)
    if fired is None:
        return {"accuracy": (of_twin == targets).double().mean(), "predictions": of_twin}
    predictions = choose(fired.output, fired.v.float())
    rates = {n: c.sum() / (c.numel() * fired.steps) for n, c in fired.counts.items()}
    return {
        "accuracy": (predictions == targets).double().mean(),
        "twin_accuracy": (of_twin == targets).double().mean(),
        "ties": tied(fired.output).double().mean(),
        "rates": rates,
        "predictions": predictions,
    }


def _checked(name: str, value: int | None, least: int) -> int | None:
    if value is not None and (type(value) is not int or value < least):
        raise ParameterError(
            f"Proxy: {name} must be a whole number from {least} on, got {value!r}. "
            "Give a number of steps, or leave it out."
        )
    return value
