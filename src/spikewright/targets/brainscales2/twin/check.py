"""Whether a configuration and a stimulus are such as the chip takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import DeviceError, ProgramError
from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    CIRCUITS,
    COLUMNS,
    MOST_ADDRESS,
    MOST_CODE,
    MOST_WEIGHT,
    ROWS,
    Configuration,
    Stimulus,
)
from spikewright.targets.brainscales2.transfer import BASIC, SWITCHES, TRANSFER

_NEEDS = {
    "exponential": ("v_exponential", "slope"),
    "subthreshold": ("a", "tau_adapt"),
    "triggered": ("b", "tau_adapt"),
}

Array = NDArray[Any]


def check_configuration(configuration: Configuration) -> None:
    """Refuse what cannot be written to the chip.

    Raises:
        DeviceError: names the field, what it must be, and the first value that is not.
    """
    c = configuration
    _check("weights", c.weights, np.uint8, (BLOCKS, ROWS, COLUMNS), (0, MOST_WEIGHT))
    _check("row_sign", c.row_sign, np.int8, (BLOCKS, ROWS), (-1, 1))
    _check("row_address", c.row_address, np.int32, (BLOCKS, ROWS), (-1, MOST_ADDRESS))
    _check("neuron_address", c.neuron_address, np.int32, (CIRCUITS,), (-1, MOST_ADDRESS))
    _check("sampled", c.sampled, np.bool_, (CIRCUITS,), None)
    _check_names("codes", c.codes, TRANSFER)
    _check_names("switches", c.switches, SWITCHES)
    for name, values in c.switches.items():
        _check(f"switches[{name!r}]", values, np.bool_, (CIRCUITS,), None)
    for name, values in c.codes.items():
        _check(f"codes[{name!r}]", values, np.int16, (CIRCUITS,), (0, MOST_CODE))
    _check_present(c)
    if not -1 <= c.fast_circuit < CIRCUITS:
        raise _refused("fast_circuit", f"-1 or a circuit below {CIRCUITS}", c.fast_circuit)


def _check_present(c: Configuration) -> None:
    for name in BASIC:
        if name not in c.codes:
            raise _refused("codes", f"there for {', '.join(BASIC)}", f"none for {name}")
    for switch, names in _NEEDS.items():
        missing = [name for name in names if name not in c.codes]
        if missing and np.any(c.switches.get(switch, False)):
            rule = f"there for {', '.join(names)} where switches[{switch!r}] is on"
            raise _refused("codes", rule, f"none for {missing[0]}")


def _check_names(where: str, given: Any, known: Any) -> None:
    for name in given:
        if name not in known:
            raise _refused(where, f"by the names {', '.join(known)}", repr(name))


def check_stimulus(stimulus: Stimulus, longest: float) -> None:
    """Refuse events that cannot be sent.

    Args:
        longest: s, of one sample.

    Raises:
        ProgramError: names the field, what it must be, and the first value that is not.
    """
    s = stimulus
    if not 0 < s.seconds <= longest:
        rule = f"positive and at most {longest:g} s"
        raise _refused("stimulus.seconds", rule, s.seconds, ProgramError)
    if s.samples < 1:
        raise _refused("stimulus.samples", "at least 1", s.samples, ProgramError)
    number = (len(s.time),)
    _check("stimulus.time", s.time, np.float64, number, (0.0, s.seconds), ProgramError)
    _check("stimulus.address", s.address, np.int32, number, (0, MOST_ADDRESS), ProgramError)
    _check("stimulus.sample", s.sample, np.int32, number, (0, s.samples - 1), ProgramError)
    if np.any(np.diff(s.sample) < 0):
        raise _refused("stimulus.sample", "in ascending order", "a step down", ProgramError)


def _check(
    name: str,
    values: Array,
    kind: type,
    shape: tuple[int, ...],
    span: tuple[float, float] | None,
    error: type[DeviceError] | type[ProgramError] = DeviceError,
) -> None:
    if values.shape != shape or values.dtype != kind:
        rule = f"{np.dtype(kind).name} of shape {shape}"
        raise _refused(name, rule, f"{values.dtype} of shape {values.shape}", error)
    if span is None or not values.size:
        return
    if not (values.min() >= span[0] and values.max() <= span[1]):  # NaN is in no range
        bad = np.argwhere(~((values >= span[0]) & (values <= span[1])))[0]
        got = f"{values[tuple(bad)]} at {_place(bad.tolist())}"
        raise _refused(name, f"from {span[0]:g} to {span[1]:g}", got, error)


def _place(index: Sequence[int]) -> str:
    return "[" + ", ".join(str(i) for i in index) + "]"


def _refused(
    name: str,
    rule: str,
    got: object,
    error: type[DeviceError] | type[ProgramError] = DeviceError,
) -> DeviceError | ProgramError:
    where = "brainscales2.stimulus" if error is ProgramError else "brainscales2.configuration"
    return error(
        f"{where}: {name.removeprefix('stimulus.')} must be {rule}, got {got}. "
        "Lower the network anew, or correct the field."
    )
