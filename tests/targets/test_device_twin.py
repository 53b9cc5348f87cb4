"""The twin behind a wire is the twin that is here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spikewright.errors import DeviceError
from spikewright.targets.brainscales2.chip import CIRCUITS, Configuration
from spikewright.targets.brainscales2.remote import RemoteChip
from spikewright.targets.brainscales2.transfer import BASIC
from spikewright.targets.brainscales2.twin import Twin
from spikewright.targets.brainscales2.wire import CODEC
from spikewright.targets.core.device.server import DeviceServer
from targets.chips import assert_same, stimulus

NEURONS = 20


def wired(seed: int, **changes: Any) -> Configuration:
    """Five inputs, each on an exciting and an inhibiting row, onto a few circuits."""
    draw = np.random.default_rng(seed)
    weights = np.zeros((2, 256, 256), np.uint8)
    weights[0, :10, :NEURONS] = draw.integers(0, 64, (10, NEURONS))
    sign, address = np.zeros((2, 256), np.int8), np.full((2, 256), -1, np.int32)
    sign[0, :10], address[0, :10] = np.tile([1, -1], 5), np.repeat(np.arange(5), 2)
    neuron = np.full(CIRCUITS, -1, np.int32)
    neuron[:NEURONS] = 100 + np.arange(NEURONS)
    parts: dict[str, Any] = {
        "weights": weights,
        "row_sign": sign,
        "row_address": address,
        "neuron_address": neuron,
        "codes": {name: np.full(CIRCUITS, 400, np.int16) for name in BASIC},
        "switches": {},
        "sampled": np.arange(CIRCUITS) < NEURONS,
        "fast_circuit": 3,
    }
    return Configuration(**(parts | changes))


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteChip]:
    with (
        DeviceServer(Twin(seed=4), CODEC) as server,
        RemoteChip(server.url, server.token) as remote,
    ):
        yield remote


def test_it_is_the_same_chip(remote: RemoteChip) -> None:
    assert remote.identity() == Twin(seed=4).identity()
    assert remote.identity() != Twin(seed=5).identity()


def test_it_shows_the_same_bits_with_noise_and_mismatch(remote: RemoteChip) -> None:
    here, moved = Twin(seed=4), 0
    for seed in (1, 2):
        c, s = wired(seed), stimulus(seed, events=60, samples=6)
        seen = here.run(c, s)
        assert_same(remote.run(c, s), seen)
        moved += int(np.ptp(seen.membrane.astype(int))) + seen.spike_time.size
    assert moved > 20


def test_what_the_twin_refuses_is_refused_in_its_words(remote: RemoteChip) -> None:
    with pytest.raises(DeviceError, match="switches must be by the names"):
        remote.run(wired(1, switches={"turbo": np.ones(CIRCUITS, np.bool_)}), stimulus(1))
    with pytest.raises(DeviceError, match=r"seconds must be positive and at most 0\.01 s"):
        remote.run(wired(1), stimulus(1, samples=2, events=0, seconds=0.02))
