"""The targets `xylo-audio2`, `xylo-audio3` and `xylo-imu`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
from torch import Tensor

from spikewright.compiler.design import Design, Pass
from spikewright.compiler.target import Broken, Limit
from spikewright.errors import CompileError, ParameterError, ProgramError
from spikewright.targets.xylo.artefact import OnXylo
from spikewright.targets.xylo.check import faults, used
from spikewright.targets.xylo.chips import CHIPS, Chip
from spikewright.targets.xylo.configuration import Shifts
from spikewright.targets.xylo.cycles import XYLO_ENERGY
from spikewright.targets.xylo.lowering.configure import Choice
from spikewright.targets.xylo.lowering.search import CHOICE, Per, Search


@dataclass(frozen=True)
class Xylo:
    """A chip of the family, as its exact twin in whole numbers.

    Args:
        per: ``"global"``, one scale for all hidden neurons and one for all outputs, or
            ``"channel"``, one for each neuron.
        aliases: whether layers whose spikes are added up before the same weights share them.

    Raises:
        ParameterError: an option is out of range.

    >>> XyloAudio2(per="channel").title
    'Xylo Audio 2'
    """

    per: Per = "global"
    aliases: bool = True

    name: ClassVar[str]
    energy = XYLO_ENERGY
    digital = False
    grid = None

    def __post_init__(self) -> None:
        if self.per not in get_args(Per):
            raise ParameterError(
                f"xylo: per must be 'global' or 'channel', got {self.per!r}. Pass per='channel'."
            )
        if not isinstance(self.aliases, bool):
            raise ParameterError(
                f"xylo: aliases must be True or False, got {self.aliases!r}. Leave it out."
            )

    @property
    def chip(self) -> Chip:
        """What the chip can hold."""
        return CHIPS[self.name]

    @property
    def title(self) -> str:
        return self.chip.title

    @property
    def limits(self) -> Sequence[Limit]:
        return self.chip.limits

    @property
    def options(self) -> Mapping[str, Any]:
        return {"per": self.per, "aliases": self.aliases}

    def check(self, design: Design) -> list[Broken]:
        found = faults(design.program, self.chip, self.aliases)
        if not found and CHOICE not in design.extra:
            need, have = "thresholds of less than one code", "codes from 1 to 32,767"
            way = "Bring thresholds and weights nearer to each other, or use per='channel'."
            found = [Broken("all", "threshold", need, have, way)]
        return found

    def used(self, design: Design) -> Mapping[str, float]:
        return used(design.program, self.chip, self.aliases)

    def passes(self, calibration: Tensor) -> Sequence[Pass]:
        return [Search(calibration, self.chip, self.per, self.aliases)]

    def lower(self, design: Design) -> OnXylo:
        return OnXylo(design.program, design.extra[CHOICE], self.name)

    def restore(
        self, design: Design, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> OnXylo:
        """The artefact again.

        Raises:
            ProgramError: the values are not what an artefact of this target saves.
        """
        if faults(design.program, self.chip, self.aliases):
            raise _unlike("a program that the chip cannot hold")
        try:
            shifts = Shifts._make(map(_whole, values["shifts"]))
            alias = {str(k): str(v) for k, v in values["alias"].items()}
            scale, scale_out = (tensors[k].double().numpy() for k in ("scale", "scale_out"))
            if not all(np.isfinite(s).all() and (s > 0).all() for s in (scale, scale_out)):
                raise _unlike("a scale that is not finite and above 0")
            return OnXylo(design.program, Choice(scale, scale_out, shifts, alias), self.name)
        except (KeyError, TypeError, ValueError, AttributeError, CompileError) as cause:
            raise _unlike(f"{type(cause).__name__}: {cause}") from cause

    def describe(self) -> dict[str, Any]:
        chip = self.chip
        return {
            "kind": "the chip's exact twin in whole numbers",
            "part": chip.part,
            "core": chip.core,
            "energy": f"{self.energy.name} ({self.energy.source})",
        }


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a shift of {value!r}")
    return value


def _unlike(what: str) -> ProgramError:
    return ProgramError(
        f"xylo.restore: the file must hold scales and shifts for its program, got {what}. "
        "Compile the network again."
    )


class XyloAudio2(Xylo):
    """Xylo Audio 2: 16 inputs, 1,000 hidden neurons of 2 currents, 8 outputs."""

    name = "xylo-audio2"


class XyloAudio3(Xylo):
    """Xylo Audio 3: 16 inputs, 992 hidden neurons of 2 currents, 32 outputs."""

    name = "xylo-audio3"


class XyloIMU(Xylo):
    """Xylo IMU: 16 inputs, 496 hidden neurons of 1 current, 16 outputs."""

    name = "xylo-imu"
