from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri
from torch import Tensor

from spikewright import seeding
from spikewright.errors import CheckpointError, ParameterError, ShapeError

DTYPES = (torch.float32, torch.float64)
LANES = {torch.float32: 4, torch.float64: 2}
PI = ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))
# From the file kat_vectors of Random123, the reference implementation of the generator.
KNOWN_ANSWERS = (
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (*PI, "d16cfe09 94fdcceb 5001e420 24126ea1"),
)


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox-4x32-10 from the paper, on Python's integers."""
    word = 2**32
    for i in range(10):
        high0, low0 = divmod(0xD2511F53 * counter[0], word)
        high1, low1 = divmod(0xCD9E8D57 * counter[2], word)
        k0, k1 = (key[0] + i * 0x9E3779B9) % word, (key[1] + i * 0xBB67AE85) % word
        counter = (high1 ^ counter[1] ^ k0, low1, high0 ^ counter[3] ^ k1, low0)
    return list(counter)


def uniform_reference(key: int, sample: int, step: int, neuron: int, dtype: torch.dtype) -> float:
    lanes = LANES[dtype]
    sample %= 2**64
    counter = (neuron // lanes, step, sample % 2**32, sample // 2**32)
    words = philox(counter, (key % 2**32, key // 2**32))
    if dtype == torch.float32:
        return (words[neuron % 4] // 2**9 + 0.5) / 2**23
    first, second = words[2 * (neuron % 2)], words[2 * (neuron % 2) + 1]
    return ((first * 2**32 + second) // 2**12 + 0.5) / 2**52


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_the_generator_gives_the_published_answers(
    counter: tuple[int, ...], key: tuple[int, ...], answer: str
) -> None:
    expected = [int(word, 16) for word in answer.split()]
    assert philox(counter, key) == expected
    compiled = seeding.philox(*(np.uint64(word) for word in (*counter, *key)))
    assert [int(word) for word in compiled] == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_is_a_function_of_key_sample_step_and_neuron(dtype: torch.dtype) -> None:
    key, samples = 2**63 + 12345, [3, 2**40 + 1, -2]
    drawn = seeding.uniform(key, torch.tensor(samples), 2**31, 2, 7, dtype)
    expected = [
        [[uniform_reference(key, s, 2**31 + t, n, dtype) for n in range(7)] for s in samples]
        for t in range(2)
    ]
    assert drawn.dtype == dtype
    assert torch.equal(drawn, torch.tensor(expected, dtype=dtype))


def test_normal_numbers_are_the_quantiles_of_the_uniform_ones() -> None:
    samples = torch.arange(3)
    u = seeding.uniform(5, samples, 0, 40, 1001, torch.float64)
    drawn = seeding.normal(5, samples, 0, 40, 1001, torch.float64)
    np.testing.assert_allclose(drawn.numpy(), ndtri(u.numpy()), rtol=1e-13, atol=1e-15)


def test_float32_normal_numbers_use_all_32_bits_and_are_rounded_once() -> None:
    drawn = seeding.normal(5, torch.tensor([9]), 4, 1, 8)
    words = philox((0, 4, 9, 0), (5, 0)) + philox((1, 4, 9, 0), (5, 0))
    expected = ndtri((np.array(words) + 0.5) / 2**32).astype(np.float32)
    np.testing.assert_array_max_ulp(drawn.numpy().ravel(), expected, maxulp=1)


@pytest.mark.parametrize("u", [2.0**-53, 1e-12, 0.0749, 0.0751, 0.5, 0.9249, 0.9251, 1 - 1e-12])
def test_the_quantile_function_is_right_in_its_centre_and_both_tails(u: float) -> None:
    assert seeding._quantile(u) == pytest.approx(float(ndtri(u)), rel=1e-13, abs=1e-15)


def test_normal_numbers_follow_the_normal_distribution() -> None:
    drawn = seeding.normal(11, torch.arange(10), 0, 100, 1000).double().flatten()
    count = drawn.numel()
    # Five standard deviations of each estimate, for a million independent numbers.
    assert abs(drawn.mean()) < 5 / count**0.5
    assert abs(drawn.var() - 1) < 5 * (2 / count) ** 0.5
    assert abs((drawn**4).mean() - 3) < 5 * (96 / count) ** 0.5
    assert stats.kstest(drawn[:100_000].numpy(), "norm").pvalue > 1e-6


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["step", "sample", "neuron"])
def test_neighbours_are_not_correlated(axis: int) -> None:
    x = seeding.normal(3, torch.arange(100), 0, 100, 100).double()
    size = x.shape[axis] - 1
    product = (x.narrow(axis, 0, size) * x.narrow(axis, 1, size)).mean()
    assert abs(product) < 5 / (size * 10_000) ** 0.5


def test_uniform_numbers_fill_the_open_interval_evenly() -> None:
    drawn = seeding.uniform(1, torch.arange(8), 0, 100, 1000).double().flatten()
    assert 0 < drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    counts = torch.histc(drawn, 64, 0, 1)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-6


@given(
    first=st.integers(0, 50),
    steps=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    neurons=st.integers(0, 9),
    dtype=st.sampled_from(DTYPES),
    draw=st.sampled_from([seeding.uniform, seeding.normal]),
)
@settings(max_examples=50, deadline=None)
def test_a_stream_in_chunks_of_time_equals_one_stream(
    first: int, steps: list[int], neurons: int, dtype: torch.dtype, draw: Any
) -> None:
    samples = torch.tensor([5, 1, 8])
    whole = draw(17, samples, first, sum(steps), neurons, dtype)
    starts = [first + sum(steps[:i]) for i in range(len(steps))]
    chunks = [draw(17, samples, s, n, neurons, dtype) for s, n in zip(starts, steps, strict=True)]
    assert whole.shape == (sum(steps), 3, neurons)
    assert torch.equal(whole, torch.cat(chunks))


@given(order=st.permutations(range(6)), neurons=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_a_sample_gets_the_same_numbers_in_any_batch(order: list[int], neurons: int) -> None:
    whole = seeding.normal(17, torch.arange(6), 0, 3, neurons)
    assert torch.equal(seeding.normal(17, torch.tensor(order), 0, 3, neurons), whole[:, order])


def test_a_wider_layer_begins_with_the_numbers_of_a_narrow_one() -> None:
    wide = seeding.uniform(2, torch.arange(2), 0, 3, (4, 3))
    assert wide.shape == (3, 2, 4, 3)
    assert torch.equal(wide.flatten(2)[..., :5], seeding.uniform(2, torch.arange(2), 0, 3, 5))


def test_threads_draw_the_numbers_of_one_thread() -> None:
    samples = torch.arange(4)
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda t: seeding.normal(6, samples, t, 1, 33), range(40)))
    assert torch.equal(torch.cat(drawn), seeding.normal(6, samples, 0, 40, 33))


def test_other_keys_give_other_numbers() -> None:
    samples = torch.arange(2)
    a, b = (seeding.uniform(seeding.derive(0, name), samples, 0, 50, 50) for name in ("a", "b"))
    assert not (a == b).any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (-1, torch.arange(2), 0, 1, 1),
            ParameterError,
            "seeding.uniform: key must be an integer from 0 to 2**64 - 1, got -1. "
            "Make one with seeding.derive(seed, layer).",
        ),
        (
            (0, torch.arange(2), -3, 1, 1),
            ParameterError,
            "seeding.uniform: steps must lie between 0 and 2**32, got 1 from step -3 on. "
            "Use another key for another run.",
        ),
        (
            (0, torch.arange(2), 0, 1, (2, -1)),
            ParameterError,
            "seeding.uniform: neurons must be sizes from 0 to 2**32 in all, got (2, -1). "
            "Pass the feature shape of the layer.",
        ),
        (
            (0, torch.ones(2), 0, 1, 1),
            ShapeError,
            "seeding.uniform: samples must be a vector of integers, got (2,) of torch.float32. "
            "Pass torch.arange(batch) or the samples' numbers in the data set.",
        ),
        (
            (0, torch.arange(2), 0, 1, 1, torch.float16),
            ShapeError,
            "seeding.uniform: dtype must be float32 or float64, got torch.float16. "
            "Draw float32 and convert the result.",
        ),
    ],
)
def test_a_stream_refuses_what_it_cannot_draw(
    arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        seeding.uniform(*arguments)
    assert str(caught.value) == message


def test_a_derived_key_is_stable_and_tells_all_names_apart() -> None:
    # Computed once; checkpoints depend on it.
    assert seeding.derive(1, "2_lif", "noise") == 6415670187129083171
    keys = [(0,), (1,), (1, 2), (12,), (1, "2"), ("1",), (1, 2, 3), ("1,2",), ("a", "b"), ("ab",)]
    derived = [seeding.derive(0, *names) for names in keys]
    assert len(set(derived)) == len(keys)
    assert all(0 <= key < 2**63 for key in derived)


def test_a_generator_of_a_name_always_starts_alike() -> None:
    a, b, c = (seeding.generator(4, "epoch", epoch) for epoch in (1, 1, 2))
    first = torch.rand(5, generator=a)
    assert torch.equal(first, torch.rand(5, generator=b))
    assert not torch.equal(first, torch.rand(5, generator=c))


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["unwritable", "garbage"])
def test_a_stream_does_without_a_working_kernel_cache(tmp_path: Path, damage: str) -> None:
    code = "import torch, spikewright.seeding as s; print(s.normal(1, torch.arange(1), 0, 1, 1))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    if damage == "unwritable":
        # A file where the only folder tried should be refuses even a process of root.
        (tmp_path / "cache").write_text("")
        environment["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"
    else:
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        damaged = list((tmp_path / "cache").rglob("*.nb?"))
        assert damaged
        for path in damaged:
            path.write_bytes(b"garbage")
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == str(seeding.normal(1, torch.arange(1), 0, 1, 1))


def draw_from_all() -> list[float]:
    python = [random.random(), random.gauss(0, 1)]
    legacy = [*np.random.rand(2), np.random.randn()]  # noqa: NPY002
    return [*python, *legacy, *torch.rand(2).tolist(), torch.randn(1).item()]


def through_files(state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint does to it: tensors to bytes, the rest to JSON."""
    tensors = {k: v.numpy().tobytes() for k, v in state.items() if isinstance(v, Tensor)}
    plain = json.loads(json.dumps({k: v for k, v in state.items() if k not in tensors}))
    return plain | {
        name: torch.frombuffer(bytearray(saved), dtype=torch.uint8)
        for name, saved in tensors.items()
    }


def test_seeding_everything_repeats_all_global_generators() -> None:
    seeding.seed_everything(2**40 + 7)
    first = draw_from_all()
    seeding.seed_everything(2**40 + 7)
    assert draw_from_all() == first
    seeding.seed_everything(2**40 + 8)
    assert not set(draw_from_all()) & set(first)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True])
def test_seeding_everything_refuses_what_is_no_seed(seed: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        seeding.seed_everything(seed)
    assert str(caught.value) == (
        "seeding.seed_everything: seed must be an integer from 0 to 2**63 - 1, "
        f"got {seed!r}. Pass for example seed=0."
    )


@pytest.mark.parametrize("spare", [False, True], ids=["no spare normal", "a spare normal kept"])
def test_a_restored_state_goes_on_with_the_same_numbers(spare: bool) -> None:
    seeding.seed_everything(1)
    if spare:
        random.gauss(0, 1)
        np.random.randn()  # noqa: NPY002
    state = through_files(seeding.random_state())
    expected = [draw_from_all() for _ in range(400)]
    seeding.seed_everything(2)
    seeding.restore_random_state(state)
    assert [draw_from_all() for _ in range(400)] == expected


def test_the_saved_state_is_bytes_and_plain_numbers_only() -> None:
    for value in seeding.random_state().values():
        if isinstance(value, Tensor):
            assert value.dtype == torch.uint8
        else:
            assert value is None or type(value) in (int, float)


@pytest.mark.parametrize(
    ("name", "damaged", "message"),
    [
        (
            "torch",
            torch.zeros(3, dtype=torch.uint8),
            "'torch' must be a uint8 tensor of 5,056 bytes, got (3,) of torch.uint8. ",
        ),
        ("python.words", None, "'python.words' must be a uint8 tensor of 2,500 bytes, got None. "),
        (
            "python.words",
            torch.full((2500,), 255, dtype=torch.uint8),
            "'python.position' must be a number as random_state gave it, got 4294967295. ",
        ),
        (
            "numpy.position",
            10_000,
            "'numpy.position' must be a number as random_state gave it, got 10000. ",
        ),
        (
            "numpy.gauss",
            "0.1",
            "'numpy.gauss' must be a number as random_state gave it, got '0.1'. ",
        ),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(
    name: str, damaged: Any, message: str
) -> None:
    seeding.seed_everything(1)
    state = seeding.random_state()
    expected = draw_from_all()
    seeding.restore_random_state(state)
    other = seeding.random_state() | {name: damaged}
    with pytest.raises(CheckpointError) as caught:
        seeding.restore_random_state(other)
    assert str(caught.value) == (
        f"seeding.restore_random_state: {message}"
        "The saved state is damaged or of another version; resume from an earlier checkpoint."
    )
    assert draw_from_all() == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_goes_on_with_the_same_numbers_and_gets_the_same_stream() -> None:
    torch.rand(1, device="cuda")
    state = through_files(seeding.random_state())
    expected = torch.rand(5, device="cuda")
    seeding.restore_random_state(state)
    assert torch.equal(torch.rand(5, device="cuda"), expected)
    on_gpu = seeding.normal(1, torch.arange(2, device="cuda"), 0, 3, 4)
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), seeding.normal(1, torch.arange(2), 0, 3, 4))
