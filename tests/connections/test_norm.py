"""Batch norm over time and batch against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikewright.connections import BatchNorm


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 3, 5, 2)])
def test_training_equals_numpy(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(2.0, 3.0, size=shape)
    layer = BatchNorm(3, alpha=0.5, v_threshold=0.8, eps=1e-3, momentum=0.25).double()
    weight, bias = np.array([1.0, 2.0, 3.0]), np.array([0.0, -1.0, 1.0])
    layer.load_state_dict(
        layer.state_dict() | {"weight": torch.tensor(weight), "bias": torch.tensor(bias)}
    )
    axes = tuple(axis for axis in range(len(shape)) if axis != 2)
    mean, var = x.mean(axes), x.var(axes)
    across = (3,) + (1,) * (len(shape) - 3)

    def put(values: np.ndarray) -> np.ndarray:
        return values.reshape(across)

    expected = put(weight) * 0.4 * (x - put(mean)) / np.sqrt(put(var) + 1e-3) + put(bias)
    y, state = layer(torch.from_numpy(x))
    assert state is None
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-10, atol=1e-12)

    count = x.size / 3
    running = 0.75 + 0.25 * var * count / (count - 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), running, rtol=1e-12)

    layer.eval()
    expected = put(weight) * 0.4 * (x - put(0.25 * mean)) / np.sqrt(put(running) + 1e-3)
    y = layer(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(y, expected + put(bias), rtol=1e-10, atol=1e-12)


def test_gradients_equal_finite_differences() -> None:
    layer = BatchNorm(2, v_threshold=0.7).double()
    x = torch.randn(4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], x.requires_grad_())


def test_two_chunks_equal_one_run_in_evaluation() -> None:
    layer = BatchNorm()
    x = torch.randn(10, 3, 2, generator=torch.Generator().manual_seed(1))
    layer(x)
    layer.eval()
    chunks = torch.cat([layer(x[:4])[0], layer(x[4:])[0]])
    torch.testing.assert_close(chunks, layer(x)[0])
