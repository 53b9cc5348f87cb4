"""LeNet-5 in whole numbers against float PyTorch, and against its own SystemVerilog.

Weights of 3 bits, T = 4, first weights instead of trained ones: as much work. Each side has a
process of its own with the threads its users have. The integer network's outputs are compared with
those of the accelerator, which Verilator simulates, and of its instruction interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.benches.core.compare import OURS, Entry, measure
from spikewright.benches.core.contender import Contender
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import NotOffered, Task, Work
from spikewright.models.plain import lenet5
from spikewright.targets.fpga import verilator
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation

BATCHES = (1000, 64, 1)
BEHAVED = 8
"""Images for the simulator and the interpreter, which are slower by orders of magnitude."""
ROUNDS = 15
UNITS, LINEAR = 2, 16
INTEGERS, PIXELS = "numbers given", "from pixels"
FLOATS, INSTRUCTIONS, RTL = "floats", "instructions", "verilator"


def rows() -> Iterator[Row]:
    """Images a second: against PyTorch by batch, then against simulator and interpreter."""
    for batch in BATCHES:
        yield from against_pytorch(task(batch), ROUNDS)
    yield from against_rtl(task(BEHAVED), 5)


def task(images: int) -> Task:
    """One run over so many images at once."""
    return Task("conv", "infer", 1, images, (28, 6, 16, 10))


def against_pytorch(what: Task, rounds: int) -> Iterator[Row]:
    """The integer network, with and without making numbers of pixels, beside the module."""
    ways = [_entry("this package", way) for way in (INTEGERS, PIXELS)]
    floats = _entry("float PyTorch", FLOATS)
    measure(what, [*ways, floats], rounds)
    for ours in ways:
        yield _row(what, ours, floats, "by hand", "")


def against_rtl(what: Task, rounds: int) -> Iterator[Row]:
    """The integer network beside its accelerator, with what they answer."""
    ours = _entry("this package", INTEGERS)
    others = [_entry("SystemVerilog in Verilator", RTL), _entry("our interpreter", INSTRUCTIONS)]
    measure(what, [ours, *others], rounds)
    for other in others:
        equal = "equal" if other.rates == ours.rates else "NOT EQUAL"
        yield _row(what, ours, other, "own", f"{equal} in every sum of {what.batch} images")


def _entry(name: str, way: str) -> Entry:
    first = "torch" if way == FLOATS else "spikewright"
    return Entry(name, OURS, Contender(__name__, way, first=first), way)


def _row(what: Task, ours: Entry, other: Entry, kind: str, note: str) -> Row:
    return Row(
        f"LeNet-5, {what.batch} images at once, {ours.way}",
        _images(what, ours),
        _images(what, other),
        f"{other.name} {other.version}".strip(),
        "images/s",
        "higher",
        "; ".join(filter(None, (ours.reason, other.reason or note))),
        kind,
        (ours.timing.spread, other.timing.spread),
    )


def _images(what: Task, entry: Entry) -> float | None:
    return None if entry.median is None else 1e3 * what.batch / entry.median


def prepare(what: Task, variant: str) -> Work:
    """One way of working through the images: a worker's side."""
    module, network, x = case(what.batch)
    q = encode(network, x)
    version = torch.__version__.partition("+")[0] if variant == FLOATS else sw.__version__
    if variant in (INSTRUCTIONS, RTL):
        return _accelerator(assemble(network, Hardware(units=UNITS, linear=LINEAR)), q, variant)

    def floats() -> Tensor:
        with torch.no_grad():
            return module(x)

    calls: dict[str, Callable[[], Tensor]] = {
        INTEGERS: lambda: network.run(q),
        PIXELS: lambda: network.run(encode(network, x)),
        FLOATS: floats,
    }
    call = calls[variant]
    return Work(call, lambda: call().double().flatten().tolist(), version)


def case(images: int) -> tuple[nn.Module, IntegerNetwork, Tensor]:
    """The module, the same in whole numbers, and images; always the same."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(max(images, 100), 1, 28, 28, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = lenet5().eval()
    settings = Quantisation(WeightQuantisation(3), bits=4, margin_bits=8)
    return module, convert(module, x[:100], settings).network, x[:images]


def _accelerator(program: Program, q: Tensor, variant: str) -> Work:
    numbers = q.numpy()
    if variant == RTL and not verilator.available():
        raise NotOffered("not installed: apt install verilator make g++")
    call = partial(verilator.simulate if variant == RTL else interpret, program, numbers)
    version = verilator.version() if variant == RTL else ""  # the interpreter is part of us
    return Work(call, lambda: call().results.astype(float).ravel().tolist(), version)
