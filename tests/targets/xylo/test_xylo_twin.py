"""The chip in whole numbers against the vendor's simulator, in spikes and every state.

The files in ``goldens`` were written by ``write_goldens.py`` (xylosim 0.1.3) and are always
compared; where SPIKEWRIGHT_BENCH_PYTHON_XYLOSIM names an interpreter that has xylosim, it runs
other networks as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikewright.benches.core.xylosim import VARIABLE, Xylosim, interpreter
from spikewright.benches.xylo import case
from spikewright.targets.xylo.chips import MOST_STATE
from spikewright.targets.xylo.configuration import Configuration, Population, Shifts, Whole
from spikewright.targets.xylo.file import read_configuration
from spikewright.targets.xylo.twin.plain import Run, decay, run_plain
from spikewright.targets.xylo.twin.twin import Shown, Twin, TwinState
from targets.xylo.chips_at_random import clips, configuration

GOLDENS = Path(__file__).parent / "goldens"
SEEDS = range(12)


def run_twin(c: Configuration, x: Whole, state: TwinState | None = None) -> tuple[Shown, TwinState]:
    return Twin(c).run(torch.from_numpy(x), state)


def assert_equal_to(run: Run, found: dict[str, Whole]) -> None:
    for name, values in found.items():
        np.testing.assert_array_equal(getattr(run, name), values, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_judge_does_what_the_simulator_did(seed: int) -> None:
    c = configuration(seed)
    with np.load(GOLDENS / f"{seed}.npz") as found:
        assert_equal_to(run_plain(c, clips(seed, c))[0], dict(found))


def test_the_goldens_are_active_and_saturate() -> None:
    stored = [dict(np.load(GOLDENS / f"{seed}.npz")) for seed in SEEDS]
    assert sum(int(found["events"].sum()) for found in stored) > 5000
    assert sum(int(found["out"].sum()) for found in stored) > 500
    assert any((np.abs(found["v"].astype(int)) >= MOST_STATE).any() for found in stored)
    assert any((np.abs(found["i"].astype(int)) > MOST_STATE // 2).any() for found in stored)


def test_a_trained_network_does_on_recordings_what_the_simulator_did() -> None:
    c = read_configuration(GOLDENS / "trained.json")
    stored = dict(np.load(GOLDENS / "trained.npz"))
    x = stored.pop("x").astype(np.int64)
    assert x.shape[1] == 8
    assert stored["events"].mean() > 0.1
    assert_equal_to(run_plain(c, x)[0], stored)
    np.testing.assert_array_equal(run_twin(c, x)[0].spikes.numpy(), stored["events"])


def test_the_judge_does_what_the_simulator_does_now() -> None:
    python = interpreter()
    if python is None:
        pytest.skip(f"name an interpreter that has xylosim in {VARIABLE}")
    for seed in range(100, 124):
        c = configuration(seed, neurons=24, inputs=8, outputs=5)
        x = clips(seed, c, steps=100)
        with Xylosim(python, c, x) as peer:
            assert_equal_to(run_plain(c, x)[0], peer.states())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_kernels_give_what_the_judge_gives(seed: int) -> None:
    c = configuration(seed)
    x = clips(seed, c)
    shown, state = run_twin(c, x)
    run, last = run_plain(c, x)
    pairs = {
        "spikes": (shown.spikes, run.spikes), "out": (shown.out, run.out),
        "v": (shown.v, run.v), "v_out": (shown.v_out, run.v_out),
        "clipped": (shown.clipped, run.clipped.sum(0)),
        "i": (state.hidden.neuron.i, last.i), "i_out": (state.out.i, last.i_out),
    }  # fmt: skip
    for name, (mine, plain) in pairs.items():
        assert mine is not None
        np.testing.assert_array_equal(mine.numpy(), plain, err_msg=name)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_in_two_parts_is_one_run(seed: int) -> None:
    c = configuration(seed)
    x = clips(seed, c)
    whole, end = run_twin(c, x)
    first, state = run_twin(c, x[:23])
    second, last = run_twin(c, x[23:], state)
    assert torch.equal(torch.cat([first.spikes, second.spikes]), whole.spikes)
    assert torch.equal(torch.cat([first.out, second.out]), whole.out)
    assert torch.equal(last.hidden.neuron.v, end.hidden.neuron.v)


def by_hand(weights_in: list[list[int]], shift: int = 0, alias: list[int] | None = None) -> Any:
    """Neurons with thresholds of 5 that lose half in a step; the last one reaches an output."""
    given = np.array([weights_in])
    n = given.shape[2]

    def cells(count: int, threshold: int) -> Population:
        ones = np.ones(count, dtype=np.int64)
        return Population(ones, ones[:, None], threshold * ones, 0 * ones)

    out = np.zeros((n, 2), dtype=np.int64)
    out[-1, 0] = 1
    aliases = np.array(alias or [-1] * n)
    parts = (given, np.zeros((1, n, n), dtype=np.int64), out, Shifts(shift), aliases)
    return Configuration("xylo-audio2", 1e-3, cells(n, 5), cells(2, 1000), *parts)


def test_events_that_aliases_fill_are_cut_where_a_run_in_two_parts_is_parted_too() -> None:
    c = by_hand([[100, 100, 0]], alias=[2, 2, -1])
    x = np.array([2, 0, 0]).reshape(3, 1, 1)
    # i = 200 - 100 = v: neurons 0 and 1 fire 20 times, and 31 of these 40 are handed on by neuron 2
    run, _ = run_plain(c, x)
    assert run.events[0, 0].tolist() == [20, 20, 31]
    _, state = run_twin(c, x[:1])
    shown, _ = run_twin(c, x[1:], state)
    assert shown.v_out is not None
    assert int(run.v_out[1, 0, 0]) == 16  # 31 - 15
    np.testing.assert_array_equal(shown.v_out.numpy(), run.v_out[1:])


def test_a_number_that_leaves_its_range_in_a_step_is_counted_once() -> None:
    c = by_hand([[127, 127], [127, 127]], shift=7)
    x = np.full((4, 1, 2), 15)
    # 15 x 127 x 128 is too much for the current, and each step's second input finds it full
    shown, _ = run_twin(c, x)
    run, _ = run_plain(c, x)
    assert run.clipped[0].tolist() == [[1, 1]]
    np.testing.assert_array_equal(shown.clipped.numpy(), run.clipped.sum(0))


def test_a_training_in_half_precision_leaves_the_twin_exact() -> None:
    c = configuration(0)
    x = clips(0, c)
    whole, _ = run_twin(c, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shown, _ = run_twin(c, x)
    assert torch.equal(shown.v, whole.v)
    assert torch.equal(shown.v_out, whole.v_out)


def test_most_networks_at_ease_need_no_second_run() -> None:
    c, given = case(24)
    x = torch.from_numpy(given[:, :4])
    twin = Twin(c)
    exact, _ = twin.run(x)
    quick, _ = twin.run(x, exact=False)
    assert exact.spikes.sum() > 100
    assert torch.equal(exact.spikes, quick.spikes)


def test_a_number_decays_by_hand() -> None:
    # 1000 >> 4 = 62; -3 >> 4 rounds down to -1; 3 >> 4 = 0, so 3 loses one; 0 stays
    assert decay(np.array([1000, -3, 3, 0]), np.array(4)).tolist() == [938, -2, 2, 0]


@pytest.mark.parametrize("dash", range(1, 8))
def test_decays_follow_their_exponential_while_they_are_large(dash: int) -> None:
    value, exact = np.array(30_000), 30_000.0
    while exact > 40 * 2**dash:
        value, exact = decay(value, np.array(dash)), exact * (1 - 2.0**-dash)
        assert abs(int(value) / exact - 1) < 0.03
