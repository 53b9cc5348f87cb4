"""A frequency-current curve against its closed form: python examples/single_neuron.py"""

from __future__ import annotations

import torch

import spikewright as sw

TAU, REFRACTORY, DT = 20e-3, 5e-3, 1e-4


def main() -> float:
    """Print the curve; return the largest error in spikes per second."""
    currents = torch.linspace(1.1, 4.0, 15)
    cells = sw.LIF(tau_mem=TAU, refractory=REFRACTORY)
    cells.build(tuple(currents.shape), dt=DT)
    spikes, _ = cells(currents.expand(round(2 / DT), 1, -1))
    measured = spikes.sum(0).flatten() / 2
    theory = 1 / (REFRACTORY + TAU * torch.log(currents / (currents - 1)))
    print("current  measured  theory (Hz)")
    for current, ours, exact in zip(currents, measured, theory, strict=True):
        print(f"{float(current):7.2f}  {float(ours):8.1f}  {float(exact):6.1f}")
    return float((measured - theory).abs().max())


if __name__ == "__main__":
    main()
