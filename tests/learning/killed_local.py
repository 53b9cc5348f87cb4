"""Train with `Local` in a fork that is killed in the middle of an epoch; resume it here."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from learning.local_tasks import equal, fitted, network
from learning.tasks import same, weights
from spikewright.learning import Local
from spikewright.learning.plasticity import VDSP

CALLS = 7
"""Batches until the end comes; an epoch is five of them."""


def die_in_the_middle() -> None:
    """Let `Local` end this process before it has told what one of its batches gave."""
    train, calls = Local.train_batch, list[None]()

    def dying(self: Local, *given: Any) -> Any:
        found = train(self, *given)
        calls.append(None)
        if len(calls) == CALLS:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Local.train_batch = dying  # type: ignore[method-assign]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    options = {"epochs": 3, "checkpoint_steps": 1}
    child = os.fork()
    if child == 0:
        die_in_the_middle()
        fitted(network(), Local(VDSP(lr=0.05)), folder=folder / "cut", **options)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    resumed, straight = network(seed=9), network()
    found = fitted(resumed, Local(VDSP(lr=0.05)), folder=folder / "cut", **options)
    expected = fitted(straight, Local(VDSP(lr=0.05)), folder=folder / "whole", **options)
    report = {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "weights": same(weights(resumed), weights(straight)),
        "state": equal(found.rule_state, expected.rule_state),
        "samples": found.rule_state["samples"],
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
