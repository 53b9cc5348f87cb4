"""Benchmarks, one a file: this package against others, measured side by side in one run.

To add one, add its file: a function ``rows()`` that yields `Row`, or `Figures` where there is
nothing to compare with. Its name is the file's.
"""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.benches.core.figures import Figures
from spikewright.benches.core.row import Row, to_json
from spikewright.benches.core.timing import Timing, interleaved
from spikewright.errors import SpikewrightError
from spikewright.lookup import Lookup

BENCHES = Lookup(__name__, "bench")


def rows(name: str) -> Iterator[Row | Figures]:
    """Run a benchmark; its rows come as they are measured.

    Raises:
        SettingsError: there is none of that name; the nearest is named.
    """
    module = BENCHES.load(name)
    measure = getattr(module, "rows", None)
    if measure is None:
        raise SpikewrightError(
            f"benches: {module.__name__} must define rows(), got no such function. Add it."
        )
    yield from measure()


__all__ = ["BENCHES", "Figures", "Row", "Timing", "interleaved", "rows", "to_json"]
