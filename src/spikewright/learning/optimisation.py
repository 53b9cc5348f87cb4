"""How gradients become weight changes: shared by all rules that have gradients."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from spikewright.errors import ParameterError, nearest
from spikewright.learning.rule import RuleState

OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
Schedule = Literal["constant", "cosine", "step"]


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


def take_optimisation(
    where: str,
    optimisation: Optimisation | None,
    fields: Mapping[str, Any],
    options: tuple[str, ...],
) -> Optimisation:
    """The optimisation that a rule was given, as one or by its fields.

    Args:
        where: the rule's name.
        optimisation: a ready one, or ``None``.
        fields: of an `Optimisation`, as keywords of the rule.
        options: the rule's other options, for the message.

    Raises:
        ParameterError: both are given, or a keyword is neither a field nor an option.
    """
    if optimisation is not None and fields:
        raise ParameterError(
            f"{where}: optimisation must be given once, got it and {', '.join(fields)}. "
            "Put all of them into Optimisation(...)."
        )
    known = Optimisation.__dataclass_fields__
    for name in fields:
        if name not in known:
            raise ParameterError(
                f"{where}: options must be {', '.join(options)} or one of "
                f"{', '.join(known)}, got {name!r}. {nearest(name, [*options, *known])}"
            )
    return optimisation or Optimisation(**fields)


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that may change, by name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def start_state(total_steps: int | None) -> dict[str, Any]:
    """What an optimiser keeps in a rule's state: step 0 and no moments yet."""
    return {"step": 0, "total_steps": total_steps, "moments": {}}


def descend(
    plan: Optimisation, parameters: Mapping[str, nn.Parameter], rule_state: RuleState
) -> dict[str, Any]:
    """Clip the gradients and let the torch optimiser change the weights.

    Its moments live in the rule's state.

    Returns:
        The moments after the step, by parameter.
    """
    if plan.clip is not None:
        nn.utils.clip_grad_norm_(parameters.values(), plan.clip)
    used = {n: p for n, p in parameters.items() if p.grad is not None}
    if not used:
        return rule_state["moments"]
    rate = plan.rate(rule_state["step"], rule_state["total_steps"])
    optimiser = plan.make(list(used.values()), rate)
    for name, parameter in used.items():
        if name in rule_state["moments"]:
            optimiser.state[parameter] = dict(rule_state["moments"][name])
    optimiser.step()
    made = {name: dict(optimiser.state[parameter]) for name, parameter in used.items()}
    return {**rule_state["moments"], **made}
