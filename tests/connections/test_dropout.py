"""Dropout: one mask a sequence, a value in the state."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.connections import Dropout


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(1, 9), p=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_run_in_two_chunks_equals_one_run(cut: int, p: float, seed: int) -> None:
    x = torch.randn(10, 2, 3, 4, generator=torch.Generator().manual_seed(seed))
    layer = Dropout(p)
    torch.manual_seed(seed)
    whole, end = layer(x)
    torch.manual_seed(seed)
    first, state = layer(x[:cut])
    second, state = layer(x[cut:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(state, end)


def test_the_share_p_is_silent_throughout_and_the_rest_scaled() -> None:
    torch.manual_seed(1)
    y, mask = Dropout(0.2)(torch.ones(5, 100, 200))
    assert torch.equal(y, y[:1].expand_as(y))
    torch.testing.assert_close(y[0], mask * 1.25)
    # 20,000 draws: four standard deviations are 0.011.
    assert abs(mask.double().mean().item() - 0.8) < 0.0113


def test_a_new_sequence_has_a_new_mask() -> None:
    torch.manual_seed(2)
    layer, x = Dropout(), torch.ones(2, 4, 50)
    assert not torch.equal(layer(x)[1], layer(x)[1])


def test_evaluation_is_identity_and_hands_a_mask_on() -> None:
    layer, x = Dropout(), torch.ones(2, 4, 5)
    mask = layer(x)[1]
    layer.eval()
    for state in (None, mask):
        y, after = layer(x, state)
        assert torch.equal(y, x)
        assert after is state


def test_gradients_pass_where_the_mask_does() -> None:
    x = torch.ones(3, 2, 20, requires_grad=True)
    y, mask = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, 2.0 * mask.expand(3, 2, 20))


def test_dtype_is_kept_and_integers_become_float() -> None:
    x = torch.ones(2, 2, 3)
    assert Dropout()(x.double())[0].dtype == torch.float64
    assert Dropout()(x.half())[0].dtype == torch.float16
    assert Dropout()(x.long())[0].dtype == torch.float32
