"""A core as files: SystemVerilog and memory images."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikewright.targets.fpga.design_files import write_design
from spikewright.targets.fpga.lif.lanes import Lanes, groups
from spikewright.targets.fpga.lif.network import FixedNetwork, Whole
from spikewright.targets.fpga.lif.print_core import core_text, layer_text
from spikewright.targets.fpga.lif.print_neuron import bias_bits, neuron_text
from spikewright.targets.fpga.memory import image

RTL = Path(__file__).parent.parent / "rtl"
SHARED = ("register_port", "stream_fifo")
"""Modules that the other accelerator has as well."""


def sources() -> list[Path]:
    """The modules that are the same for all networks, the package first."""
    found = [*sorted((RTL / "lif").glob("*.sv")), *(RTL / f"{name}.sv" for name in SHARED)]
    return sorted(found, key=lambda path: not path.stem.endswith("_pkg"))


def made(network: FixedNetwork, lanes: Lanes) -> dict[str, str]:
    """The modules made for a network, by the name of their file."""
    texts: dict[str, str] = {}
    for n, (layer, each) in enumerate(zip(network.layers, lanes.of(network), strict=True)):
        texts[f"neuron_{n}.sv"] = neuron_text(layer, f"neuron_{n}")
        texts[f"layer_{n}.sv"] = layer_text(layer, n, each, lanes)
    return texts | {"lif_core.sv": core_text(network, lanes, _identity(texts))}


def identity(network: FixedNetwork, lanes: Lanes) -> int:
    """A checksum of the modules made for the network, which the core tells; not of its weights."""
    texts = made(network, lanes)
    return _identity({name: text for name, text in texts.items() if name != "lif_core.sv"})


def _identity(texts: Mapping[str, str]) -> int:
    return zlib.crc32("".join(texts.values()).encode())


def images(network: FixedNetwork, lanes: Lanes) -> dict[str, str]:
    """The memory images by the name of their file.

    ``weights_<n>.mem`` has for each row (input line, then own spike) a word for each group of
    lanes, ``biases_<n>.mem`` a word for each group; lanes beyond the last neuron hold 0.
    """
    found: dict[str, str] = {}
    for n, (layer, each) in enumerate(zip(network.layers, lanes.of(network), strict=True)):
        turns = groups(layer, each)
        weights = _dealt(layer.rows, turns, each)
        found[f"weights_{n}.mem"] = image(weights, layer.bits, len(weights))
        found[f"biases_{n}.mem"] = image(_dealt(layer.bias[None], turns, each), bias_bits(layer), 1)
    return found


def emit(
    network: FixedNetwork,
    folder: str | Path,
    lanes: Lanes | None = None,
    summary: Mapping[str, Any] | None = None,
    prefix: str = "",
) -> Path:
    """Write all that a synthesis or a simulation needs: ``rtl/*.sv`` and the images ``*.mem``.

    Tools that read the images must run in the folder. The top module is ``lif_core``.

    Args:
        summary: figures for ``summary.json``, which is only written with some.
        prefix: before the names of all modules, packages and images, so that several cores fit
            into one project.

    Raises:
        ParameterError: the prefix cannot begin a name.
        ProgramError: the folder cannot be written.
    """
    chosen = lanes or Lanes()
    texts = {f"rtl/{path.name}": path.read_text() for path in sources()}
    texts |= {f"rtl/{name}": text for name, text in made(network, chosen).items()}
    texts |= images(network, chosen)
    heads = {} if summary is None else {"summary.json": summary}
    return write_design(Path(folder), texts, heads, prefix)


def _dealt(rows: Whole, turns: int, lanes: int) -> Whole:
    """Rows of neurons as words of lanes."""
    padded = np.zeros((len(rows), turns * lanes), np.int64)
    padded[:, : rows.shape[1]] = rows
    return padded.reshape(-1, lanes)
