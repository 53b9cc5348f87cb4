"""Run one compiled layer and print a checksum of its output and gradients.

``python cached_run.py [BARRIER]``: with a file named, wait until it exists, so that several
processes start at once.
"""

import hashlib
import sys
import time
from pathlib import Path

import torch

from spikewright.neurons import LIF

if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        Path(f"{sys.argv[1]}.{sys.argv[2]}").touch()
        while not Path(sys.argv[1]).exists():
            time.sleep(0.01)
    layer = LIF(backend="cpu")
    layer.build((9,), 1e-3)
    x = 4 * torch.rand(30, 2, 9, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    spikes, _ = layer(x)
    spikes.sum().backward()
    assert x.grad is not None
    print(hashlib.sha256(spikes.detach().numpy().tobytes() + x.grad.numpy().tobytes()).hexdigest())
