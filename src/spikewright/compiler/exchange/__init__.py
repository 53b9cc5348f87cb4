"""NIR, the exchange format of spiking networks: graphs and files, in and out.

`import_nir` and `export_nir` hand over a report of all that NIR leaves open or cannot say;
`from_nir`, `read_nir` and `to_nir` are their short forms.
"""

from __future__ import annotations

from spikewright.compiler.exchange.exporting import Exported, export_nir, to_nir, write_nir
from spikewright.compiler.exchange.importing import Imported, from_nir, import_nir, read_nir
from spikewright.compiler.exchange.report import Entry, Report

__all__ = [
    "Entry",
    "Exported",
    "Imported",
    "Report",
    "export_nir",
    "from_nir",
    "import_nir",
    "read_nir",
    "to_nir",
    "write_nir",
]
