"""A compiled program that takes one step, or a few, at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spikewright.compiler.carried import program_dtype
from spikewright.compiler.target import Advance, Streams
from spikewright.engine.checks import check_finite
from spikewright.errors import ProgramError, ShapeError

if TYPE_CHECKING:
    from spikewright.compiler.network_program import NetworkProgram

Input = Tensor | np.ndarray[Any, Any]


class ProgramStream:
    """A program that runs on and on over one sample, in constant memory.

    Made by `Program.stream`. However a sequence is cut into calls, the outputs joined are those
    of `Program.run` on the whole: bit for bit where the target counts in whole numbers, else up
    to the order in which a product's terms are summed. Weights are those of the program when the
    stream was made.

    Attributes:
        steps: taken so far.

    Raises:
        ProgramError: the target cannot run a sequence in parts.

    >>> import spikewright as sw
    >>> net = sw.Sequential(sw.Linear(5, 20), sw.LIF(), sw.Linear(20, 3), sw.LI(), dt=1e-3)
    >>> x = (torch.rand(50, 4, 5) < 0.5).float()
    >>> program = sw.compile(net, "simulator", calibration=x, weights=6, allow_silent=["1_lif"])
    >>> stream = program.stream()
    >>> stream.step(x[0, 0]).shape, stream.run(x[1:, 0]).shape, stream.steps
    (torch.Size([3]), torch.Size([49, 3]), 50)
    """

    def __init__(self, program: NetworkProgram) -> None:
        artefact = program.artefact
        if not isinstance(artefact, Streams):
            raise ProgramError(
                f"program.stream: the target must be able to run a sequence in parts, got "
                f"{program.target.name!r}, which takes whole ones. Cut the input into trials for "
                "program.run, or compile for the simulator, a Xylo chip or the FPGA's LIF core."
            )
        self._start = partial(artefact.stream, program.seed)
        self._shape = tuple(program.source.shape)
        self._dtype = program_dtype(program.source.nodes)
        self.dt = program.source.dt
        self.reset()

    def reset(self) -> None:
        """Start afresh."""
        self._advance: Advance = self._start()
        self.steps = 0

    def step(self, x: Input) -> Tensor:
        """Take one time step: (*features) to (*n); see `run`."""
        return self.run(torch.as_tensor(x).unsqueeze(0))[0]

    def run(self, x: Input) -> Tensor:
        """Take the next steps.

        Args:
            x: (time, *features), floating or whole numbers; no steps at all are allowed.

        Returns:
            The output of the last layer, (time, *n).

        Raises:
            ShapeError: ``x`` has another shape or is not finite; the state stays as it was.
        """
        given = torch.as_tensor(x)
        if given.is_complex() or tuple(given.shape[1:]) != self._shape or given.ndim == 0:
            raise ShapeError(
                f"program.stream: input must be real, (time, *features) = (time, "
                f"{', '.join(map(str, self._shape))}), got {tuple(given.shape)} of {given.dtype}. "
                "A stream takes one sample, without a batch axis."
            )
        given = given.detach().to(self._dtype).unsqueeze(1)
        if len(given):
            check_finite("program.stream", given)
        with torch.no_grad():
            output = self._advance(given).squeeze(1)
        self.steps += len(given)
        return output
