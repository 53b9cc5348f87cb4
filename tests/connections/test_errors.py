"""Every refusal, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from spikewright.connections import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Delay,
    DelayedLinear,
    Dropout,
    Flatten,
    Fold,
    Linear,
    MaxPool2d,
    Scale,
)
from spikewright.engine.layer import Layer
from spikewright.errors import NetworkError, ParameterError, ShapeError

NAN = float("nan")


def built(layer: Layer, *shape: int) -> Layer:
    layer.build(shape, 1e-3)
    return layer


MAKING: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: Linear(4, 0),
        "Linear: out_features must be a positive integer, got 0. "
        "Pass the number as a Python int, 1 or more.",
    ),
    (
        lambda: Linear(2.5, 1),  # pyright: ignore
        "Linear: in_features must be a positive integer, got 2.5. "
        "Pass the number as a Python int, 1 or more.",
    ),
    (
        lambda: Conv2d(3, 4, 3, groups=2),
        "Conv2d: in_channels must be a multiple of groups=2, got 3. "
        "Choose groups that divides both numbers of channels.",
    ),
    (
        lambda: Conv2d(3, 4, (3, 0)),
        "Conv2d: kernel_size must be an integer of 1 or more, or two of them, got (3, 0). "
        "Pass one number for both axes, or (height, width).",
    ),
    (
        lambda: Conv2d(3, 4, 3, padding="reflect"),
        "Conv2d: padding must be a number, a pair, 'same' or 'valid', got 'reflect'. "
        "Pass for example padding=1.",
    ),
    (
        lambda: Conv1d(3, 4, (3, 3)),
        "Conv1d: kernel_size must be an integer of 1 or more, got (3, 3). Pass one number.",
    ),
    (
        lambda: Conv1d(3, 4, 3, padding="reflect"),
        "Conv1d: padding must be a number, 'same' or 'valid', got 'reflect'. "
        "Pass for example padding=1.",
    ),
    (
        lambda: Conv1d(3, 4, 3, path="sparse"),  # pyright: ignore
        "Conv1d: path must be one of auto, dense, events, got 'sparse'. "
        "Known: auto, dense, events.",
    ),
    (
        lambda: MaxPool2d(2, padding=2),
        "MaxPool2d: padding must be at most half of kernel_size=(2, 2), got (2, 2). "
        "Use less padding or a larger window.",
    ),
    (
        lambda: Dropout(1.0),
        "Dropout: p must be at least 0 and below 1, got 1.0. "
        "Pass for example p=0.2 to silence one input in five.",
    ),
    (
        lambda: Dropout(NAN),
        "Dropout: p must be at least 0 and below 1, got nan. "
        "Pass for example p=0.2 to silence one input in five.",
    ),
    (
        lambda: BatchNorm(3, momentum=2.0),
        "BatchNorm: momentum must be finite, above 0 and at most 1, got 2.0. "
        "Leave it out to take the default.",
    ),
    (
        lambda: BatchNorm(3, v_threshold=NAN),
        "BatchNorm: v_threshold must be finite, above 0, got nan. "
        "Leave it out to take the default.",
    ),
    (
        lambda: Fold(Flatten()),
        "Fold: module must be a plain torch module, got Flatten. "
        "Layers of spikewright go into the network without Fold.",
    ),
    (
        lambda: Delay([1e-3, -2e-3]),
        "Delay: delays must be finite times of 0 s or more, got -0.002 s. "
        "A connection cannot look ahead; use 0 for none.",
    ),
    (
        lambda: DelayedLinear(1, 1, NAN),
        "DelayedLinear: delays must be finite times of 0 s or more, got nan s. "
        "A connection cannot look ahead; use 0 for none.",
    ),
    (
        lambda: Delay([]),
        "Delay: delays must be a number or a tensor of one or more, got an empty one. "
        "Pass for example delays=5e-3.",
    ),
    (
        lambda: Delay(5e-3, maximum=2e-3),
        "Delay: delays must be at most maximum=2 ms, got 5 ms. Shorten them or raise maximum.",
    ),
    (
        lambda: Delay(0.0, learnable=True),
        "Delay: maximum must be above 0 s where delays are learnable, got 0 s. "
        "Pass the longest delay that may occur, for example maximum=20e-3.",
    ),
    (
        lambda: Delay(0.0, maximum=NAN),
        "Delay: maximum must be a finite time >= 0 s, got nan s. "
        "Pass the longest delay that may occur, for example maximum=20e-3.",
    ),
    (
        lambda: Scale(NAN),
        "Scale: scale must be finite, got nan. Pass a number or a tensor of numbers.",
    ),
]

JOINING: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: built(Linear(5, 3), 4),
        "Linear: input features must be (5,), got (4,). "
        "Set in_features to 4, or to None to infer it.",
    ),
    (
        lambda: built(Linear(5, 3), 1, 28, 28),
        "Linear: input features must be one axis, (in_features,), got (1, 28, 28). "
        "Put a Flatten before the layer.",
    ),
    (
        lambda: Linear(5, 3)(torch.zeros(2, 1, 4)),
        "Linear: input features must be (5,), got (4,). "
        "Set in_features to 4, or to None to infer it.",
    ),
    (
        lambda: built(Conv2d(2, 3, 3), 4, 8, 8),
        "Conv2d: input features must be (2, 8, 8), got (4, 8, 8). "
        "Set in_channels to 4, or to None to infer it.",
    ),
    (
        lambda: built(Conv2d(2, 3, 3), 2, 2, 8),
        "Conv2d: input features must be (channels, height, width) that "
        "Conv2d(2, 3, kernel_size=(3, 3), bias=True) fits, got (2, 2, 8). "
        "Use a smaller kernel, more padding or other groups.",
    ),
    (
        lambda: built(Conv1d(2, 3, 3), 2, 8, 8),
        "Conv1d: input features must be (channels, length), got (2, 8, 8). "
        "Reshape the input, for one channel to (time, batch, 1, length).",
    ),
    (
        lambda: built(Conv1d(None, 4, 5, groups=2, stride=2, padding="same"), 2, 8),
        "Conv1d: input features must be (channels, length) that Conv1d(None, 4, kernel_size=(5,), "
        "stride=(2,), padding='same', groups=2, bias=True) fits, got (2, 8). "
        "Use a smaller kernel, more padding or other groups.",
    ),
    (
        lambda: built(AvgPool2d(2), 784),
        "AvgPool2d: input features must be (channels, height, width), got (784,). "
        "Reshape the input, for one channel to (time, batch, 1, height, width).",
    ),
    (
        lambda: built(MaxPool2d(4), 1, 3, 8),
        "MaxPool2d: input features must be (channels, height, width) with room for a window of "
        "(4, 4), got (1, 3, 8). Use a smaller window.",
    ),
    (
        lambda: built(BatchNorm()),
        "BatchNorm: input features must have a feature or channel axis, got (). "
        "Add an axis to the input with x.unsqueeze(-1).",
    ),
    (
        lambda: built(Fold(nn.Linear(3, 2)), 4),
        "Fold(Linear): module must map (2, 4) to a tensor of 2 rows, got mat1 and mat2 shapes "
        "cannot be multiplied (2x4 and 3x2). "
        "Check the module on a batch of plain tensors of that shape.",
    ),
    (
        lambda: built(Fold(nn.LSTM(4, 2)), 4),
        "Fold(LSTM): module must map (2, 4) to a tensor of 2 rows, got tuple. "
        "Check the module on a batch of plain tensors of that shape.",
    ),
    (
        lambda: built(Delay([1e-3, 2e-3]), 3),
        "Delay: delays must be one number or broadcast to the input features = (3,), got (2,). "
        "Give one delay for each, or one for all.",
    ),
    (
        lambda: built(DelayedLinear(3, 2, torch.zeros(3, 2)), 3),
        "DelayedLinear: delays must be one number or broadcast to (out_features, in_features) = "
        "(2, 3), got (3, 2). Give one delay for each, or one for all.",
    ),
    (
        lambda: Delay(1e-3)(torch.zeros(2, 1, 4)),
        "Delay: dt must be bound before the first call, got None. "
        "Put the layer in a network, or call layer.build(shape, dt).",
    ),
    (
        lambda: built(Flatten(1, 2), 5, 4),
        "Flatten: input features must have the axes 1 to 2, got (5, 4). "
        "Choose axes of the input, without time and batch.",
    ),
    (
        lambda: built(Scale(torch.ones(3)), 5, 4),
        "Scale: scale must be one number or broadcast to the input features (5, 4), got (3,). "
        "Give one factor for each, or one for all.",
    ),
]

RUNNING: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: Linear(5, 3)(torch.zeros(5)),
        "Linear: input must be (time, batch, *features) with at least one step and one sample, "
        "got shape (5,). Add the axes that are missing.",
    ),
    (
        lambda: Flatten()(torch.zeros(0, 2, 5)),
        "Flatten: input must be (time, batch, *features) with at least one step and one sample, "
        "got shape (0, 2, 5). Add the axes that are missing.",
    ),
    (
        lambda: built(Linear(5, 3), 5)(torch.zeros(2, 1, 4)),
        "Linear: input must be (time, batch, 5), got shape (2, 1, 4). "
        "A layer keeps the shape it was first used with; make a new layer for another.",
    ),
    (
        lambda: Linear(5, 3)(torch.zeros(2, 1, 5, dtype=torch.float64)),
        "Linear: input must be torch.float32, as the weights are, got torch.float64. "
        "Convert it with x.to(torch.float32), or the network with net.to(torch.float64).",
    ),
    (
        lambda: Linear(5, 3)(torch.zeros(2, 1, 5), torch.zeros(1)),
        "Linear: state must be None, as the layer keeps none, got Tensor. "
        "Pass each layer what it returned itself.",
    ),
    (
        lambda: BatchNorm(5)(torch.zeros(1, 1, 5)),
        "BatchNorm: time x batch must be at least 2 while training, got 1. "
        "Use more samples, or net.eval().",
    ),
    (
        lambda: Dropout()(torch.zeros(2, 3, 5), torch.ones(2, 5, dtype=torch.bool)),
        "Dropout: state must be a mask (batch, *features) = (3, 5), got (2, 5). "
        "Pass None to start with a batch of another size.",
    ),
    (
        lambda: built(Delay(4e-3), 5)(torch.zeros(2, 3, 5), torch.zeros(2, 4, 5)),
        "Delay: state must be the last inputs, (batch, delay steps, *features) = (3, 4, 5), "
        "got (2, 4, 5). Pass None to start with a batch of another size.",
    ),
]


def message(error: type[Exception], action: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        action()
    return str(caught.value)


@pytest.mark.parametrize(("action", "text"), MAKING, ids=[text[:40] for _, text in MAKING])
def test_options_out_of_range_are_refused(action: Callable[[], Any], text: str) -> None:
    assert message(ParameterError, action) == text


@pytest.mark.parametrize(("action", "text"), JOINING, ids=[text[:40] for _, text in JOINING])
def test_shapes_that_do_not_fit_are_refused(action: Callable[[], Any], text: str) -> None:
    assert message(NetworkError, action) == text


@pytest.mark.parametrize(("action", "text"), RUNNING, ids=[text[:40] for _, text in RUNNING])
def test_sequences_and_states_that_do_not_fit_are_refused(
    action: Callable[[], Any], text: str
) -> None:
    assert message(ShapeError, action) == text


def test_delays_saved_with_another_maximum_are_refused() -> None:
    saved = Delay(5e-3, maximum=10e-3).state_dict()
    text = (
        "Delay: maximum must be 0.01 s, as it was when the delays were saved, got 0.02 s. "
        "Make the layer with maximum=0.01."
    )
    assert text in message(RuntimeError, lambda: Delay(5e-3, maximum=20e-3).load_state_dict(saved))


def test_a_refused_call_leaves_the_layer_open() -> None:
    layer = Linear(None, 3)
    with pytest.raises(NetworkError):
        layer(torch.zeros(2, 1, 4, 4))
    assert layer.inputs is None
    assert layer.build((4,), 1e-3) == (3,)
