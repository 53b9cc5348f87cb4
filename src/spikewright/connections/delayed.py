"""Delays as values: seconds to steps, interpolation weights, and the ring buffer's shape."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.connections.base import Connection, check_state
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError, ParameterError
from spikewright.units import format_seconds

DelayValues = float | list[Any] | Tensor
"""Delays in seconds: one number for all, or a tensor that broadcasts to their number."""


class Delayed(Connection):
    """Base of the connections that delay their input.

    Delays are kept as ``fraction`` of ``maximum``: an optimiser's step is then the same share of
    the range whatever the time scale of the network. Outside 0..maximum a delay acts as the
    nearer end, and only a gradient that leads back inside passes.

    Attributes:
        fraction: delay / maximum, a parameter if learnable, else a buffer.
        maximum: longest delay that can be held, s.
        rounded: whether delays act rounded to whole steps; may be changed between runs.
        spread: standard deviation, in steps, of the Gaussian around each delay while training;
            ``None`` for none. May be changed between runs.
    """

    fraction: Tensor
    maximum_ps: Tensor

    def add_delays(
        self,
        delays: DelayValues,
        maximum: float | None,
        learnable: bool,
        rounded: bool,
        spread: float | None,
    ) -> None:
        """Check the delays (s) and make ``fraction`` of them."""
        where = type(self).__name__
        self.spread = check_spread(where, spread, learnable)
        values = check_delays(where, delays)
        self.maximum = check_maximum(where, values, maximum, learnable)
        self.rounded = rounded or spread is not None
        fraction = (values / (self.maximum or 1.0)).to(torch.get_default_dtype())
        if learnable:
            self.fraction = nn.Parameter(fraction)
        else:
            self.register_buffer("fraction", fraction)
        # An integer, which neither .half() nor .to(float64) changes.
        self.register_buffer("maximum_ps", torch.tensor(round(self.maximum * 1e12)))

    @property
    def delays(self) -> Tensor:
        """The delays in seconds, of the shape they were given in; differentiable."""
        return inward_clamp(self.fraction) * self.maximum

    @property
    def learnable(self) -> bool:
        """Whether the delays are parameters."""
        return isinstance(self.fraction, nn.Parameter)

    @property
    def depth(self) -> int:
        """Number of past steps the ring buffer holds: maximum / dt, rounded up."""
        # The margin keeps 6 µs / 1 µs at 6 steps where the quotient is 6.000000000000001.
        return max(1, math.ceil(self.maximum / self._bound_dt() - 1e-6))

    def taps(self) -> tuple[Tensor, Tensor]:
        """Whole steps k (int64, 0..depth-1) and part f (0..1): y[t] = (1-f) x[t-k] + f x[t-k-1].

        The gradient of f is that of the delay in steps, also for rounded delays.
        """
        dt, depth = self._bound_dt(), self.depth
        steps = inward_clamp(self.fraction) * (self.maximum / dt)
        with torch.no_grad():
            whole = steps.round()
            # A delay of whole steps must pass spikes on as they are, in spite of rounding errors.
            # In float64, a fraction that float32 could hold was rounded to it, before .double().
            fine = torch.finfo(steps.dtype).eps
            coarse = self.fraction.float().to(steps.dtype) == self.fraction
            eps = torch.where(coarse, max(fine, torch.finfo(torch.float32).eps), fine)
            close = (steps - whole).abs() <= 4 * eps * depth
            target = torch.where(close | self.rounded, whole, steps).clamp(0, depth)
            # NaN would be an index far outside; the part below still carries it to the output.
            k = target.nan_to_num(0.0).floor().clamp(max=depth - 1)
            offset = target - steps
        return k.long(), steps + offset - k

    @property
    def spreads(self) -> bool:
        """Whether the Gaussian acts: in training, where there is one."""
        return self.training and self.spread is not None

    def gaussian(self) -> Tensor:
        """Share of each past step in y[t], the last one that of x[t]: (*delays, depth + 1).

        exp(-(k - delay / dt)^2 / (2 spread^2)) for a step k back, over the sum of all.
        """
        assert self.spread is not None
        depth = self.depth
        back = torch.arange(depth, -1, -1, device=self.fraction.device)
        steps = inward_clamp(self.fraction) * (self.maximum / self._bound_dt())
        distance = (back - steps.unsqueeze(-1)) / self.spread
        return torch.softmax(-0.5 * distance * distance, -1)

    def history(self, x: Tensor, state: State) -> Tensor:
        """The ring buffer (zeros at a fresh start) before ``x``: (depth + time, batch, *n)."""
        shape = (x.shape[1], self.depth, *x.shape[2:])
        what = "the last inputs, (batch, delay steps, *features)"
        check_state(type(self).__name__, state, shape, what)
        if state is None:
            return torch.cat([x.new_zeros(shape).transpose(0, 1), x])
        return torch.cat([state.to(x.dtype).transpose(0, 1), x])

    def initial_state(self, batch: int) -> Tensor:
        assert self.shape is not None
        return self.fraction.new_zeros(batch, self.depth, *self.shape).detach()

    def next_state(self, history: Tensor) -> Tensor:
        """The last inputs, (batch, depth, *n)."""
        return history[-self.depth :].transpose(0, 1).contiguous()

    def extra_repr(self) -> str:
        text = f"delays={tuple(self.fraction.shape)}, maximum={format_seconds(self.maximum)}"
        text += ", learnable=True" if self.learnable else ""
        if self.spread is not None:
            return f"{text}, spread={self.spread:g}"
        return text + (", rounded=True" if self.rounded else "")

    def _bound_dt(self) -> float:
        if self.dt is None:
            raise NetworkError(
                f"{type(self).__name__}: dt must be bound before the first call, got None. "
                "Put the layer in a network, or call layer.build(shape, dt)."
            )
        return self.dt

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        stored = state_dict.get(prefix + "maximum_ps")
        if stored is not None and int(stored) != int(self.maximum_ps):
            saved = int(stored) * 1e-12
            error_msgs: list[str] = args[-1]
            error_msgs.append(
                f"{type(self).__name__}: maximum must be {saved:g} s, as it was when the "
                f"delays were saved, got {self.maximum:g} s. "
                f"Make the layer with maximum={saved:g}."
            )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class InwardClamp(torch.autograd.Function):
    """Clamp to 0..1; passes the gradients whose descent does not lead further outside."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        return value.clamp(0, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (value,), (gradient,) = ctx.saved_tensors, grad_outputs
        outward = ((value < 0) & (gradient > 0)) | ((value > 1) & (gradient < 0))
        return gradient.masked_fill(outward, 0.0)


