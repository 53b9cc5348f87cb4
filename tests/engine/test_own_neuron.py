"""A neuron that a user writes works like the built-in ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cases import distance, run
from engine.quadratic import QuadraticIF
from spikewright.engine.surrogate import Triangular
from spikewright.neurons import Neuron, learnable

HERE = Path(__file__).parent


def layer(backend: str, dtype: torch.dtype, neurons: int = 7) -> Neuron:
    random = torch.Generator().manual_seed(0)

    def each(low: float, high: float) -> torch.Tensor:
        drawn = torch.rand(neurons, generator=random, dtype=torch.float64)
        return learnable((low + (high - low) * drawn).to(dtype))

    made = QuadraticIF(
        backend=backend,
        surrogate=Triangular(width=0.2),
        tau_mem=each(8e-3, 20e-3),
        tau_adapt=each(30e-3, 60e-3),
        v_threshold=each(0.8, 1.2),
        beta=each(0.1, 0.5),
    )
    made.build((neurons,), 1e-3)
    return made


def drive(dtype: torch.dtype, scale: float) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return (scale * torch.rand(37, 3, 7, generator=random, dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_own_neuron_equals_the_eager_loop_in_spikes_traces_and_gradients(
    dtype: torch.dtype,
) -> None:
    x = drive(dtype, 4.0)
    found = run(layer("cpu", dtype), x, ("v", "a"))
    expected = run(layer("reference", dtype), x, ("v", "a"))
    assert 0.02 < float(expected.values["output"].mean()) < 0.5
    for name, value in expected.values.items():
        assert torch.equal(found.values[name], value), name
    assert len(expected.gradients) == 7
    for name, value in expected.gradients.items():
        assert bool(value.any()), name
        limit = 1e-5 if dtype is torch.float32 else 1e-12
        assert distance(found.gradients[name], value) < limit, name


def test_own_neuron_has_the_gradients_of_finite_differences_where_it_is_smooth() -> None:
    made = layer("cpu", torch.float64)
    names = [name for name, _ in made.parameter_set.named_parameters()]
    values = [p.detach().clone() for p in made.parameters()]
    start = [leaf.detach().clone() for leaf in made.initial_state(3)]
    for name in names:
        delattr(made.parameter_set, name)

    def traces(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        for name, value in zip(names, rest, strict=False):
            made.parameter_set.__dict__[name] = value
        state = made.State(*rest[len(names) :])
        spikes, _, traces = made.run(x, state, ("v", "a"))
        assert not spikes.any()
        return traces["v"]

    start[1] += 0.3
    inputs = [drive(torch.float64, 0.3), *values, *start]
    assert torch.autograd.gradcheck(
        traces, [t.requires_grad_() for t in inputs], fast_mode=True, atol=1e-8
    )


def test_own_neuron_takes_noise_and_a_refractory_period() -> None:
    torch.manual_seed(0)
    made = QuadraticIF(refractory=3e-3, noise=1.0, backend="reference")
    made.build((7,), 1e-3)
    spikes, _ = made(drive(torch.float32, 6.0))
    times = spikes[:, 0, 0].nonzero().flatten()
    assert len(times) > 2
    assert int(times.diff().min()) > 3


def test_own_neuron_of_a_script_and_of_a_cell_comes_from_the_disk_cache_next_time(
    tmp_path: Path,
) -> None:
    environment = os.environ | {"SPIKEWRIGHT_CACHE": str(tmp_path)}
    command = [sys.executable, str(HERE / "own_neuron_script.py"), str(HERE / "quadratic.py")]

    def output(*more: str) -> str:
        done = subprocess.run(
            [*command, *more], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = output()
    assert output("no-trace") == first
    assert len(list(tmp_path.rglob("manifest.json"))) == 2
