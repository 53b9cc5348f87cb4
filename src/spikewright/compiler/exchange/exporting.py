"""From a network to a NIR graph."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.files import write_graph
from spikewright.compiler.exchange.inline import inline
from spikewright.compiler.exchange.report import Report
from spikewright.compiler.exchange.writing import Writing
from spikewright.errors import ExchangeError, nearest
from spikewright.network import Network

ALLOWED = ("refractory", "noise", "max_spikes")


@dataclass(frozen=True, eq=False)
class Exported:
    """A graph that was written, and what it cannot say."""

    graph: nir.NIRGraph
    report: Report


def export_nir(network: Network, *, allow: Collection[str] = ()) -> Exported:
    """Write a network as a NIR graph, and say what NIR cannot say.

    dt, order of update, reset and surrogate go into the nodes' metadata, which `import_nir` reads
    back exactly and other readers pass over. Weights and parameters are written in the dtype they
    have.

    Args:
        network: a network whose input shape is known.
        allow: what may be left to the metadata although another reader, who passes it over, gets
            other dynamics: ``"refractory"``, ``"noise"`` and ``"max_spikes"``.

    Returns:
        The graph and the report of what was carried, changed and lost.

    Raises:
        ExchangeError: layers that NIR has no node for, all of them named, or a value that is not
            finite.

    >>> from spikewright import LIF, Linear, Sequential
    >>> net = Sequential(Linear(3, 2), LIF(), dt=1e-3)
    >>> sorted(export_nir(net).graph.nodes)
    ['0_linear', '1_lif', 'input', 'output']
    """
    unknown = [name for name in allow if name not in ALLOWED]
    if unknown or isinstance(allow, str):
        raise ExchangeError(
            f"export_nir: allow must name some of {', '.join(ALLOWED)}, got {allow!r}. "
            f"{nearest(str((unknown or [allow])[0]), ALLOWED)}"
        )
    if network.shape is None:
        raise ExchangeError(
            "export_nir: the network must know the shape of its input, got one that has met none. "
            "Call net.build(shape) first, or run it once."
        )
    writing = Writing(network, frozenset(allow))
    writing.refuse_unsaid()
    graph = writing.graph()
    _check_finite(graph)
    inline(graph)
    return Exported(graph, writing.notes.report("writing NIR"))


def to_nir(network: Network, *, allow: Collection[str] = ()) -> nir.NIRGraph:
    """The NIR graph of a network: `export_nir` without its report.

    Args: see `export_nir`.

    >>> from spikewright import LI, Sequential
    >>> graph = to_nir(Sequential(LI(tau_mem=5e-3), dt=1e-3, shape=(2,)))
    >>> graph.nodes["0_li"].tau
    array([0.005, 0.005], dtype=float32)
    """
    return export_nir(network, allow=allow).graph


def write_nir(
    network: Network, path: str | os.PathLike[str], *, allow: Collection[str] = ()
) -> Report:
    """Write a network to a ``.nir`` file; the file is there whole or, on a fault, as it was.

    Args:
        path: of the file; its folder is made where it is not there.
        network, allow: see `export_nir`.

    Returns:
        The report of what was carried, changed and lost.

    Raises:
        ExchangeError: the network cannot be written as NIR, or the file cannot be written.

    >>> import tempfile
    >>> from spikewright import LI, Sequential
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = write_nir(Sequential(LI(), dt=1e-3, shape=(2,)), f"{folder}/li.nir")
    >>> print(report)
    writing NIR: 2 carried
      carried  network: dt 1 ms
      carried  0_li: order 'exact'
    """
    exported = export_nir(network, allow=allow)
    write_graph(exported.graph, Path(path))
    return exported.report


def _check_finite(graph: Any) -> None:
    for name, node in graph.nodes.items():
        for key, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                bad = ~np.isfinite(value)
                if bad.any():
                    raise ExchangeError(
                        f"export_nir: {key} of {name!r} must be finite, got "
                        f"{value[bad].flat[0]} at {int(bad.sum())} of {value.size} places. Train "
                        "again from an earlier checkpoint."
                    )
