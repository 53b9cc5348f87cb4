"""What is worked out from data files once and kept: in the cache, keyed by all that it rests on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from spikewright import optional
from spikewright.errors import DataError
from spikewright.files import cache_root
from spikewright.sealed import SealedFolder

RESULT = SealedFolder("result", "result.json", "derived-1", DataError)


def derived(
    name: str, key: Mapping[str, Any], make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors from the cache, else from ``make``, which are then put there.

    What is absent, damaged or made with another key is made again. One process makes it while
    others wait; a full disk only means that it is made again next time.

    Args:
        name: start of the folder's name.
        key: plain values that the tensors depend on, such as checksums of files and settings.
        make: works the tensors out.
    """
    text = json.dumps(key, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = cache_root() / "derived" / f"{name}-{digest[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return make()
    with optional.require("filelock").FileLock(folder.with_suffix(".lock")):
        found = _kept(folder, text)
        if found is None:
            found = make()
            with contextlib.suppress(OSError):
                RESULT.write(folder, {"key": text}, found)
    return found


def _kept(folder: Path, key: str) -> dict[str, Tensor] | None:
    try:
        body, tensors = RESULT.read(folder)
    except DataError:
        return None
    return tensors if body.get("key") == key else None
