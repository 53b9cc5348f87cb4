"""The target `fpga`: trained modules as radix spikes on a generated accelerator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from spikewright.compiler.reporting.agreement import Agreement
from spikewright.compiler.reporting.cost import Cost
from spikewright.compiler.target import Broken, Limit
from spikewright.errors import CompileError, ParameterError
from spikewright.targets.fpga.artefact import OnFPGA
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.examine import examine
from spikewright.targets.fpga.options import hardware_of, quantisation_of
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.quantising.settings import Quantisation
from spikewright.targets.fpga.synthesis.energy import HOROWITZ_45NM_FPGA

ASKED = "asked for by the user"
INPUT_BITS = 8


@dataclass(frozen=True)
class FPGA:
    """An accelerator that is generated for a network: it adds up weights where bits are spikes.

    Args:
        quantisation: how a module is brought to whole numbers, a `Quantisation` or its fields by
            name; must be left out for what is `Quantised` already.
        hardware: what is done at once, a `Hardware` or its fields by name.
        clock: Hz, for times.
        samples: so many calibration samples are also worked through by spikes and instructions.
        memory: most bits of memory on the chip; ``None`` sets no limit.
        cycles: most clocks an input may take, likewise.

    Raises:
        ParameterError: an option is out of range.

    >>> FPGA(quantisation={"bits": 6}, hardware={"units": 4}).options["hardware"]["units"]
    4
    """

    quantisation: Quantisation | Mapping[str, Any] | None = None
    hardware: Hardware | Mapping[str, Any] | None = None
    clock: float = 100e6
    samples: int = 64
    memory: int | None = None
    cycles: int | None = None

    name = "fpga"
    title = "an FPGA accelerator of radix spikes"
    digital = True
    grid = None
    energy = HOROWITZ_45NM_FPGA.table

    def __post_init__(self) -> None:
        quantisation_of(self.quantisation)
        hardware_of(self.hardware)
        checks: list[tuple[str, Any, str, bool]] = [
            ("clock", self.clock, "above 0 Hz and finite", 0 < self.clock < math.inf),
            ("samples", self.samples, "a whole number from 1 on", _whole(self.samples)),
        ]
        for name in ("memory", "cycles"):
            value = getattr(self, name)
            checks.append((name, value, "None or whole", value is None or _whole(value)))
        for name, value, rule, right in checks:
            if not right:
                raise ParameterError(
                    f"fpga: {name} must be {rule}, got {value!r}. Leave it out for its default."
                )

    @property
    def limits(self) -> Sequence[Limit]:
        asked = (("memory", "bits on the chip"), ("cycles", "clocks an input"))
        return [
            Limit("input", INPUT_BITS, "bits", "rtl/input_unit.sv: its stream is a byte wide"),
            *(
                Limit(name, getattr(self, name), unit, ASKED)
                for name, unit in asked
                if getattr(self, name) is not None
            ),
        ]

    @property
    def chosen(self) -> Hardware:
        """The hardware, whichever way it was given."""
        return hardware_of(self.hardware)

    @property
    def options(self) -> Mapping[str, Any]:
        quantisation = quantisation_of(self.quantisation)
        return {
            "quantisation": None if quantisation is None else asdict(quantisation),
            "hardware": asdict(self.chosen),
            "clock": self.clock,
            "samples": self.samples,
            "memory": self.memory,
            "cycles": self.cycles,
        }

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "the accelerator's exact twin in whole numbers",
            "code": "radix: the bits of an activation, the most significant first",
            "takes": "trained modules of ReLU layers",
            "energy": f"{self.energy.name} ({self.energy.source})",
        }

    def read_module(self, module: Any, sample: Tensor) -> Quantised:
        """Whole numbers, with the real ones that they were rounded from.

        Args:
            module: an `nn.Module`, or what `convert` or `fine_tune` gave.
        """
        settings = quantisation_of(self.quantisation)
        if isinstance(module, Quantised):
            if settings is not None and settings != module.settings:
                raise CompileError(
                    "fpga: quantisation must be left out for a network that is quantised already, "
                    f"got {settings}. Give it to convert instead."
                )
            _check_sample(module, sample)
            return module
        if not isinstance(module, nn.Module):
            raise CompileError(
                "fpga: network must be a trained torch.nn.Module, or what convert or fine_tune "
                f"gave, got {type(module).__name__}. See docs/targets/fpga.md."
            )
        return convert(module, sample, settings)

    def lower_module(self, read: Quantised) -> OnFPGA:
        return OnFPGA(read.network, self.chosen, self.clock, read.silent)

    def check_module(self, artefact: OnFPGA) -> list[Broken]:
        ways = {
            "input": "Use fewer bits: a byte is what comes over the stream.",
            "memory": "Use fewer bits, stream_kernels or stream_weights, or raise memory.",
            "cycles": "Use more units, linear or lanes, fewer bits, or raise cycles.",
        }
        used = self.used_module(artefact)
        return [
            Broken(
                "all", it.name, f"{used[it.name]:,} {it.unit}", f"{it.value:,.0f}", ways[it.name]
            )
            for it in self.limits
            if not it.holds(used[it.name])
        ]

    def used_module(self, artefact: OnFPGA) -> Mapping[str, float]:
        return {
            "input": artefact.network.bits,
            "memory": sum(artefact.memory.values()),
            "cycles": artefact.cycles,
        }

    def examine_module(
        self, read: Quantised, artefact: OnFPGA, sample: Tensor
    ) -> tuple[Agreement, Cost]:
        return examine(read, artefact, sample[: self.samples].cpu())

    def restore_module(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> OnFPGA:
        return OnFPGA.restored(tensors, values, self.chosen, self.clock)


def _check_sample(made: Quantised, sample: Tensor) -> None:
    shape = made.network.shape
    if sample.shape[1:].numel() != math.prod(shape):
        raise CompileError(
            f"fpga: calibration must be (samples, *features) with features {shape}, got "
            f"{tuple(sample.shape)}. Pass some inputs of the network."
        )


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 1
