"""Fork a training run, kill it at a random moment, and again, until it was killed often enough."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import lightning_fabric  # noqa: F401 (so that each fork starts at once)
import safetensors.torch  # noqa: F401
import torch

from spikewright.training import fit
from training.fakes import FakeData, FakeNetwork, GradientRule


def train(folder: str) -> None:
    torch.set_num_threads(1)
    rule = GradientRule(before=lambda step: time.sleep(0.004))
    fit(
        FakeNetwork(),
        FakeData(),
        rule,
        epochs=40,
        batch_size=5,
        folder=folder,
        checkpoint_steps=1,
        progress=False,
    )


def start(folder: str) -> int:
    child = os.fork()
    if child == 0:
        try:
            train(folder)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return child


def main(folder: str, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    killed: list[int] = []
    while True:
        child = start(folder)
        if len(killed) < kills:
            time.sleep(draw.uniform(0.0, 0.15))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            sys.stdout.write(json.dumps({"kills": len(killed)}))
            sys.exit(os.WEXITSTATUS(status))
        killed.append(child)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
