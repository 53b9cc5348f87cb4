"""How `Configuration`, `Stimulus` and `Observations` go over a wire."""

from __future__ import annotations

import numpy as np

from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    CIRCUITS,
    COLUMNS,
    MOST_CODE,
    MOST_WEIGHT,
    ROWS,
    Configuration,
    Observations,
    Stimulus,
)
from spikewright.targets.core.device.codec import Codec
from spikewright.targets.core.device.form import Array, Form, Value

MOST_SAMPLES = 1 << 16
MOST_SECONDS = 1.0
"""Chip time of all samples of a run: what a server computes and holds in memory at a time."""
_INT32 = 2**31 - 1
_ROWS = (BLOCKS, ROWS)

CONFIGURATION = Form(
    Configuration,
    arrays={
        "weights": Array("uint8", (*_ROWS, COLUMNS), 0, MOST_WEIGHT),
        "row_sign": Array("int8", _ROWS, -1, 1),
        "row_address": Array("int32", _ROWS, -1, _INT32),
        "neuron_address": Array("int32", (CIRCUITS,), -1, _INT32),
        "sampled": Array("bool", (CIRCUITS,)),
    },
    groups={
        "codes": Array("int16", (CIRCUITS,), 0, MOST_CODE),
        "switches": Array("bool", (CIRCUITS,)),
    },
    values={"fast_circuit": Value(int, -1, CIRCUITS - 1)},
)


def _stimulus_fault(stimulus: Stimulus) -> str | None:
    sample, total = stimulus.sample, stimulus.samples * stimulus.seconds
    if total > MOST_SECONDS:
        return (
            f"samples of a run must take at most {MOST_SECONDS:g} s of the chip's time together, "
            f"got {total:g} s. Use a smaller batch."
        )
    if sample.size and (int(sample[-1]) >= stimulus.samples or np.any(np.diff(sample) < 0)):
        return (
            f"array 'sample' must be in ascending order and below {stimulus.samples}, "
            f"got another one, up to {sample.max()}. Sort the events."
        )
    return None


STIMULUS = Form(
    Stimulus,
    arrays={
        "time": Array("float64", ("events",), 0.0),
        "address": Array("int32", ("events",), 0, _INT32),
        "sample": Array("int32", ("events",), 0, _INT32),
    },
    values={
        "samples": Value(int, 1, MOST_SAMPLES),
        "seconds": Value(float, 1e-9, MOST_SECONDS),
        "seed": Value(int, -(2**63), 2**64 - 1),
    },
    fault=_stimulus_fault,
)

OBSERVATIONS = Form(
    Observations,
    arrays={
        "spike_time": Array("float64", ("spikes",)),
        "spike_circuit": Array("int32", ("spikes",), 0, CIRCUITS - 1),
        "spike_sample": Array("int32", ("spikes",), 0, _INT32),
        "membrane": Array("uint8", ("moments", "samples", "circuits")),
        "membrane_time": Array("float64", ("moments",)),
        "fast": Array("uint8", None),
        "fast_time": Array("float64", None),
    },
    values={"lost": Value(int, 0, count=2), "seconds": Value(float, 0.0)},
)


def _summary(stimulus: Stimulus) -> str:
    return (
        f"{stimulus.samples} samples of {stimulus.seconds * 1e6:g} µs, {stimulus.time.size} events"
    )


CODEC = Codec("brainscales2", CONFIGURATION, STIMULUS, OBSERVATIONS, _summary)
