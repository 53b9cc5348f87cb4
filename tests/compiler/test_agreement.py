"""The agreement table: every figure against one worked out by hand or in NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.compiler.reporting.agreement import (
    Agreement,
    Difference,
    agree,
    check_alive,
    compare,
)
from spikewright.engine.forward import Observation
from spikewright.errors import CompileError


def spikes(*events: tuple[int, int, int], shape: tuple[int, int, int] = (4, 2, 3)) -> Tensor:
    """Ones at (time, sample, neuron)."""
    made = torch.zeros(shape)
    for event in events:
        made[event] += 1
    return made


REFERENCE = spikes((0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 1, 1))
LATER = spikes((0, 0, 0), (2, 0, 0), (2, 1, 1))  # one a step late, one gone


def table(third: Observation, allow: tuple[str, ...] = ()) -> Agreement:
    readout = Observation(None, None, torch.arange(24.0).reshape(4, 2, 3))
    runs = (
        {"hidden": Observation(REFERENCE), "out": readout},
        {"hidden": Observation(LATER), "out": readout},
        {"hidden": third, "out": readout},
    )
    made = agree(runs, "out", {"hidden": 1}, {"hidden": 5})
    check_alive(made, allow)
    return made


def test_differences_of_spikes_worked_out_by_hand() -> None:
    found = compare(Observation(LATER), Observation(REFERENCE))
    # neuron 0 fires twice in both, neuron 1 once instead of twice: 1 of 4 spikes
    assert found.rate_error == pytest.approx(1 / 4)
    # (1,0,0), (2,0,0) and (3,1,1) are in one run alone, of 4 + 3 spikes
    assert found.differing == pytest.approx(3 / 7)
    assert found.first_step == 1


def test_equal_runs_do_not_differ() -> None:
    assert compare(Observation(REFERENCE), Observation(REFERENCE)) == Difference(0.0, None, 0.0)


def test_differences_against_numpy_on_random_spikes() -> None:
    random = np.random.default_rng(0)
    a, b = (random.poisson(0.3, size=(20, 5, 7)).astype(np.float32) for _ in range(2))
    found = compare(Observation(torch.from_numpy(a)), Observation(torch.from_numpy(b)))
    counts = np.abs(a.sum((0, 1)) - b.sum((0, 1))).sum() / b.sum()
    first = min(t for t in range(20) if (a[t] != b[t]).any())
    assert found.rate_error == pytest.approx(counts)
    assert found.differing == pytest.approx(np.abs(a - b).sum() / (a.sum() + b.sum()))
    assert found.first_step == first


def test_the_membrane_error_leaves_gaps_out() -> None:
    reference = torch.tensor([1.0, 2.0, 2.0]).reshape(3, 1, 1)
    seen = torch.tensor([1.5, float("nan"), 2.0]).reshape(3, 1, 1)
    found = compare(Observation(None, seen), Observation(None, reference))
    expected = np.sqrt(0.25 / 2) / np.sqrt((1 + 4) / 2)
    assert found.membrane_error == pytest.approx(expected)
    assert found.rate_error is None


def test_counts_silent_and_saturated_neurons() -> None:
    always = spikes(*[(t, 0, 2) for t in range(4)], (1, 1, 0))
    layer = table(Observation(always)).layers[0]
    assert layer.spikes == (4, 3, 5)
    assert layer.silent == (1, 1, 1)  # neuron 2 in float, neuron 1 on the target
    assert layer.saturated == (0, 0, 1)  # neuron 2 at every step of sample 0
    assert layer.saturations == 5


def test_two_spikes_a_step_saturate_a_neuron_that_can_fire_two() -> None:
    twice = 2 * spikes(*[(t, 0, 0) for t in range(4)])
    once = spikes(*[(t, 0, 0) for t in range(4)])
    for shown, count in ((twice, 1), (once, 0)):
        runs = ({"a": Observation(shown)},) * 3
        assert agree(runs, "a", {"a": 2}, {}).layers[0].saturated == (count,) * 3


def test_the_answer_is_the_largest_maximum_of_a_readout_and_the_largest_count_of_spikes() -> None:
    v = torch.zeros(3, 2, 2)
    v[1, 0, 1] = v[2, 1, 0] = 1.0
    other = v.clone()
    other[0, 1, 1] = 2.0  # sample 1 now answers 1
    runs = tuple({"out": Observation(None, None, value)} for value in (v, v, other))
    assert agree(runs, "out", {}, {}).same_answer == (1.0, 0.5)
    counts = tuple({"out": Observation(s)} for s in (REFERENCE, LATER, spikes((0, 0, 2))))
    # of two samples: 0 and 1 in float, 0 and 1 quantised, 2 and 0 on the target
    assert agree(counts, "out", {}, {}).same_answer == (1.0, 0.0)


def test_a_layer_that_falls_silent_is_an_error_that_names_it() -> None:
    with pytest.raises(CompileError, match=r"silence in 'hidden' \(from 4 spikes\)") as found:
        table(Observation(torch.zeros(4, 2, 3)))
    assert "allow_silent=['hidden']" in str(found.value)
    assert "rate error" in str(found.value)  # the table


def test_a_silent_layer_that_is_allowed_passes() -> None:
    assert table(Observation(torch.zeros(4, 2, 3)), ("hidden",)).layers[0].went_silent


def test_a_layer_that_is_silent_in_float_too_is_no_error() -> None:
    runs = ({"a": Observation(torch.zeros(4, 2, 3))},) * 3
    check_alive(agree(runs, "a", {}, {}), ())


def test_an_unknown_layer_in_allow_silent_is_refused() -> None:
    with pytest.raises(CompileError, match=r"got 'hiden'\. Did you mean 'hidden'\?"):
        table(Observation(REFERENCE), ("hiden",))


def test_a_layer_that_was_not_seen_has_dashes() -> None:
    runs = ({"a": Observation(REFERENCE), "b": Observation(REFERENCE)},) * 2
    made = agree((*runs, {"b": Observation(REFERENCE)}), "b", {}, {})
    assert made.layers[0].spikes == (4, 4, None)
    assert made.layers[0].artefact == Difference()
    assert not made.layers[0].went_silent
    line = str(made).splitlines()[2]
    assert line.split()[:5] == ["a", "3", "4", "4", "–"]


def test_the_table_survives_json() -> None:
    made = table(Observation(LATER))
    assert Agreement.from_plain(json.loads(json.dumps(made.plain()))) == made


def test_the_text_is_aligned() -> None:
    lines = str(table(Observation(LATER))).splitlines()
    assert lines[0].startswith("agreement on 2 samples of 4 steps")
    end = lines[1].index("spikes") + len("spikes")
    assert lines[2][:end].split()[-1] == "4"
