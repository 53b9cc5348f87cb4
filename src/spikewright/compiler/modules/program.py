"""A trained module compiled for a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.modules.target import ModuleArtefact
from spikewright.compiler.program import Program
from spikewright.errors import ParameterError, ShapeError


@dataclass(eq=False, kw_only=True)
class ModuleProgram(Program):
    """A trained module on a target: samples in, one answer a sample; no time axis.

    Args:
        artefact: what is loaded onto the target, and its twin.
    """

    artefact: ModuleArtefact

    @property
    def notes(self) -> Sequence[str]:
        return self.artefact.notes

    @property
    def shape(self) -> tuple[int, ...]:
        return self.artefact.shape

    @property
    def dt(self) -> None:
        return None

    def run(self, x: Any, seed: int | None = None) -> Tensor:
        """What the target gives for a batch, in the numbers of the module.

        Args:
            x: (batch, *features), real numbers as the module takes them.
            seed: of the noise of an analogue target; a digital one has none and takes no seed.

        Returns:
            The output, (batch, *n).

        Raises:
            ShapeError: ``x`` is of another shape, empty or not finite.
            ParameterError: a seed for a target that draws nothing.
        """
        given = torch.as_tensor(x)
        shape = self.shape
        if seed is not None and self.target.digital:
            raise ParameterError(
                f"program.run: seed must be left out, got {seed}: {self.target.name!r} draws "
                "nothing. Leave it out."
            )
        right = given.ndim > 1 and given.shape[1:].numel() == torch.Size(shape).numel()
        others = int((~given.isfinite()).sum())
        if not right or not len(given) or others:
            wrong = right and others
            found = f"{others:,} values that are NaN or infinite" if wrong else tuple(given.shape)
            raise ShapeError(
                f"program.run: input must be finite, (batch, *features) with features "
                f"{shape} and at least one sample, got {found}. Pass what the module takes."
            )
        with torch.no_grad():
            return self.artefact.run(given.detach())
