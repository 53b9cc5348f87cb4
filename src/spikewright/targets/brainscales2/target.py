"""The target `BrainScaleS2`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

from torch import Tensor

from spikewright.compiler.design import Design, Pass
from spikewright.compiler.reporting.energy import BRAINSCALES2
from spikewright.compiler.target import Broken
from spikewright.errors import ParameterError, ProgramError, nearest
from spikewright.targets.brainscales2.artefact import OnChip
from spikewright.targets.brainscales2.calibration import calibrate, nominal
from spikewright.targets.brainscales2.check import Asked, check, used
from spikewright.targets.brainscales2.chip import COLUMNS, ROWS, Chip
from spikewright.targets.brainscales2.description import restore
from spikewright.targets.brainscales2.limits import LIMITS
from spikewright.targets.brainscales2.lowering.lower import lower
from spikewright.targets.brainscales2.lowering.partition import Partition
from spikewright.targets.brainscales2.lowering.place import Place
from spikewright.targets.brainscales2.lowering.route import Route
from spikewright.targets.brainscales2.lowering.scale import Scale
from spikewright.targets.brainscales2.lowering.schedule import Schedule
from spikewright.targets.brainscales2.lowering.set_codes import SetCodes
from spikewright.targets.brainscales2.lowering.timing import Pace
from spikewright.targets.brainscales2.lowering.wiring import layers
from spikewright.targets.brainscales2.settings import Settings, Wanted
from spikewright.targets.brainscales2.twin import Twin

WHAT = ("spikes", "v")
USUAL = {"mismatch": 0.1, "noise": 1.0, "chip_seed": 0, "twin_dt": 0.5e-6}
"""Of the twin that a target makes."""


@dataclass(frozen=True, eq=False)
class BrainScaleS2:
    """A BrainScaleS-2 chip, by default its twin.

    Args:
        chip: that runs the network; ``None`` makes a `Twin` with the last four options.
        settings: ``"nominal"`` codes as on a chip without mismatch, ``"calibrated"`` ones by
            measuring this chip, or `Settings` that were found before.
        acceleration: network time over the chip's time; 1 for networks in µs, 1000 in ms.
        repeat: rows of each sign that an input channel takes, all with the same weight.
        weight_scale: codes for a weight of 1, for all layers or by the neurons' name; chosen for
            the largest weight where left out.
        record: of ``"spikes"`` and ``"v"``, what is handed back of layers that fire, of all or by
            name; the output of the network always is.
        mismatch, noise, chip_seed, twin_dt: see `Twin`; 0.1, 1, 0 and 0.5 µs if left out.

    Raises:
        ParameterError: an option outside its range, or an option of the twin beside a chip.

    >>> BrainScaleS2(mismatch=0.0).options["mismatch"]
    0.0
    """

    chip: Chip | None = None
    settings: Literal["nominal", "calibrated"] | Settings = "nominal"
    acceleration: float = 1.0
    repeat: int = 1
    weight_scale: float | Mapping[str, float] | None = None
    record: Sequence[str] | Mapping[str, Sequence[str]] = WHAT
    mismatch: float | None = None
    noise: float | None = None
    chip_seed: int | None = None
    twin_dt: float | None = None

    name = "brainscales2"
    title = "BrainScaleS-2"
    limits = LIMITS
    energy = BRAINSCALES2
    digital = False
    grid = (ROWS, COLUMNS)

    def __post_init__(self) -> None:
        _check("acceleration", self.acceleration, 0 < self.acceleration < math.inf, "above 0")
        _check("repeat", self.repeat, 1 <= self.repeat <= ROWS // 2, f"from 1 to {ROWS // 2}")
        known = isinstance(self.settings, Settings) or self.settings in ("nominal", "calibrated")
        _check("settings", self.settings, known, "'nominal', 'calibrated' or Settings")
        scales = self.weight_scale if isinstance(self.weight_scale, Mapping) else {}
        given = [self.weight_scale] if isinstance(self.weight_scale, int | float) else []
        good = all(0 < scale < math.inf for scale in (*scales.values(), *given))
        _check("weight_scale", self.weight_scale, good, "above 0, a number or numbers by layer")
        kinds = self.record.values() if isinstance(self.record, Mapping) else [self.record]
        good = all(set(what) <= set(WHAT) and not isinstance(what, str) for what in kinds)
        _check("record", self.record, good, f"of {WHAT}, for all layers or by layer")
        asked = [name for name in USUAL if getattr(self, name) is not None]
        if self.chip is not None and asked:
            raise ParameterError(
                f"BrainScaleS2: {asked[0]} must be left out where a chip is given, got "
                f"{getattr(self, asked[0])!r}. Give it to the twin."
            )

    @cached_property
    def device(self) -> Chip:
        """The chip that runs."""
        if self.chip is not None:
            return self.chip
        given = {name: getattr(self, name) for name in USUAL}
        it = {name: USUAL[name] if value is None else value for name, value in given.items()}
        return Twin(
            int(it["chip_seed"]), mismatch=it["mismatch"], noise=it["noise"], dt=it["twin_dt"]
        )

    @property
    def options(self) -> dict[str, Any]:
        """Plain values; a chip and settings that were given are not among them."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "chip"}
        if isinstance(self.settings, Settings):
            del found["settings"]
        for name in ("record", "weight_scale"):
            found[name] = _plain(found[name])
        return {name: value for name, value in found.items() if value is not None}

    def check(self, design: Design) -> list[Broken]:
        return check(design, self._asked())

    def used(self, design: Design) -> dict[str, float]:
        return used(design, self._asked())

    def passes(self, calibration: Tensor) -> Sequence[Pass]:
        """Scale, partition, place, route, schedule, set codes.

        Args:
            calibration: (time, batch, *features).

        Raises:
            DeviceError: the chip does not answer.
        """
        pace = self._pace()
        scale = Scale(calibration, self.repeat, self.weight_scale)

        def lay(dead: tuple[int, ...]) -> tuple[Pass, ...]:
            first = Partition(self.repeat, dead), Place(self.repeat, dead)
            return (*first, Route(self.repeat), Schedule(pace, calibration))

        def good(design: Design) -> bool:
            return bool(design.slots) and not self.check(design)

        return [scale, *lay(self._dead()), SetCodes(pace, self._choose, lay, good)]

    def lower(self, design: Design) -> OnChip:
        """Load a design onto the chip.

        Raises:
            ParameterError: ``record`` names a layer that there is not.
        """
        clock = self._pace().clock(design.program.dt)
        plan = lower(design, clock, self._shown(design))
        return OnChip(plan, self.device, design.program)

    def restore(
        self, design: Design, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> OnChip:
        """The artefact again, on the chip that it was lowered for.

        Raises:
            ProgramError: the values are no hardware description, or the chip is another one.
        """
        plan, chip = restore(tensors, values), self.device.identity()
        if values["chip"] != json.loads(json.dumps(chip)):
            raise ProgramError(
                f"brainscales2.restore: the chip must be that of the program, {values['chip']}, "
                f"got {chip}. Pass target=BrainScaleS2(chip=...), or compile the network again."
            )
        return OnChip(plan, self.device, design.program)

    def describe(self) -> dict[str, Any]:
        return {
            "chip": self.device.identity(),
            "settings": _named(self.settings),
            "acceleration": self.acceleration,
        }

    def _asked(self) -> Asked:
        return Asked(self.repeat, self._dead(), self.acceleration)

    def _choose(self, wanted: Wanted) -> Settings:
        if isinstance(self.settings, Settings):
            return self.settings
        return nominal(wanted) if self.settings == "nominal" else calibrate(self.device, wanted)

    def _pace(self) -> Pace:
        return Pace.of(self.device.identity(), self.acceleration)

    def _dead(self) -> tuple[int, ...]:
        return tuple(sorted(self.settings.dead)) if isinstance(self.settings, Settings) else ()

    def _shown(self, design: Design) -> dict[str, tuple[str, ...]]:
        """By layer, what is handed back of it."""
        names = [node.name for node in layers(design.program)]
        if not isinstance(self.record, Mapping):
            shown = {name: tuple(self.record) for name in names}
        else:
            for name in self.record:
                if name not in names:
                    raise ParameterError(
                        "BrainScaleS2: record must name layers of neurons, got "
                        f"{name!r}. {nearest(name, names)}"
                    )
            shown = {name: tuple(self.record.get(name, WHAT)) for name in names}
        output = design.program.output
        return shown | {output: tuple(dict.fromkeys(("spikes", *shown[output])))}


def _named(settings: str | Settings) -> str:
    """A word for settings; those that were given are told apart by their codes."""
    if not isinstance(settings, Settings):
        return settings
    digest = hashlib.sha256()
    for name, codes in sorted(settings.codes.items()):
        digest.update(name.encode() + codes.tobytes())
    return f"given, {digest.hexdigest()[:8]}"


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what was stored as JSON is equal."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple | list) else value


def _check(name: str, value: object, good: bool, rule: str) -> None:
    if not good:
        raise ParameterError(
            f"BrainScaleS2: {name} must be {rule}, got {value!r}. Leave it out for the usual one."
        )
