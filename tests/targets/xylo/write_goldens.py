"""Write what xylosim 0.1.3 makes of `chips_at_random` into ``goldens``; run it only on purpose.

Beside them a network trained on spoken digits, its configuration and some of the 200 test clips on
which all numbers of twin and simulator are compared here.

SPIKEWRIGHT_BENCH_PYTHON_XYLOSIM=... PYTHONPATH=src:tests python tests/targets/xylo/write_goldens.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import spikewright as sw
from spikewright.audio import LogEnergy
from spikewright.benches.core.xylosim import Xylosim, interpreter
from spikewright.coding import Mean
from spikewright.learning import Surrogate
from spikewright.targets.xylo.file import write_configuration
from spikewright.targets.xylo.twin.plain import run_plain
from spikewright.targets.xylo.twin.twin import Twin
from targets.xylo.chips_at_random import clips, configuration

HERE = Path(__file__).parent / "goldens"
SEEDS = range(12)
CLIPS, KEPT = 200, 8


def main() -> None:
    """One file for each seed, in the smallest whole numbers that hold it."""
    python = interpreter()
    assert python is not None, "name an interpreter that has xylosim"
    for seed in SEEDS:
        c = configuration(seed)
        with Xylosim(python, c, clips(seed, c)) as peer:
            found = {name: values.astype(np.int16) for name, values in peer.states().items()}
        np.savez_compressed(HERE / f"{seed}.npz", **found)
    trained(python)


def trained(python: str) -> None:
    """A network of 72 neurons after 30 epochs; says what the chip's numbers cost it."""
    dt = 10e-3
    data = sw.data.SpokenDigits(LogEnergy(8000, dt))
    taus = {"tau_base": 2 * dt, "tau_mem": 2 * dt, "tau_out": 2 * dt}
    torch.manual_seed(0)
    net = sw.models.SynNet(16, 10, **taus, dt=dt)
    sw.aim_rates(net, data.train.batch(range(32))[0], 0.3)
    rule = Surrogate(decoder=Mean(), learning_rate=5e-3, schedule="cosine")
    sw.fit(net, data, rule, epochs=30, batch_size=32)
    program = sw.compile(net, "xylo-audio3", calibration=data)
    for where, how in {"in software": {}, "on the chip": {"forward": program}}.items():
        print(f"{100 * sw.evaluate(net, data.test, rule, **how).metrics['accuracy']:.2f} % {where}")
    c = program.artefact.configuration
    x = data.test.batch(torch.randperm(300)[:CLIPS])[0]
    events = x.numpy().astype(np.int64)
    with Xylosim(python, c, events) as peer:
        found = peer.states()
    judge, twin = run_plain(c, events)[0], Twin(c).run(x)[0].spikes.numpy()
    differ = {name: int((getattr(judge, name) != values).sum()) for name, values in found.items()}
    print(f"differ on {CLIPS} clips: {differ}, the twin in {int((twin != found['events']).sum())}")
    write_configuration(c, HERE / "trained.json")
    kept = {name: values[:, :KEPT].astype(np.int16) for name, values in found.items()}
    np.savez_compressed(HERE / "trained.npz", x=events[:, :KEPT].astype(np.int16), **kept)


if __name__ == "__main__":
    main()
