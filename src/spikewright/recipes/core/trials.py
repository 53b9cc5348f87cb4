"""What the recipes on exact spike times share: first weights, and several trainings of one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import spikewright as sw
from spikewright.coding import SpikeTimes
from spikewright.events import Membrane, simulate
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome, run

ACCURACY = "test accuracy, %"


def train_each(
    recipe: Recipe[Any],
    settings: RunSettings,
    folder: Path,
    changes: Mapping[str, Mapping[str, Any]],
    **how: Any,
) -> dict[str, Outcome]:
    """Train a recipe once for each set of changed settings, in a folder of its own.

    Args:
        changes: by name, which is also the folder's, the settings that differ.
        how: ``resume`` and ``progress``, as of a single run.
    """
    done: dict[str, Outcome] = {}
    for name, changed in changes.items():
        if how.get("progress", True):
            sys.stderr.write(f"{name}\n")
        done[name] = run(recipe, settings.model_copy(update=dict(changed)), folder / name, **how)
    return done


def accuracy(outcome: Outcome) -> float:
    """Of the test set, %."""
    return outcome.metrics()[ACCURACY]


def minutes(outcome: Outcome) -> float:
    """That training took."""
    return outcome.fit.seconds / 60


def aim_potentials(
    network: sw.Network, spikes: SpikeTimes, drives: Sequence[float], spreads: Sequence[float]
) -> None:
    """Draw normal first weights, layer after layer, so that neurons come to their thresholds.

    The mean weight is such that the potential of a neuron that had it throughout and no threshold
    would peak at ``drives`` thresholds, on average over the samples.

    Args:
        network: `Linear` connections and `CubaLIF` neurons in turn.
        spikes: of some samples.
        drives: for each layer of neurons, thresholds.
        spreads: for each, standard deviation over mean of the weights.
    """
    layers: list[Any] = list(network.layers.values())
    pairs = zip(layers[::2], layers[1::2], strict=True)
    for (wires, cells), drive, spread in zip(pairs, drives, spreads, strict=True):
        params = cells.params()
        readout = sw.CubaLI(tau_mem=float(params.tau_mem), tau_syn=float(params.tau_syn))
        probe = sw.Sequential(sw.Linear(spikes.size, 1, bias=False), readout, dt=network.dt)
        with torch.no_grad():
            next(probe.parameters()).fill_(1.0)
            membrane = simulate(probe, spikes).output
            assert isinstance(membrane, Membrane)
            mean = drive * float(params.v_threshold) / float(membrane.peak().mean())
            wires.weight.normal_(mean, spread * mean)
            ((_, fired),) = simulate(
                sw.Sequential(wires, cells, dt=network.dt), spikes
            ).fired.items()
            spikes = fired.spikes
