"""Whether weights are still as they were first drawn."""

from __future__ import annotations

import copy

import torch

from spikewright.connections import Linear


def test_a_copy_of_fresh_weights_is_untouched() -> None:
    assert copy.deepcopy(Linear(3, 4)).untouched


def test_a_copy_changed_once_in_place_is_not_untouched() -> None:
    layer = copy.deepcopy(Linear(3, 4))
    with torch.no_grad():
        layer.weight.mul_(2)
    assert not layer.untouched


def test_weights_set_behind_the_version_counter_are_not_untouched() -> None:
    layer = Linear(3, 4)
    layer.weight.data.fill_(1.0)
    assert not layer.untouched


def test_a_bias_set_by_hand_is_not_untouched() -> None:
    layer = Linear(3, 4)
    assert layer.bias is not None
    layer.bias.data.fill_(1.0)
    assert not layer.untouched


def test_weights_of_open_size_are_not_untouched() -> None:
    assert not Linear(None, 4).untouched
