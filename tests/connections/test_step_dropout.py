"""Dropout drawn anew at each step, from a stream that is a value in the state."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.connections import StepDropout
from spikewright.errors import BackendError, ParameterError, ShapeError


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(1, 9), p=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_run_in_two_chunks_equals_one_run(cut: int, p: float, seed: int) -> None:
    x = torch.randn(10, 2, 3, 4, generator=torch.Generator().manual_seed(seed))
    layer = StepDropout(p)
    torch.manual_seed(seed)
    whole, end = layer(x)
    torch.manual_seed(seed)
    first, state = layer(x[:cut])
    second, state = layer(x[cut:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for a, b in zip(state, end, strict=True))


def test_the_share_p_is_silent_in_each_step_and_the_rest_scaled() -> None:
    torch.manual_seed(1)
    y, _ = StepDropout(0.2)(torch.ones(50, 40, 10))
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1.25]))
    # 20,000 draws: four standard deviations are 0.011; of the 500 of a step, 0.072.
    silent = y == 0
    assert abs(silent.double().mean().item() - 0.2) < 0.0113
    assert (silent.double().mean((1, 2)) - 0.2).abs().max() < 0.08
    assert not torch.equal(y[0], y[1])


def test_samples_of_a_batch_and_later_calls_draw_differently() -> None:
    layer, x = StepDropout(), torch.ones(40, 2, 10)
    y = layer(x)[0]
    assert not torch.equal(y[:, 0], y[:, 1])
    assert not torch.equal(layer(x)[0], y)


def test_evaluation_is_identity_and_hands_the_state_on() -> None:
    layer, x = StepDropout(), torch.ones(2, 4, 5)
    state = layer(x)[1]
    layer.eval()
    for before in (None, state):
        y, after = layer(x, before)
        assert torch.equal(y, x)
        assert after is before


def test_gradients_pass_where_spikes_do() -> None:
    x = torch.ones(3, 2, 20, requires_grad=True)
    y, _ = StepDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_what_does_not_fit_is_refused() -> None:
    layer, x = StepDropout(0.5), torch.ones(2, 4, 5)
    with pytest.raises(ParameterError, match="StepDropout: p must be at least 0 and below 1"):
        StepDropout(1.0)
    with pytest.raises(ShapeError) as caught:
        layer(x[:, :3], layer(x)[1])
    assert str(caught.value) == (
        "StepDropout: state must be a StepDropoutState for a batch of 3, got StepDropoutState "
        "of 4. Pass None for a fresh start."
    )
    with pytest.raises(BackendError, match="must be in evaluation mode to be compiled"):
        layer.part()
    with pytest.raises(BackendError, match=r"must be in evaluation mode inside torch\.compile"):
        torch.func.vmap(lambda x: layer(x)[0])(x[None])
