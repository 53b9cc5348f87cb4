"""``spikewright listen``: detections in a recording or a stream of samples, as they are heard."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from spikewright.cli.screen import complain, console

Folder = Annotated[Path, typer.Argument(metavar="PROGRAM", help="Folder that Listener.save wrote.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Sound file, or - for raw samples from standard input: 16 bits signed, least byte "
        "first, one channel.",
    ),
]
Rate = Annotated[
    int | None, typer.Option(min=1, help="Of raw samples, Hz; by default the front end's.")
]
Block = Annotated[float, typer.Option(min=0.001, max=60.0, help="Sound that is heard at once, s.")]
Threshold = Annotated[
    float | None, typer.Option(help="Of the detector; by default the one it was saved with.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print each detection as a line of JSON.")]


@dataclass
class Told:
    """What was done so far.

    ``done`` is when it would have been, s since the sound began, had the sound come in real time.
    """

    detections: int = 0
    work: float = 0.0
    done: float = 0.0
    latest: float = 0.0


def listen(
    program: Folder,
    source: Source,
    rate: Rate = None,
    block: Block = 0.1,
    threshold: Threshold = None,
    as_json: AsJson = False,
) -> None:
    """Print each detection with its time and latency, and in the end the real-time factor.

    The latency is what passes from the last sound that a detection rests on until it is told, if
    the sound came in real time: the rest of its block, the time to work the block out, and what
    work on earlier blocks was still left.
    """
    from spikewright.detection import Listener
    from spikewright.detection.sound import open_sound

    listener = _with_threshold(Listener.load(program), threshold)
    wanted = int(listener.front_end.rate)
    sound = open_sound(source, _standard_input(), rate or wanted, wanted)
    listening, told = listener.start(), Told()
    try:
        _hear(listening, sound.blocks(max(1, round(block * wanted))), told, as_json)
    except BrokenPipeError:  # whoever read our lines has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_summary(listening, told)) from None
    _warn_of(sound)
    console(stderr=True).print(_summary(listening, told), markup=False)


def _standard_input() -> BinaryIO:
    """Standard input; empty where there is none."""
    return io.BytesIO() if sys.stdin is None else sys.stdin.buffer  # pyright: ignore


def _hear(listening: Any, blocks: Any, told: Told, as_json: bool) -> None:
    for samples in blocks:
        begun = time.perf_counter()
        found = listening.hear(samples)
        spent = time.perf_counter() - begun
        told.work += spent
        told.done = max(told.done, listening.seconds) + spent
        for detection in found:
            latency = told.done - detection.time
            told.detections, told.latest = told.detections + 1, max(told.latest, latency)
            typer.echo(_line(detection, latency, as_json))


def _line(detection: Any, latency: float, as_json: bool) -> str:
    if as_json:
        values = {
            "time": round(detection.time, 6),
            "label": detection.label,
            "score": round(detection.score, 6),
            "latency": round(latency, 6),
        }
        return json.dumps(values)
    return (
        f"{detection.time:10.3f} s  {detection.label:<20} score {detection.score:.2f}  "
        f"latency {latency * 1e3:.0f} ms"
    )


def _summary(listening: Any, told: Told) -> str:
    factor = told.work / listening.seconds if listening.samples else float("nan")
    return (
        f"heard {listening.seconds:.1f} s, {told.detections} detections, longest latency "
        f"{told.latest * 1e3:.0f} ms, real-time factor {factor:.4f} (1 is as fast as the sound)"
    )


def _warn_of(sound: Any) -> None:
    """Complain of what was wrong with the sound."""
    if getattr(sound, "left", 0):
        complain("warning", "standard input ended inside a sample; its one byte was left out.")
    heard = getattr(sound, "heard", None)
    if heard is not None and heard.clipped:
        share = heard.clipped / heard.samples
        complain("warning", f"{heard.clipped:,} samples ({share:.2%}) were clipped.")


def _with_threshold(listener: Any, threshold: float | None) -> Any:
    if threshold is None:
        return listener
    return replace(listener, detector=replace(listener.detector, threshold=threshold))
