"""A small listener, and sounds that it tells apart."""

from __future__ import annotations

import numpy as np
import torch

import spikewright as sw
from spikewright.audio import LogEnergy
from spikewright.detection import Detector, Listener

RATE = 8000
EAR = LogEnergy(rate=RATE, channels=4)
CLASSES = ("quiet", "low", "high")


def tone(frequency: float, seconds: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency / RATE * np.arange(round(seconds * RATE)))


def sound() -> np.ndarray:
    """A second each of silence, a low tone, silence, a high tone."""
    silence = np.zeros(RATE)
    return np.concatenate([silence, tone(EAR.centres[0], 1.0), silence, tone(EAR.centres[3], 1.0)])


def make_listener(**options: object) -> Listener:
    """Energy of the first and last band against silence, by weights set by hand."""
    net = sw.Sequential(sw.Linear(4, 3), sw.LI(tau_mem=20e-3), dt=EAR.dt)
    first = net.layers["0_linear"]
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[0, 0, 0, 0], [1, 0, 0, -1], [-1, 0, 0, 1]]))
        first.bias.copy_(torch.tensor([4.0, 0.0, 0.0]))
    frames, _ = EAR(sound())
    calibration = torch.from_numpy(frames).unsqueeze(1)
    program = sw.compile(net.eval(), "simulator", calibration=calibration, **options)
    return Listener(program, EAR, Detector(CLASSES, EAR.dt, 0.8, background=("quiet",)))
