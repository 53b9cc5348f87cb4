"""Files of the MIT-BIH Arrhythmia Database: headers, signals of format 212, annotations.

The formats are those of PhysioNet's WFDB: signals pack two samples of 12 bits into three bytes,
annotations are pairs of bytes with a code in the upper 6 bits and a time since the one before in
the lower 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.data.store import damaged

BEATS = {
    1: "N",
    2: "L",
    3: "R",
    4: "a",
    5: "V",
    6: "F",
    7: "J",
    8: "A",
    9: "S",
    10: "E",
    11: "j",
    12: "/",
    13: "Q",
    25: "B",
    30: "?",
    34: "e",
    35: "n",
    38: "f",
    41: "r",
}
"""Codes of annotations that mark a beat, and the letter of its kind."""
SKIP, NUMBER, SUBTYPE, CHANNEL, AUXILIARY = 59, 60, 61, 62, 63
"""Codes of annotations that say something about others."""


@dataclass(frozen=True)
class Lead:
    """One signal of a record: ``gain`` in units a mV, ``zero`` the unit at 0 mV."""

    name: str
    gain: float
    zero: float
    first: int
    checksum: int


@dataclass(frozen=True)
class Header:
    """A record: its ``rate`` in Hz, ``samples`` of each of its leads."""

    rate: float
    samples: int
    leads: tuple[Lead, ...]


def read_header(text: str, where: str) -> Header:
    """Parse a header whose signals are all of format 212 and in one file.

    Args:
        text: of the ``.hea`` file.
        where: name of the file, for messages.

    Raises:
        DataError: the text is no such header.

    >>> text = "7 1 360 2\\n7.dat 212 200 11 1024 995 -22131 0 MLII"
    >>> read_header(text, "7.hea").leads[0].gain
    200.0
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        _, count, rate, samples, *_ = lines[0].split()
        leads = tuple(_lead(line) for line in lines[1 : 1 + int(count)])
        if len(leads) != int(count) or not leads:
            raise ValueError(f"{len(leads)} of {count} signals")
        return Header(float(rate.split("/")[0]), int(samples), leads)
    except (ValueError, IndexError) as cause:
        raise damaged(where, f"no header of a record of format 212 ({cause})") from cause


def _lead(line: str) -> Lead:
    _, form, gain, _, zero, first, checksum, _, name = line.split(maxsplit=8)
    if form != "212":
        raise ValueError(f"format {form}")
    return Lead(name.strip(), float(gain.split("/")[0]), float(zero), int(first), int(checksum))


def read_212(raw: bytes, header: Header, where: str) -> NDArray[np.float32]:
    """The samples of a record.

    Args:
        raw: of the ``.dat`` file: two samples in three bytes, whose middle byte holds the upper 4
            bits of both; leads take turns.
        header: of the record.
        where: name of the file, for messages.

    Returns:
        (samples, leads), mV.

    Raises:
        DataError: another length, first value or checksum than the header says.
    """
    count = header.samples * len(header.leads)
    if len(raw) != (expected := -(-count // 2) * 3):
        raise damaged(where, f"{len(raw)} bytes where {header.samples} samples need {expected}")
    low, middle, high = np.frombuffer(raw, np.uint8).astype(np.int16).reshape(-1, 3).T
    pairs = np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], 1)
    units = np.where(pairs >= 2048, pairs - 4096, pairs).reshape(-1)[:count]
    units = units.reshape(header.samples, len(header.leads))
    for lead, signal in zip(header.leads, units.T, strict=True):
        found = int(signal.astype(np.int64).sum()) & 0xFFFF
        if found != lead.checksum & 0xFFFF or (len(signal) and signal[0] != lead.first):
            raise damaged(where, f"samples of {lead.name} whose checksum is {found}")
    zero, gain = (
        np.array([getattr(lead, name) for lead in header.leads]) for name in ("zero", "gain")
    )
    return ((units - zero) / gain).astype(np.float32)


def read_beats(raw: bytes, where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The beats of an annotation file.

    Args:
        raw: of the ``.atr`` file.
        where: name of the file, for messages.

    Returns:
        The sample of each beat, increasing, and the letter of its kind.

    Raises:
        DataError: the file is cut short.
    """
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2").astype(np.int64)
    times: list[int] = []
    kinds: list[str] = []
    place, now = 0, 0
    while place < len(words):
        code, amount = int(words[place] >> 10), int(words[place] & 0x3FF)
        place += 1
        if code == 0 and amount == 0:
            return np.array(times, np.int64), tuple(kinds)
        if code == SKIP:
            if place + 2 > len(words):
                break
            # The upper half of the 32 bits comes first.
            skip = int(words[place] << 16 | words[place + 1])
            now += skip - 2**32 if skip >= 2**31 else skip
            place += 2
        elif code == AUXILIARY:
            place += -(-amount // 2)
        elif code not in (NUMBER, SUBTYPE, CHANNEL):
            now += amount
            if code in BEATS:
                times.append(now)
                kinds.append(BEATS[code])
    raise damaged(where, "annotations without an end")
