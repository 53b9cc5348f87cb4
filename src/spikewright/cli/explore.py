"""``spikewright explore``: which accelerator to build of a network that is trained."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.cli import options
from spikewright.cli.compile import run_for_fpga
from spikewright.cli.screen import aside, console, pairs, table
from spikewright.errors import ParameterError

ROWS = 12

Source = Annotated[
    Path, typer.Argument(metavar="PATH", help="Folder of a run of a recipe such as lenet-fpga.")
]
BoardName = Annotated[str, typer.Option("--board", help="Budget: zynq-7020, artix-7-35t, ...")]
Steps = Annotated[str, typer.Option(help="T to try: steps that a value takes.")]
Bits = Annotated[str, typer.Option("--weight-bits", help="Bits of weights to try.")]
Tuning = Annotated[
    int,
    typer.Option(
        "--fine-epochs",
        help="Passes of fine-tuning for each T and bits of weights; 0 is quick, and tells less "
        "accuracy than training on would reach.",
    ),
]
Images = Annotated[
    int,
    typer.Option(
        "--fine-images", min=1, help="At most that many training images go into fine-tuning."
    ),
]
Tolerance = Annotated[
    float, typer.Option(min=0.0, help="Points of accuracy that may be given away for speed.")
]
Clock = Annotated[
    float | None,
    typer.Option(help="Clock that times are for, Hz; what the board is assumed to reach if not."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder to write; by default PATH/explored."),
]
Synthesise = Annotated[
    bool, typer.Option("--synthesise", help="Run the chosen design through Yosys as well.")
]


def explore(
    path: Source,
    board: BoardName = "zynq-7020",
    steps: Steps = "2,3,4,5,6",
    weight_bits: Bits = "2,3,4",
    fine_epochs: Tuning = 1,
    fine_images: Images = 10_000,
    tolerance: Tolerance = 0.25,
    clock: Clock = None,
    output: Output = None,
    synthesise: Synthesise = False,
    progress: options.Progress = True,
) -> None:
    """Try T, bits of weights and parallelism; write the best design that fits, and a report."""
    from spikewright.recipes.core.say import silent
    from spikewright.report.page import Report
    from spikewright.targets.fpga.exploring.boards import board as named
    from spikewright.targets.fpga.exploring.cost_model import recorded
    from spikewright.targets.fpga.exploring.explore import explore as search
    from spikewright.targets.fpga.exploring.page import report_data

    budget = named(board)
    choices = product(_numbers("steps", steps), _numbers("weight-bits", weight_bits))
    chosen = run_for_fpga("explore", path)
    settings = chosen.settings.model_copy(
        update={"fine_epochs": fine_epochs, "fine_images": fine_images}
    )
    say = aside if progress else silent
    candidates = chosen.recipe.candidates(settings, path, choices, say)
    model = recorded()
    found = search(candidates, budget, model, tolerance=tolerance, clock=clock, progress=say)
    place = output or path / "explored"
    title = f"{chosen.recipe.title}: designs"
    made = _made(fine_epochs, fine_images)
    report = Report(report_data(found, title, made)).save(place / "report.html")
    console().print(_front(found))
    if found.best is None:
        raise ParameterError(
            f"spikewright explore: a design must fit {board}, got none of {len(found.designs)}. "
            "Try a larger board, fewer steps, or weights over a stream (spikewright compile)."
        )
    console().print(_best(found, place, report, say if synthesise else None))


def _numbers(name: str, text: str) -> list[int]:
    try:
        found = sorted({int(each) for each in text.split(",")})
    except ValueError:
        found = []
    if not found or not 1 <= found[0] <= found[-1] <= 8:
        raise ParameterError(
            f"spikewright explore: {name} must be whole numbers from 1 to 8 with commas between, "
            f"got {text!r}. Pass for example 2,3,4."
        )
    return found


def _made(epochs: int, images: int) -> str:
    """How networks came about, for the page."""
    if not epochs:
        return "Networks were rounded and not trained on, which would give more accuracy."
    passes = "pass" if epochs == 1 else "passes"
    return (
        f"Each network was rounded and trained on, {epochs} {passes} over at most {images:,} "
        "images; more of both would give more accuracy."
    )


def _front(found: Any) -> Any:
    """The best trades that fit, thinned out."""
    from spikewright.targets.fpga.exploring.page import HEAD, row, thinned

    fit = [design for design in found.front if design.fits]
    title = f"Best trades that fit {found.board.name}, of {len(found.designs):,} designs"
    shown = table(title, *HEAD, right=HEAD)
    for design in thinned(fit, ROWS):
        shown.add_row(*row(design))
    return shown


def _best(found: Any, place: Path, report: Path, say: Any) -> Any:
    """Write the chosen design; what it is, and what a synthesis says of it."""
    from spikewright.targets.fpga.assemble import assemble
    from spikewright.targets.fpga.emit import emit
    from spikewright.targets.fpga.saved import save_network
    from spikewright.targets.fpga.synthesis.synthesise import synthesise
    from spikewright.targets.fpga.synthesis.xilinx import Xilinx

    best = found.best
    save_network(best.candidate.network, place / "network")
    emit(assemble(best.candidate.network, best.hardware), place / "accelerator")
    grid = pairs()
    grid.add_row("chosen", f"[bold]{best.name}[/], {best.candidate.accuracy:.2f} %")
    grid.add_row("by the model", _counts(best.resources))
    if say is not None:
        counted = synthesise(place / "accelerator", Xilinx(), progress=say)
        grid.add_row("by Yosys", _counts(counted.resources))
    grid.add_row("accelerator", f"[bold]{place / 'accelerator'}[/]")
    grid.add_row("report", f"[bold]{report}[/]")
    return grid


def _counts(resources: Any) -> str:
    return (
        f"{resources['lut']:,.0f} look-up tables, {resources['ff']:,.0f} flip-flops, "
        f"{resources['bram']:g} blocks of memory"
    )
