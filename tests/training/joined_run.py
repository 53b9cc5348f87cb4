"""What each process under torchrun does; the test compares what it leaves."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

from engine.composed import KINDS, make, spikes
from spikewright import files
from spikewright.learning import processes
from spikewright.training import evaluate, fit
from training.fakes import FakeData, FakeNetwork, GradientRule


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    slow_down_writing()
    for epochs in (1, 2):
        # Process 1 starts elsewhere: training must begin from the weights of process 0.
        network = FakeNetwork(dropout=0.0, seed=int(os.environ["RANK"])).double()
        result = fit(
            network,
            FakeData(),
            GradientRule(),
            epochs=epochs,
            batch_size=5,
            folder=folder / "run",
            progress=False,
        )
    rank = processes.rank()
    torch.save(network.state_dict(), folder / f"weights-{rank}.pt")
    found = evaluate(network, FakeData().test, GradientRule(), rule_state=result.rule_state)
    torch.save(found.confusion, folder / f"confusion-{rank}.pt")
    average(folder, rank)
    share_gradients(folder, rank)


def slow_down_writing() -> None:
    """A process that does not wait for the disk of process 0 would resume from an older save."""
    write = files.write_atomically

    def slowly(path: Path, content: bytes) -> None:
        time.sleep(0.05)
        write(path, content)

    files.write_atomically = slowly


def average(folder: Path, rank: int) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in (2, 1, 1)]
    parameters[0].grad = torch.full((2,), (1.0, 5.0)[rank])
    if rank == 1:
        parameters[1].grad = torch.ones(1)
    processes.average_gradients(parameters, (3, 1)[rank])
    if rank == 0:
        torch.save([p.grad for p in parameters], folder / "gradients.pt")


def share_gradients(folder: Path, rank: int) -> None:
    """Each process takes half of a batch through torch's own data-parallel wrapper."""
    for kind in KINDS:
        net = make(kind)
        x = spikes(net, batch=4)[:, 2 * rank : 2 * rank + 2]
        shared = torch.nn.parallel.DistributedDataParallel(net)
        shared(x)[0].square().mean().backward()
        if rank == 0:
            torch.save([p.grad for p in net.parameters()], folder / f"shared-{kind}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
