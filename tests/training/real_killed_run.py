"""`killed_run`, with a network of spiking neurons and the surrogate rule."""

from __future__ import annotations

import sys

from training import killed_run, real

EPOCHS = 15
"""Enough that no run ends before it is killed for the last time."""


def train(folder: str) -> None:
    real.train(real.network(), folder=folder, checkpoint_steps=1, epochs=EPOCHS)


if __name__ == "__main__":
    # Kernels compile here, once: a fork has no time for it before it is killed.
    real.train(real.network(), epochs=1)
    killed_run.train = train
    killed_run.main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
