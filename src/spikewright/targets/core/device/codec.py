"""What a target tells the generic parts about its messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from spikewright.targets.core.device.form import Form


class Device(Protocol):
    """What is served: a chip or its twin; the types are those of the codec."""

    def identity(self) -> dict[str, Any]:
        """Plain facts that JSON can hold and that stay as they are."""
        ...

    def run(self, configuration: Any, stimulus: Any) -> Any:
        """Run all samples and return the observations."""
        ...


@dataclass(frozen=True)
class Codec:
    """How a target's configuration, stimulus and observations go over the wire.

    Args:
        target: name of the target.
        configuration, stimulus, observations: the three forms.
        summary: a few words on a stimulus, for the log.
    """

    target: str
    configuration: Form[Any]
    stimulus: Form[Any]
    observations: Form[Any]
    summary: Callable[[Any], str]
