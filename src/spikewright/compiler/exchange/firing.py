"""What happens at the threshold, in metadata: reset, spikes a step, surrogate."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from spikewright.compiler.exchange.metadata import Carried
from spikewright.engine import surrogate as surrogates
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import ExchangeError, SpikewrightError
from spikewright.neurons import Firing, Neuron
from spikewright.neurons.firing import Reset

_KINDS: dict[str, type[SurrogateGradient]] = {
    name: kind
    for name, kind in vars(surrogates).items()
    if isinstance(kind, type) and issubclass(kind, SurrogateGradient)
}


def carry_firing(layer: Neuron) -> dict[str, Any]:
    """What the metadata says of a spiking layer."""
    values: dict[str, Any] = {}
    if "firing" in layer.options_of_step:
        values |= dataclasses.asdict(layer.firing)
    if is_known(layer.surrogate):
        kind = type(layer.surrogate).__name__
        values["surrogate"] = {"kind": kind, **dataclasses.asdict(layer.surrogate)}
    return values


def is_known(surrogate: SurrogateGradient) -> bool:
    """Whether the surrogate is one of this package, which metadata can name."""
    return _KINDS.get(type(surrogate).__name__) is type(surrogate)


def read_firing(carried: Carried, reset: Any) -> Firing:
    """The firing of a layer that resets by ``reset``."""
    if reset not in get_args(Reset):
        raise ExchangeError(
            f"{carried.where}: metadata 'reset' must be one of {', '.join(get_args(Reset))}, got "
            f"{reset!r}. State reset as a keyword."
        )
    most = carried.take("max_spikes", _is_count, "a whole number from 1", 1)
    return Firing(
        reset,
        detach_reset=carried.flag("detach_reset", True),
        max_spikes=most,
        inclusive=carried.flag("inclusive", False),
    )


def read_surrogate(carried: Carried) -> SurrogateGradient | None:
    """The surrogate that the metadata names; ``None`` for the default."""
    given: Any = carried.take("surrogate", lambda it: isinstance(it, dict), "an object", None)
    if given is None:
        return None
    values: dict[str, Any] = dict(given)
    kind = _KINDS.get(str(values.pop("kind", None)))
    try:
        if kind is None:
            raise TypeError("an unknown kind")
        return kind(**values)
    except (TypeError, SpikewrightError) as cause:
        raise ExchangeError(
            f"{carried.where}: metadata 'surrogate' must be one of "
            f"{', '.join(sorted(_KINDS))} with its numbers, got {cause}. "
            "Take it out of the metadata for the default."
        ) from cause


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
