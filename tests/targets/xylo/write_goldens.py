"""Write what xylosim 0.1.3 makes of `chips_at_random` into ``goldens``; run it only on purpose.

SPIKEWRIGHT_BENCH_PYTHON_XYLOSIM=... PYTHONPATH=src:tests python tests/targets/xylo/write_goldens.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikewright.benches.core.xylosim import Xylosim, interpreter
from targets.xylo.chips_at_random import clips, configuration

HERE = Path(__file__).parent / "goldens"
SEEDS = range(12)


def main() -> None:
    """One file for each seed, in the smallest whole numbers that hold it."""
    python = interpreter()
    assert python is not None, "name an interpreter that has xylosim"
    for seed in SEEDS:
        c = configuration(seed)
        with Xylosim(python, c, clips(seed, c)) as peer:
            found = {name: values.astype(np.int16) for name, values in peer.states().items()}
        np.savez_compressed(HERE / f"{seed}.npz", **found)


if __name__ == "__main__":
    main()
