"""Settings of the target `fpga` from what users and files give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from spikewright.errors import ParameterError, nearest
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation

T = TypeVar("T")

_EXAMPLES = {
    "hardware": 'hardware={"units": 4}',
    "quantisation": 'quantisation={"bits": 4}',
    "quantisation of weights": 'quantisation={"weights": {"bits": 4}}',
    "numbers": 'numbers={"weight": 6}',
    "lanes": 'lanes={"lanes": 4}',
    "layers": 'quantisation={"layers": {"_0": {"bits": 6}}}',
}


def hardware_of(given: Hardware | Mapping[str, Any] | None) -> Hardware:
    """Itself, or from its fields by name.

    Raises:
        ParameterError: a field that there is not, or a value out of range.

    >>> hardware_of({"units": 4}).units
    4
    """
    return given if isinstance(given, Hardware) else made_of(Hardware, "hardware", given or {})


def quantisation_of(given: Quantisation | Mapping[str, Any] | None) -> Quantisation | None:
    """Itself, or from its fields by name, those of weights likewise.

    Raises:
        ParameterError: a field that there is not, or a value out of range.

    >>> quantisation_of({"bits": 6, "weights": {"bits": 5}}).weights.bits
    5
    """
    if given is None or isinstance(given, Quantisation):
        return given
    values = dict(_mapping("quantisation", given))
    if "weights" in values:
        values["weights"] = _weights(values["weights"])
    if "layers" in values:
        layers = _mapping("layers", values["layers"])
        values["layers"] = {name: _weights(each) for name, each in layers.items()}
    return made_of(Quantisation, "quantisation", values)


def _weights(given: Any) -> WeightQuantisation:
    if isinstance(given, WeightQuantisation):
        return given
    return made_of(WeightQuantisation, "quantisation of weights", given)


def made_of(kind: type[T], what: str, given: Any) -> T:
    """A class of settings from its fields by name.

    Args:
        what: names the option in an error.

    Raises:
        ParameterError: a field that there is not, or a value of another kind or out of range.
    """
    values = _mapping(what, given)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ParameterError(
                f"fpga: {what} must have known fields, got {name!r}. {nearest(str(name), known)}"
            )
    try:
        return kind(**values)
    except TypeError as cause:
        raise ParameterError(
            f"fpga: {what} must be of numbers and words, got {dict(values)}: {cause}. "
            f"Pass a {kind.__name__}."
        ) from cause


def _mapping(what: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"fpga: {what} must be its class or fields by name, got {type(given).__name__}. "
            f"Pass, say, {_EXAMPLES[what]}."
        )
    return given  # pyright: ignore[reportUnknownVariableType] - of whatever a file holds