def inward_clamp(value: Tensor) -> Tensor:
    """Clamp to 0..1 with a gradient that never pushes further outside.

    >>> x = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    >>> inward_clamp(x).sum().backward()
    >>> x.grad
    tensor([0., 1., 1.])
    """
    clamped: Any = InwardClamp.apply(value)
    return clamped


def check_delays(where: str, delays: DelayValues) -> Tensor:
    """The delays as a float64 tensor; raises ParameterError unless all are finite and >= 0."""
    values = torch.as_tensor(delays, dtype=torch.float64).detach().clone()
    wrong = values[~(values.isfinite() & (values >= 0))]
    if wrong.numel():
        raise ParameterError(
            f"{where}: delays must be finite times of 0 s or more, got {wrong[0].item():g} s. "
            "A connection cannot look ahead; use 0 for none."
        )
    if not values.numel():
        raise ParameterError(
            f"{where}: delays must be a number or a tensor of one or more, got an empty one. "
            "Pass for example delays=5e-3."
        )
    return values


def check_maximum(where: str, values: Tensor, maximum: float | None, learnable: bool) -> float:
    """The longest delay that can be held, in seconds; raises ParameterError if it is too short."""
    largest = float(values.max())
    if maximum is None:
        maximum = largest
    if not math.isfinite(maximum) or maximum < 0 or (learnable and maximum == 0):
        rule = "above 0 s where delays are learnable" if learnable else "a finite time >= 0 s"
        raise ParameterError(
            f"{where}: maximum must be {rule}, got {maximum:g} s. "
            "Pass the longest delay that may occur, for example maximum=20e-3."
        )
    if largest > maximum:
        raise ParameterError(
            f"{where}: delays must be at most maximum={format_seconds(maximum)}, "
            f"got {format_seconds(largest)}. Shorten them or raise maximum."
        )
    return float(maximum)


def check_spread(where: str, spread: float | None, learnable: bool) -> float | None:
    """The spread if it is ``None`` or positive, and the delays learnable; else ParameterError."""
    if spread is None:
        return None
    if not learnable:
        raise ParameterError(
            f"{where}: spread must be left out where delays are not learnable, got {spread!r}. "
            "Pass learnable=True with it."
        )
    if not 0 < spread < math.inf:
        raise ParameterError(
            f"{where}: spread must be a positive number of steps, got {spread!r}. "
            "Pass for example spread=5.0."
        )
    return float(spread)


def check_broadcast(where: str, given: Shape, needed: Shape, axes: str) -> None:
    """Raise NetworkError unless the delays' shape broadcasts to the shape that is needed."""
    try:
        fits = torch.broadcast_shapes(given, needed) == needed
    except RuntimeError:
        fits = False
    if not fits:
        raise NetworkError(
            f"{where}: delays must be one number or broadcast to {axes} = {needed}, got {given}. "
            "Give one delay for each, or one for all."
        )
