"""What each process under torchrun does with a network of spiking neurons."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from training import real


def main(folder: Path) -> None:
    rank = int(os.environ["RANK"])
    net = real.network(seed=rank, chance=False).double()
    for epochs in (1, 2):  # the second call takes up the run of the first
        real.train(net, folder=folder / "run", epochs=epochs, batch_size=9)
    torch.save(net.state_dict(), folder / f"weights-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
