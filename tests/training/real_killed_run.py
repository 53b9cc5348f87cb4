"""`killed_run`, with a network of spiking neurons and the surrogate rule."""

from __future__ import annotations

import sys

from training import killed_run, real


def train(folder: str) -> None:
    real.train(real.network(), folder=folder, checkpoint_steps=1)


if __name__ == "__main__":
    # Kernels compile here, once: a fork has no time for it before it is killed.
    real.train(real.network(), epochs=1)
    killed_run.train = train
    killed_run.main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
