"""Serve a fake chip until killed: PORT SECONDS_A_RUN SEED."""

from __future__ import annotations

import sys
import threading

from spikewright.targets.brainscales2.wire import CODEC
from spikewright.targets.core.device.server import DeviceServer
from targets.chips import FakeChip

TOKEN = "token-of-the-tests"


def main(port: int, seconds: float, seed: int) -> None:
    chip = FakeChip(seed, seconds)
    with DeviceServer(chip, CODEC, ("127.0.0.1", port), TOKEN) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
