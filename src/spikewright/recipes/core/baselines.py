"""Networks without spikes that recipes train beside their own, on the same data."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikewright.engine.layer import Layer, Shape
from spikewright.errors import NetworkError


class LSTMState(NamedTuple):
    """Output and cell of each unit, (batch, units)."""

    h: Tensor
    c: Tensor


class LSTM(Layer):
    """Long short-term memory of Hochreiter and Schmidhuber (1997), by `torch.nn.LSTM`.

    Its forget gates start open, with a bias of 1; or, where the length of sequences is given, such
    that units remember for 1 to ``steps`` steps (Tallec and Ollivier, ICLR 2018).

    Args:
        inputs: features of the input.
        units: features of the output.
        steps: of a sequence.

    Shapes: x (time, batch, inputs) to (time, batch, units).

    >>> y, state = LSTM(3, 5)(torch.zeros(7, 2, 3))
    >>> y.shape, state.c.shape
    (torch.Size([7, 2, 5]), torch.Size([2, 5]))
    """

    stateful = True

    def __init__(self, inputs: int, units: int, steps: int | None = None) -> None:
        super().__init__()
        self.cells = nn.LSTM(inputs, units)
        with torch.no_grad():
            take, keep, *_ = self.cells.get_parameter("bias_ih_l0").split(units)
            keep.fill_(1.0)
            if steps is not None:
                keep.uniform_(1.0, max(2.0, steps - 1.0)).log_()
                take.copy_(-keep)

    def output_shape(self, shape: Shape) -> Shape:
        if shape != (self.cells.input_size,):
            raise NetworkError(
                f"LSTM: input features must be {(self.cells.input_size,)}, got {shape}. "
                "Give it as many inputs as the layer before has outputs."
            )
        return (self.cells.hidden_size,)

    def initial_state(self, batch: int) -> LSTMState:
        zeros = self.cells.get_parameter("bias_ih_l0").new_zeros((batch, self.cells.hidden_size))
        return LSTMState(zeros, zeros)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, LSTMState]:
        h, c = self.initial_state(x.shape[1]) if state is None else state
        y, (h, c) = self.cells(x, (h[None], c[None]))
        return y, LSTMState(h[0], c[0])


def lstm_units(inputs: int, outputs: int, parameters: int) -> int:
    """Units of an `LSTM` with a linear readout that has about so many parameters.

    >>> units = lstm_units(28, 10, 50_000)
    >>> sum(p.numel() for p in LSTM(28, units).parameters()) + 10 * (units + 1)
    50256
    """
    # 4 u (u + inputs + 2) + outputs (u + 1) = parameters, for u.
    slope = 4 * (inputs + 2) + outputs
    root = (slope * slope + 16 * (parameters - outputs)) ** 0.5
    return max(1, round((root - slope) / 8))


class CausalCNN(Layer):
    """Convolutions over time with ReLU between them, each padded on the side of the past only.

    Its state is the input that each convolution still looks back on: pieces give what the whole
    gives, up to the order in which a sum is taken.

    Args:
        inputs: features of the input.
        outputs: features of the output.
        units: of the hidden convolutions.
        kernel: steps that a hidden convolution looks at.
        dilations: steps between two that it looks at, one for each; the last layer looks at one.
        dropout: share of the last hidden layer's values that is left out in training.
        scale: factor on the input.

    Shapes: x (time, batch, inputs) to (time, batch, outputs).

    >>> y, state = CausalCNN(16, 4)(torch.zeros(7, 2, 16))
    >>> y.shape, [past.shape[-1] for past in state]
    (torch.Size([7, 2, 4]), [4, 8, 16])
    """

    stateful = True

    def __init__(
        self,
        inputs: int,
        outputs: int,
        units: int = 32,
        *,
        kernel: int = 5,
        dilations: tuple[int, ...] = (1, 2, 4),
        dropout: float = 0.2,
        scale: float = 0.2,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.scale = inputs, outputs, scale
        sizes = (inputs, *(units for _ in dilations))
        self.hidden = nn.ModuleList(
            nn.Conv1d(size, units, kernel, dilation=dilation)
            for size, dilation in zip(sizes[:-1], dilations, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Conv1d(sizes[-1], outputs, 1)

    def output_shape(self, shape: Shape) -> Shape:
        if shape != (self.inputs,):
            raise NetworkError(
                f"CausalCNN: input features must be {(self.inputs,)}, got {shape}. "
                "Give it as many inputs as the layer before has outputs."
            )
        return (self.outputs,)

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        return tuple(
            layer.weight.new_zeros((batch, layer.in_channels, _past(layer)))
            for layer in self._hidden()
        )

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        pasts = self.initial_state(x.shape[1]) if state is None else state
        y, kept = x.permute(1, 2, 0) * self.scale, list[Tensor]()
        for layer, past in zip(self._hidden(), pasts, strict=True):
            y = torch.cat([past, y], 2)
            kept.append(y[:, :, y.shape[2] - _past(layer) :])
            y = layer(y).relu()
        return self.last(self.dropout(y)).permute(2, 0, 1), tuple(kept)

    def _hidden(self) -> list[nn.Conv1d]:
        return [layer for layer in self.hidden if isinstance(layer, nn.Conv1d)]


def cnn_units(
    inputs: int, outputs: int, parameters: int, kernel: int = 5, convolutions: int = 3
) -> int:
    """Units of a `CausalCNN` that has about so many parameters.

    >>> units = cnn_units(16, 4, 12_000)
    >>> sum(p.numel() for p in CausalCNN(16, 4, units).parameters())
    12311
    """
    # u (kernel inputs + 1) + (convolutions - 1) u (kernel u + 1) + outputs (u + 1) = parameters.
    square = kernel * (convolutions - 1)
    slope = kernel * inputs + convolutions + outputs
    root = (slope * slope + 4 * square * (parameters - outputs)) ** 0.5
    return max(1, round((root - slope) / (2 * square)))


def _past(layer: nn.Conv1d) -> int:
    """Steps that a convolution looks back on."""
    return (layer.kernel_size[0] - 1) * layer.dilation[0]
