"""A made-up run, simulated with NumPy so that its pictures look like those of a real one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikewright.report import (
    LayerRow,
    Membrane,
    ReportData,
    Sample,
    Summary,
    Weights,
    environment,
)

DT, STEPS, HIDDEN = 1e-6, 76, 120
CLASSES = ("yin", "yang", "dot")


def simulate(inputs: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Current-based leaky integrate-and-fire neurons and a leaky readout: spikes, v, output."""
    decay = np.exp(-DT / 6e-6)
    i, v, total = np.zeros(HIDDEN), np.zeros(HIDDEN), np.zeros(3)
    spikes, potentials, outputs = [], [], []
    for x in inputs:
        i = decay * i + weights[0] @ x
        v = decay * v + (1 - decay) * i
        spiking = v > 1.0
        potentials.append(np.where(spiking, 1.0, v))
        v = np.where(spiking, 0.0, v)
        total = 0.96 * total + weights[1] @ spiking
        spikes.append(spiking)
        outputs.append(total)
    return np.array(spikes, np.float32), np.array(potentials), np.array(outputs)


def sample(rng: np.random.Generator, weights: Any, target: int, prediction: int) -> Sample:
    inputs = np.zeros((STEPS, 5), np.float32)
    inputs[rng.integers(4, 44, 5), np.arange(5)] = 1
    spikes, potentials, outputs = simulate(inputs, weights)
    outputs[:, prediction] += np.abs(outputs).max() * np.linspace(0, 1, STEPS) ** 0.5
    record = Membrane(v=potentials, spikes=spikes, threshold=1.0)
    return Sample(
        input=inputs,
        hidden={"1_cubalif": spikes},
        membranes={"1_cubalif": record},
        readout=outputs,
        target=target,
        prediction=prediction,
    )


def learning(rng: np.random.Generator, epochs: int = 40) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        left = np.exp(-epoch / 7)
        for kind, offset in (("train", 0.0), ("validation", 0.008)):
            loss = 0.07 + offset + 0.9 * left + rng.normal(0, 0.008)
            accuracy = 0.976 - offset / 2 - 0.5 * left + rng.normal(0, 0.003)
            rates = {"1_cubalif": 0.011 + 0.012 * (1 - left) + rng.normal(0, 2e-4)}
            records.append(
                {"kind": kind, "epoch": epoch, "loss": loss, "accuracy": accuracy, "rates": rates}
            )
    return [*records, {"kind": "test", "epoch": epochs, "loss": 0.0861, "accuracy": 0.9733}]


@pytest.fixture(scope="session")
def run_data() -> ReportData:
    rng = np.random.default_rng(4)
    before = rng.normal(1.0, 0.9, (HIDDEN, 5)), rng.normal(0, 0.1, (3, HIDDEN))
    weights = before[0] + rng.normal(0, 1.6, (HIDDEN, 5)), before[1] * rng.normal(1, 2, (3, HIDDEN))
    answers = ((0, 0), (1, 1), (2, 0))
    samples = [sample(rng, weights, *answer) for answer in answers]
    rates = np.mean([s.hidden["1_cubalif"].mean(0) for s in samples], axis=0)
    return ReportData(
        title="Yin-Yang",
        subtitle="A 5-120-3 network of current-based leaky integrate-and-fire neurons, "
        "trained with surrogate gradients",
        dt=DT,
        classes=CLASSES,
        summary=Summary(
            accuracy=0.9733,
            loss=0.0861,
            seconds=92.3,
            parameters=960,
            spikes_per_inference=131.4,
            firing_rate=float(rates.mean()),
        ),
        warnings=(
            "1_cubalif: 22 of 120 neurons never spike on this batch. Raise the weight scale of "
            "0_linear or lower v_threshold.",
        ),
        curves=learning(rng),
        samples=samples,
        rates={"1_cubalif": rates},
        confusion=np.array([[331, 4, 3], [6, 327, 2], [8, 4, 315]]),
        weights={
            "0_linear": Weights(after=weights[0], before=before[0]),
            "2_linear": Weights(after=weights[1], before=before[1]),
        },
        layers=(
            LayerRow(name="0_linear", kind="Linear", parameters=600, shape=(120,)),
            LayerRow(name="1_cubalif", kind="CubaLIF", shape=(120,), rate=float(rates.mean())),
            LayerRow(name="2_linear", kind="Linear", parameters=360, shape=(3,)),
            LayerRow(name="3_cubali", kind="CubaLI", shape=(3,)),
        ),
        settings={
            "seed": 1,
            "data": {"name": "yin-yang", "steps": STEPS, "train": 5000, "validation": 1000},
            "rule": {"name": "surrogate", "learning_rate": 5e-3, "surrogate": "SuperSpike"},
            "epochs": 40,
            "batch_size": 150,
        },
        environment=environment(),
    )
