"""``spikewright compile``: an accelerator as files, of a network that is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright import optional
from spikewright.cli import cores, options
from spikewright.cli.screen import aside, console, pairs
from spikewright.errors import CompileError, ProgramError

TARGETS = ("fpga", "fpga-lif")
RUN, NETWORK, PROGRAM = "settings.toml", "integer.json", "program.json"

Source = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="Folder of a run of a recipe such as lenet-fpga, of a program that was saved (for the "
        "fpga, or of a spiking network for the fpga-lif), or of a network in whole numbers.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="What it is for, fpga or fpga-lif; by default whatever PATH says."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder to write; by default PATH/accelerator."),
]
Units = Annotated[int | None, typer.Option(help="Output channels of a convolution at once.")]
Linear = Annotated[int | None, typer.Option(help="Outputs of a linear layer at once.")]
Lanes = Annotated[
    int | None,
    typer.Option(help="Columns of an output row at once; of spiking layers neurons at once."),
]
Word = Annotated[int | None, typer.Option(help="Columns of a word of the activation memory.")]
Kernels = Annotated[
    bool | None,
    typer.Option(
        "--stream-kernels/--keep-kernels", help="Kernels come over a stream, or lie on the chip."
    ),
]
Weights = Annotated[
    bool | None,
    typer.Option(
        "--stream-weights/--keep-weights",
        help="Weights of linear and spiking layers come over a stream, or lie on the chip.",
    ),
]
Clock = Annotated[float | None, typer.Option(help="Clock that times are for, Hz.")]
Prefix = Annotated[
    str,
    typer.Option(
        metavar="NAME_",
        help="Goes before the names of all modules and memory images, so that several designs fit "
        "into one project.",
    ),
]
Synthesise = Annotated[
    str | None,
    typer.Option(
        metavar="CHIP",
        help="Run it through the tools: xc7 (resources, by Yosys), or ecp5 (resources and clock "
        "after place and route, by Yosys and nextpnr).",
    ),
]


def compile(
    path: Source,
    target: Target = None,
    output: Output = None,
    units: Units = None,
    linear: Linear = None,
    lanes: Lanes = None,
    word: Word = None,
    stream_kernels: Kernels = None,
    stream_weights: Weights = None,
    clock: Clock = None,
    prefix: Prefix = "",
    synthesise: Synthesise = None,
    progress: options.Progress = True,
) -> None:
    """Write SystemVerilog, memory images and a summary of an accelerator."""
    from spikewright.targets.fpga.design_files import check_prefix

    if target not in (None, *TARGETS):
        raise CompileError(
            f"spikewright compile: target must be {' or '.join(TARGETS)}, got {target!r}. What "
            "other targets load comes of sw.compile, or of spikewright run."
        )
    sizes = {
        "units": units, "linear": linear, "lanes": lanes, "word": word,
        "stream_kernels": stream_kernels, "stream_weights": stream_weights,
    }  # fmt: skip
    given = {name: value for name, value in sizes.items() if value is not None}
    check_prefix(prefix)
    flow = None if synthesise is None else _flow(synthesise)
    place = output or path / "accelerator"
    artefact = _artefact(path, place, (given, clock), progress)
    is_core = cores.is_core(artefact)
    if target not in (None, TARGETS[is_core]):
        raise CompileError(
            f"spikewright compile: target must be that of {path}, {TARGETS[is_core]}, got "
            f"{target!r}. Leave it out."
        )
    artefact.emit(place, prefix)
    console().print(cores.figures(artefact, place) if is_core else _figures(artefact, place))
    if flow is not None:
        clocks = artefact.most_clocks if is_core else artefact.cycles
        found = _synthesised(clocks, place, flow, progress)
        console().print(found, *[cores.NOTE] * is_core, sep="\n", markup=False)


def _flow(chip: str) -> Any:
    from spikewright.targets.fpga.synthesis.ecp5 import Ecp5
    from spikewright.targets.fpga.synthesis.xilinx import Xilinx

    flows: dict[str, Any] = {"xc7": Xilinx, "ecp5": Ecp5}
    if chip not in flows:
        raise CompileError(
            f"spikewright compile: synthesise must be xc7 or ecp5, got {chip!r}. Choose one."
        )
    return flows[chip]()


def _synthesised(clocks: int, place: Path, flow: Any, progress: bool) -> str:
    """What tools say of it, as a table."""
    from spikewright.targets.fpga.synthesis.synthesise import synthesise
    from spikewright.targets.fpga.synthesis.table import SynthesisedDesign, design_table

    found = synthesise(place, flow, progress=aside if progress else None)
    return design_table([SynthesisedDesign(place.name, found, clocks)])


Wishes = tuple[dict[str, Any], float | None]
"""Fields of `Hardware` and the clock, those that were given."""


def _artefact(path: Path, place: Path, wishes: Wishes, progress: bool) -> Any:
    """What is to be written; of a run also its program, which goes into ``place``."""
    if (path / NETWORK).exists():
        from spikewright.targets.fpga.saved import load_network

        return _on_fpga(load_network(path), {}, wishes)
    if (path / PROGRAM).exists():
        return _of_program(path, wishes)
    if (path / RUN).exists():
        return _of_run(path, place, wishes, progress)
    raise ProgramError(
        f"spikewright compile: {path} must be the folder of a run ({RUN}), a saved program "
        f"({PROGRAM}) or a network in whole numbers ({NETWORK}), got none of them. Write one with "
        "spikewright run lenet-fpga, program.save or save_network."
    )


def _on_fpga(network: Any, before: dict[str, Any], wishes: Wishes) -> Any:
    """A network on the hardware that it had before, but for what was asked for."""
    from spikewright.targets.fpga.artefact import OnFPGA
    from spikewright.targets.fpga.target import FPGA

    given, clock = wishes
    hardware = {**before.get("hardware", {}), **given}
    wanted = FPGA(hardware=hardware, clock=clock or before.get("clock", FPGA.clock))
    return OnFPGA(network, wanted.chosen, wanted.clock)


def _of_program(path: Path, wishes: Wishes) -> Any:
    from spikewright.compiler.program import Program
    from spikewright.targets.fpga.artefact import OnFPGA

    artefact: Any = getattr(Program.load(path), "artefact", None)
    if cores.is_core(artefact):
        return cores.on_core(artefact, *wishes)
    if not isinstance(artefact, OnFPGA):
        raise ProgramError(
            f"spikewright compile: the program in {path} must be one for the fpga, got another. "
            'Make one with sw.compile(module, "fpga", calibration=x), of a spiking network with '
            'sw.compile(network, "fpga-lif", calibration=x).'
        )
    before = {"hardware": asdict(artefact.hardware), "clock": artefact.clock}
    return _on_fpga(artefact.network, before, wishes)


def _of_run(path: Path, place: Path, wishes: Wishes, progress: bool) -> Any:
    """The network of a run: rounded, fine-tuned, and compiled with all checks."""
    from spikewright.compiler.compile import compile as compile_for

    chosen = run_for_fpga("compile", path)
    recipe, settings = chosen.recipe, chosen.settings
    given, clock = wishes
    with _shown(progress) as each:
        made, x = recipe.quantised(settings, path, each)
    hardware = {"units": settings.units, "linear": settings.linear, **given}
    wanted: dict[str, Any] = {"hardware": hardware}
    wanted |= {} if clock is None else {"clock": clock}
    program: Any = compile_for(made, "fpga", calibration=x, **wanted)
    program.save(place / "program")
    program.report().save(place / "report.html")
    return program.artefact


def run_for_fpga(verb: str, path: Path) -> options.Chosen:
    """Recipe and settings of a run.

    Raises:
        CompileError: it is of a recipe that makes nothing for the FPGA.
        ProgramError: there is no run.
    """
    from spikewright.recipes.core.radix import RadixRecipe

    if not (path / RUN).exists():
        way = "Finish one with spikewright run lenet-fpga."
        if (path / PROGRAM).exists():
            way = "A program is rounded already: use spikewright compile, or the run it came from."
        raise ProgramError(
            f"spikewright {verb}: {path} must be the folder of a run ({RUN}), got none. {way}"
        )
    chosen = options.choose(options.Given(None, None, path / RUN, None, {}))
    if not isinstance(chosen.recipe, RadixRecipe):
        raise CompileError(
            f"spikewright {verb}: the run in {path} must be of a recipe for the fpga, got "
            f"{chosen.recipe.name!r}. Try spikewright run lenet-fpga."
        )
    return chosen


@contextlib.contextmanager
def _shown(progress: bool) -> Iterator[Callable[[Any], None] | None]:
    """A bar over the batches of fine-tuning, or nothing."""
    if not progress:
        yield None
        return
    rich = optional.require("rich.progress")
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console(stderr=True), transient=True) as bars:
        bar = bars.add_task("rounding the network", total=None)

        def show(step: Any) -> None:
            done = (step.epoch - (step.batch == step.batches)) * step.batches + step.batch
            text = f"fine-tuning, loss {step.loss:.4f}"
            bars.update(bar, description=text, total=step.epochs * step.batches, completed=done)

        yield show


def _figures(artefact: Any, place: Path) -> Any:
    """What the accelerator comes to, as a grid of names and values."""
    from spikewright.units import format_seconds

    figures = artefact.summary()
    shape = ["×".join(map(str, figures[name])) for name in ("inputs", "outputs")]
    seconds = format_seconds(figures["seconds"])
    grid = pairs()
    grid.add_row("shape", f"{shape[0]} to {shape[1]}, {figures['steps']} steps")
    grid.add_row("clocks", f"[bold]{figures['cycles']:,}[/] an input")
    grid.add_row(
        "latency", f"{seconds} at {figures['clock_hz'] / 1e6:g} MHz, a clock not yet shown"
    )
    for name, bits in figures["memory_bits"].items():
        grid.add_row(f"memory of {name}", f"{bits:,} bits" if bits else "none on the chip")
    grid.add_row("files", f"[bold]{place}[/]")
    return grid
