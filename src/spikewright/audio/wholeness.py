"""What shows that a sound file is damaged although libsndfile would read it."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

HEAD = 27
"""Bytes of an Ogg page before its table of segments."""
FIRST, LAST = 2, 4
"""Flags of the first and the last page of a stream."""
LENGTH = r"^ *(?:data|riff|Riff size|SSND|Data Size) *: (\d+) \(should be (\d+)\)"
"""What libsndfile writes of a length in wav, RF64, W64, AIFF and AU files that the file lacks."""
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def fault_of(source: str | Path | BinaryIO, file: Any) -> str | None:
    """What is missing or damaged, where the format can show it.

    Args:
        source: what was opened, a path or an open binary file.
        file: the soundfile.SoundFile that was opened on it.
    """
    if file.format == "OGG":
        return _fault_of_ogg(source)
    found = re.search(LENGTH, file.extra_info, re.MULTILINE)
    if found and int(found[2]) < int(found[1]) and not _unknown(int(found[1])):
        return f"{found[2]} of {found[1]} bytes"
    return None


def _unknown(length: int) -> bool:
    """Whether a writer that could not seek back left this length."""
    return any(full - 4096 <= length <= full for full in (2**31, 2**32, 2**63, 2**64))


def _fault_of_ogg(source: str | Path | BinaryIO) -> str | None:
    if isinstance(source, str | Path):
        with Path(source).open("rb") as stream:
            return fault_of_pages(stream)
    place = source.tell()
    source.seek(0)
    fault = fault_of_pages(source)
    source.seek(place)
    return fault


def fault_of_pages(stream: BinaryIO) -> str | None:
    """Walk the pages of an Ogg file: checksums, numbers in a row, a last one for each stream.

    libsndfile leaves out a damaged page and joins what is around it. What follows the last page
    and is none does not count.
    """
    due: dict[int, int] = {}  # the next page of each stream that has not ended
    place = 0
    while head := stream.read(HEAD):
        if not head.startswith(b"OggS"):
            return f"a damaged page at byte {place:,}" if due or not place else None
        table = stream.read(head[HEAD - 1]) if len(head) == HEAD else b""
        body = stream.read(sum(table))
        if len(head) < HEAD or len(table) < head[HEAD - 1] or len(body) < sum(table):
            break
        serial, number, crc = (int.from_bytes(head[k : k + 4], "little") for k in (14, 18, 22))
        if crc != checksum(head[:22] + bytes(4) + head[26:] + table + body):
            return f"a damaged page at byte {place:,}"
        if number != (number if head[5] & FIRST else due.get(serial)):
            return f"a missing page before byte {place:,}"
        due[serial] = number + 1
        if head[5] & LAST:
            del due[serial]
        place += len(head) + len(table) + len(body)
    else:
        return "no last page, so its end is missing" if due else None
    return "half a page at the end, so its end is missing"


def checksum(page: bytes) -> int:
    """CRC-32 of Ogg, most significant bit first, without the inversions of zip's.

    >>> hex(checksum(b"123456789"))
    '0x89a1897f'
    """
    mirrored = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
