"""Spikes from values (encoders) and values from spikes (decoders), one code a file."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from spikewright.coding.bernoulli import Bernoulli
from spikewright.coding.chain import Chain
from spikewright.coding.constant import Constant
from spikewright.coding.count import Count
from spikewright.coding.crossing import Crossing
from spikewright.coding.cue import Cue
from spikewright.coding.decoder import Decoder
from spikewright.coding.delta import Delta
from spikewright.coding.deterministic import Deterministic
from spikewright.coding.encoder import Encoder
from spikewright.coding.exact_latency import ExactLatency
from spikewright.coding.first_spike import FirstSpike
from spikewright.coding.invertible import Invertible
from spikewright.coding.last import Last
from spikewright.coding.latency import Latency
from spikewright.coding.log_latency import LogLatency
from spikewright.coding.maximum import Max
from spikewright.coding.mean import Mean
from spikewright.coding.over_threshold import OverThreshold
from spikewright.coding.phase import Phase
from spikewright.coding.poisson import Poisson
from spikewright.coding.population import Population
from spikewright.coding.radix import Radix, from_bits, to_bits
from spikewright.coding.serial import Serial
from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError, nearest

ENCODERS: dict[str, type[Encoder]] = {
    kind.name: kind
    for kind in (
        Constant,
        Bernoulli,
        Poisson,
        Deterministic,
        Latency,
        ExactLatency,
        LogLatency,
        Radix,
        Phase,
        Population,
        Delta,
        Serial,
        Crossing,
        Cue,
    )
}
DECODERS: dict[str, type[Decoder]] = {
    kind.name: kind for kind in (Count, Mean, Max, Last, FirstSpike, OverThreshold)
}


def encoder_by_name(name: str, steps: int, dt: float, **options: Any) -> Encoder:
    """The encoder that settings name.

    Args:
        name: a key of ``ENCODERS``.
        steps: length of the sequence.
        dt: time step, s.
        options: further fields of the encoder.

    Raises:
        ParameterError: an unknown name or option.

    >>> encoder_by_name("bernoulli", 100, 1e-3, max_rate=50.0)
    Bernoulli(steps=100, dt=0.001, max_rate=50.0)
    """
    return _make("encoder", ENCODERS, name, {"steps": steps, "dt": dt, **options})


def decoder_by_name(name: str, dt: float, **options: Any) -> Decoder:
    """The decoder that settings name.

    Args:
        name: a key of ``DECODERS``.
        dt: time step of the network, s; used by decoders of time.
        options: further fields of the decoder.

    Raises:
        ParameterError: an unknown name or option.

    >>> decoder_by_name("max", 1e-3), decoder_by_name("first_spike", 1e-3)
    (Max(skip=0), FirstSpike(dt=0.001))
    """
    kind = DECODERS.get(name)
    if kind is not None and "dt" in {field.name for field in fields(kind)}:
        options = {"dt": dt, **options}
    return _make("decoder", DECODERS, name, options)


def _make(what: str, kinds: dict[str, type[Any]], name: str, options: dict[str, Any]) -> Any:
    where = f"coding.{what}_by_name"
    if name not in kinds:
        raise ParameterError(
            f"{where}: name must be a known {what}, got {name!r}. {nearest(name, kinds)}"
        )
    known = [field.name for field in fields(kinds[name])]
    for option in options:
        if option not in known:
            raise ParameterError(
                f"{where}: options must be fields of {kinds[name].__name__}, got {option!r}. "
                f"{nearest(option, known)}"
            )
    return kinds[name](**options)


__all__ = [
    "DECODERS",
    "ENCODERS",
    "Bernoulli",
    "Chain",
    "Constant",
    "Count",
    "Crossing",
    "Cue",
    "Decoder",
    "Delta",
    "Deterministic",
    "Encoder",
    "ExactLatency",
    "FirstSpike",
    "Invertible",
    "Last",
    "Latency",
    "LogLatency",
    "Max",
    "Mean",
    "OverThreshold",
    "Phase",
    "Poisson",
    "Population",
    "Radix",
    "Serial",
    "SpikeTimes",
    "decoder_by_name",
    "encoder_by_name",
    "from_bits",
    "to_bits",
]
