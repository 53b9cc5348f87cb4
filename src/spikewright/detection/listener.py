"""A compiled program with its ear and its detector: samples in, detections out."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright import files
from spikewright.audio.front_end import FrontEnd
from spikewright.audio.log_energy import LogEnergy
from spikewright.audio.modulation import Modulation
from spikewright.audio.xylo_front_end import Mismatch, XyloFrontEnd
from spikewright.compiler.network_program import NetworkProgram
from spikewright.compiler.program import Program
from spikewright.compiler.target import TargetFacts
from spikewright.detection.detector import Detection, Detector
from spikewright.errors import ParameterError, ProgramError, SpikewrightError, nearest
from spikewright.units import format_seconds

FILE = "listener.json"
FORMAT = "spikewright-listener-1"
FRONT_ENDS: dict[str, Any] = {kind.__name__: kind for kind in (LogEnergy, Modulation, XyloFrontEnd)}
Samples = NDArray[np.floating]


@dataclass(frozen=True)
class Listener:
    """What turns sound into detections: a front end, a program and a detector.

    Args:
        program: compiled; its input is the front end's channels.
        front_end: from samples to frames.
        detector: of the program's outputs.

    Raises:
        ParameterError: the three are of different dt or sizes.
    """

    program: Program
    front_end: FrontEnd
    detector: Detector

    def __post_init__(self) -> None:
        if not isinstance(self.program, NetworkProgram):
            raise ParameterError(
                "Listener: program must be that of a spiking network, got one for "
                f"{self.program.target.title}. Compile a network for the simulator or a Xylo chip."
            )
        program, steps = self.program.source, {
            "program": self.program.source.dt,
            "front end": self.front_end.dt,
            "detector": self.detector.dt,
        }  # fmt: skip
        if not all(math.isclose(dt, program.dt, rel_tol=1e-9) for dt in steps.values()):
            got = ", ".join(f"{format_seconds(dt)} of the {name}" for name, dt in steps.items())
            raise ParameterError(
                f"Listener: dt must be one for all, got {got}. Make them with the same dt."
            )
        sizes = (math.prod(program.shape), math.prod(program.node(program.output).shape))
        given = (self.front_end.channels, len(self.detector.classes))
        if sizes != given:
            raise ParameterError(
                f"Listener: the front end must have the {sizes[0]} channels of the program's "
                f"input and the detector its {sizes[1]} outputs, got {given[0]} and {given[1]}. "
                "Use those that the network was trained with."
            )

    def start(self) -> Listening:
        """Begin to listen, from silence.

        Raises:
            ProgramError: the program's target cannot run a sequence in parts.
        """
        return Listening(self)

    def save(self, folder: str | Path) -> None:
        """Write the program into a folder, and beside it ``listener.json``.

        Raises:
            ProgramError: the folder cannot be written, or the front end is none of this package.
        """
        kind = type(self.front_end).__name__
        if FRONT_ENDS.get(kind) is not type(self.front_end):
            raise ProgramError(
                f"Listener.save: front end must be one of {', '.join(FRONT_ENDS)}, got {kind}. "
                "Keep one of your own in code, beside Program.save."
            )
        self.program.save(folder)
        body = {
            "format": FORMAT,
            "front_end": {"kind": kind, **_plain(self.front_end)},
            "detector": _plain(self.detector),
        }
        try:
            files.write_json(Path(folder) / FILE, body)
        except OSError as cause:
            raise ProgramError(
                f"Listener.save: {folder} must be writable, got {cause}. Choose another folder."
            ) from cause

    @staticmethod
    def load(folder: str | Path, target: TargetFacts | None = None) -> Listener:
        """Read what `save` wrote. No code from the files runs.

        Args:
            target: as for `Program.load`.

        Raises:
            ProgramError: a file is missing or damaged; names the file and the fault.
        """
        path = Path(folder) / FILE
        program = Program.load(folder, target)
        try:
            body = json.loads(path.read_text("utf-8"))
            if body["format"] != FORMAT:
                raise ValueError(f"its format is {body['format']!r}, not {FORMAT!r}")
            front_end = _front_end(dict(body["front_end"]))
            return Listener(program, front_end, _detector(dict(body["detector"])))
        except FileNotFoundError:
            raise ProgramError(
                f"Listener.load: {path} must exist, got a program without an ear. Save it with "
                "Listener(program, front_end, detector).save(folder)."
            ) from None
        except (KeyError, TypeError, ValueError, OSError, SpikewrightError) as cause:
            raise ProgramError(
                f"Listener.load: {path} must be what save wrote, got a fault: {cause}. "
                "Restore the folder from a copy, or save the listener again."
            ) from cause


class Listening:
    """A listener at work, in constant memory; made by `Listener.start`.

    Attributes:
        samples: heard so far.
        steps: time steps taken.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._ear: Any = None
        self._stream = listener.program.stream()
        self._state = listener.detector.initial()
        self.samples = 0

    @property
    def steps(self) -> int:
        """Time steps taken."""
        return self._state.step

    @property
    def seconds(self) -> float:
        """Length of what was heard, s."""
        return self.samples / self._listener.front_end.rate

    def hear(self, samples: Samples) -> list[Detection]:
        """The detections that the next samples, (n,) in -1 .. 1, bring.

        However a recording is cut into calls, its detections are the same, where the program's
        outputs are, see `ProgramStream`.

        Raises:
            ShapeError: samples of another shape or dtype, or not finite.
        """
        frames, self._ear = self._listener.front_end(samples, self._ear)
        self.samples += len(samples)
        outputs = self._stream.run(frames.reshape(len(frames), *self._listener.program.shape))
        found, self._state = self._listener.detector(outputs.flatten(1).numpy(), self._state)
        return found


def _plain(options: Any) -> dict[str, Any]:
    """The fields of a dataclass, numbers of NumPy as those of Python."""
    return dataclasses.asdict(
        options,
        dict_factory=lambda fields: {
            name: value.item() if isinstance(value, np.generic) else value for name, value in fields
        },
    )


def _front_end(values: dict[str, Any]) -> FrontEnd:
    kind = values.pop("kind")
    if kind not in FRONT_ENDS:
        raise ValueError(f"front end {kind!r} is unknown. {nearest(str(kind), FRONT_ENDS)}")
    if values.get("mismatch"):
        values["mismatch"] = Mismatch(**values["mismatch"])
    return FRONT_ENDS[kind](**values)


def _detector(values: dict[str, Any]) -> Detector:
    for name in ("classes", "background"):
        values[name] = tuple(values[name])
    return Detector(**values)
