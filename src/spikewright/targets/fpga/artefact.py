"""The artefact of the target `fpga`: the network in whole numbers and the accelerator's program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ProgramError
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.clocks import clocks
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit, images
from spikewright.targets.fpga.footprint import memory_bits
from spikewright.targets.fpga.inputs import encode, saturated_inputs
from spikewright.targets.fpga.integer import INPUT, IntegerNetwork
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.saturations import saturations
from spikewright.targets.fpga.saved import FAULTS, network_values, restored_network
from spikewright.units import format_seconds

PART = 256
"""Samples that are worked out at once."""


@dataclass(frozen=True, eq=False)
class OnFPGA:
    """A network on an accelerator.

    Args:
        network: what it computes, and its exact twin.
        hardware: what it does at once.
        clock: Hz, for times; no more than a wish until a synthesis has shown it.
        silent: stages that were 0 throughout when the network was calibrated.
    """

    network: IntegerNetwork
    hardware: Hardware
    clock: float
    silent: tuple[str, ...] = ()

    @cached_property
    def program(self) -> Program:
        """Instructions and memory images."""
        return assemble(self.network, self.hardware)

    @cached_property
    def cycles(self) -> int:
        """Clocks of one input with all streams ready; the same for whatever input."""
        return clocks(self.program.words, self.program.dimensions)

    @cached_property
    def memory(self) -> Mapping[str, int]:
        """Bits of each memory on the chip."""
        return memory_bits(self.program.dimensions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return self.network.shape

    @property
    def notes(self) -> tuple[str, ...]:
        seconds = format_seconds(self.cycles / self.clock)
        return (
            f"{self.cycles:,} clocks an input: {seconds} at {self.clock / 1e6:g} MHz, a clock that "
            "was asked for and that no synthesis has shown",
            f"{sum(self.memory.values()):,} bits of memory on the chip",
            *(f"stage {name!r} was 0 throughout on the calibration data" for name in self.silent),
        )

    def run(self, x: Tensor) -> Tensor:
        """What the accelerator answers, in the numbers of the module: sums times their scale.

        Args:
            x: real numbers, (batch, *features); those out of range are cut, see `saturations`.

        Returns:
            (batch, *n) float64.
        """
        return self.sums(x).double() * self.network.stages[-1].scale

    def sums(self, x: Tensor) -> Tensor:
        """What comes over the stream of results, (batch, *n) int64."""
        parts = [self.network.run(encode(self.network, part)) for part in x.split(PART)]
        return torch.cat(parts)

    def saturations(self, x: Tensor) -> dict[str, int]:
        """By stage, and of the input, how many values were cut at the end of their range."""
        counts = saturations(self.network, encode(self.network, x))
        return {INPUT: saturated_inputs(self.network, x), **counts}

    def emit(self, folder: str | Path, prefix: str = "") -> Path:
        """Write SystemVerilog, memory images and what they amount to, in ``summary.json``.

        Args:
            prefix: before the names of all modules, packages and images, so that several designs
                fit into one project.

        Raises:
            ParameterError: the prefix cannot begin a name.
            ProgramError: the folder cannot be written.
        """
        return emit(self.program, folder, self.summary(), prefix)

    def summary(self) -> dict[str, Any]:
        """Plain figures, ready for JSON: shapes, clocks, memories and sizes."""
        program = self.program
        return {
            "inputs": list(program.inputs),
            "outputs": list(program.outputs),
            "steps": self.network.bits,
            "output_scale": self.network.stages[-1].scale,
            "input_scale": self.network.scale,
            "cycles": self.cycles,
            "clock_hz": self.clock,
            "seconds": self.cycles / self.clock,
            "memory_bits": dict(self.memory),
            "hardware": asdict(self.hardware),
        }

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The network, and a checksum of the program that was assembled of it."""
        values, tensors = network_values(self.network)
        body = {"network": values, "silent": list(self.silent), "cycles": self.cycles}
        return tensors, body | {"program": checksum(self.program)}

    @staticmethod
    def restored(
        tensors: Mapping[str, Tensor], values: Mapping[str, Any], hardware: Hardware, clock: float
    ) -> OnFPGA:
        """The inverse of `saved`: assembled anew, and compared.

        Raises:
            ProgramError: no such values, or another program comes of them.
        """
        try:
            network = restored_network(values["network"], tensors)
            silent = tuple(str(name) for name in values["silent"])
            made = OnFPGA(network, hardware, clock, silent)
            same = (checksum(made.program), made.cycles) == (values["program"], values["cycles"])
        except FAULTS as cause:
            raise _unlike(f"{type(cause).__name__}: {cause}") from cause
        if not same:
            raise _unlike("one of which another program is made now")
        return made


def checksum(program: Program) -> str:
    """Of the memory images and sizes: equal for programs that do the same, clock by clock."""
    parts = [repr(program.dimensions), *images(program).values()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _unlike(what: str) -> ProgramError:
    return ProgramError(
        f"fpga.restore: the file must hold a network and what was assembled of it, got {what}. "
        "Compile the network again."
    )
