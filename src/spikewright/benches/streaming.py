"""Listening for an hour: how fast against the sound itself, and how much memory it takes.

An hour of synthetic sound at 16 kHz (tones in noise, made block by block) goes through the log
energy front end, a SynNet of 3 x 24 neurons compiled for the simulator with weights of 8 bits, and
a detector.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

import spikewright as sw
from spikewright.audio import LogEnergy
from spikewright.benches.core.row import Row
from spikewright.benches.core.worker import resident
from spikewright.detection import Detector, Listener, Listening

RATE = 16_000
BLOCKS = (0.1, 1.0)
"""Sound that is heard at once, s."""
HOUR, FIRST = 3600.0, 60.0
CLASSES = ("background", "one", "two", "three")
MEGABYTE = 1e6


def rows(seconds: float = HOUR) -> Iterator[Row]:
    """For each length of a block: the real-time factor, and memory at the end and early on."""
    listener = make_listener()
    for block in BLOCKS:
        yield from _hour(listener, block, seconds)


def make_listener() -> Listener:
    """A network with first weights: as much work as a trained one."""
    ear = LogEnergy(rate=RATE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = sw.models.SynNet(ear.channels, len(CLASSES), dt=ear.dt, tau_base=2 * ear.dt,
                               tau_mem=2 * ear.dt, tau_out=2 * ear.dt)  # fmt: skip
    frames, _ = ear(next(sound(10.0)))
    x = torch.from_numpy(frames).unsqueeze(1)
    sw.aim_rates(net, x)
    program = sw.compile(net.eval(), "simulator", calibration=x, weights=8)
    return Listener(program, ear, Detector(CLASSES, ear.dt, background=("background",)))


def sound(block: float) -> Iterator[NDArray[np.float64]]:
    """Noise with a tone every other second, block by block, without end."""
    random = np.random.default_rng(0)
    size, place = round(block * RATE), 0
    while True:
        t = (place + np.arange(size)) / RATE
        tone = np.where(t % 2 < 1, np.sin(2 * np.pi * 100 * (1 + t // 2 % 30) * t), 0.0)
        yield 0.02 * random.standard_normal(size) + 0.2 * tone
        place += size


def _hour(listener: Listener, block: float, seconds: float) -> Iterator[Row]:
    listening, early = listener.start(), 0.0
    work = 0.0
    for samples in sound(block):
        begun = time.perf_counter()
        listening.hear(samples)
        work += time.perf_counter() - begun
        if not early and listening.seconds >= min(FIRST, seconds / 2):
            early = resident() / MEGABYTE
        if listening.seconds >= seconds:
            break
    yield from _figures(listening, block, work, early)


def _figures(listening: Listening, block: float, work: float, early: float) -> Iterator[Row]:
    case = f"{listening.seconds:.0f} s of sound at 16 kHz, blocks of {block:g} s"
    factor = work / listening.seconds
    yield Row(f"{case}: work", factor, 1.0, "the sound itself", "s/s", kind="limit")
    end = resident() / MEGABYTE
    yield Row(
        f"{case}: resident memory at the end",
        end,
        early,
        "early on",
        "MB",
        note=f"{end - early:+.2f} MB",
        kind="own",
    )
