"""What an exploration found, as a report and as rows of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spikewright.report.data import Choice, Listing, ReportData, Tradeoff
from spikewright.targets.fpga.exploring.explore import AcceleratorDesign, Exploration
from spikewright.targets.fpga.synthesis.energy import HOROWITZ_45NM_FPGA
from spikewright.units import format_seconds, format_si

HEAD = (
    "T", "weight bits", "units × lanes", "linear", "accuracy, %", "clocks",
    "latency", "energy*", "LUT", "FF", "blocks", "board",
)  # fmt: skip
SHOWN = 40
"""Rows of the front that the page lists."""


def row(design: AcceleratorDesign) -> tuple[str, ...]:
    """One design under `HEAD`."""
    it, made, takes = design.candidate, design.hardware, design.resources
    return (
        str(it.steps),
        str(it.weight_bits),
        f"{made.units} × {made.lanes}",
        str(made.linear),
        f"{it.accuracy:.2f}",
        f"{design.cycles:,}",
        format_seconds(design.latency),
        format_si(design.energy, "J", 3),
        f"{takes['lut']:,.0f}",
        f"{takes['ff']:,.0f}",
        f"{takes['bram']:.1f}",
        f"{100 * design.use:.0f} %",
    )


def report_data(found: Exploration, title: str) -> ReportData:
    """The page: accuracy and size over latency, the best trades, and the design chosen."""
    fit = [design for design in found.front if design.fits]
    errors = ", ".join(f"{kind} {100 * error:.0f} %" for kind, error in found.errors.items())
    chosen = [found.best] if found.best else []
    samples = len(found.designs[0].candidate.q)
    return ReportData(
        title=title,
        subtitle=f"{len(found.designs):,} designs for {found.board.name} ({found.board.chip})",
        tradeoffs=(
            _tradeoff(found, "accuracy, %", lambda design: design.candidate.accuracy, 1),
            _tradeoff(found, "share of the board, %", lambda design: 100 * design.use),
            _tradeoff(found, "energy by the model, µJ", lambda design: 1e6 * design.energy),
        ),
        listings=(
            Listing(
                title="Chosen",
                head=HEAD,
                rows=[row(design) for design in chosen],
                numeric=range(len(HEAD)),
                lead="The fastest design that fits, as accurate as the best but for the tolerance.",
            ),
            Listing(
                title="Best trades that fit",
                head=HEAD,
                rows=[row(design) for design in thinned(fit)],
                numeric=range(len(HEAD)),
                lead=f"Resources are told by a cost model, not by a synthesis: {errors} mean error "
                "at synthesised designs that it was not fitted to. A share of 100 % leaves a fifth "
                "of the look-up tables free for routing. Clocks are counted, as many as the "
                f"SystemVerilog takes; latencies are at {found.clock / 1e6:g} MHz, which is "
                "assumed: no design was placed. * of additions and memories on the mean over "
                f"{samples} inputs, by published energies: a model, no measurement. Not in it: "
                f"{HOROWITZ_45NM_FPGA.missing}.",
            ),
        ),
    )


def _tradeoff(
    found: Exploration, y: str, value: Callable[[AcceleratorDesign], float], sign: int = -1
) -> Tradeoff:
    def choice(design: AcceleratorDesign) -> Choice:
        return Choice(x=1e3 * design.latency, y=value(design), name=design.name)

    groups: dict[str, list[Choice]] = {}
    for design in sorted(found.designs, key=lambda one: (not one.fits, one.candidate.steps)):
        name = f"T = {design.candidate.steps}" if design.fits else "too large"
        groups.setdefault(name, []).append(choice(design))
    return Tradeoff(
        title=f"{y.partition(',')[0].capitalize()} over latency",
        x=f"latency at {found.clock / 1e6:g} MHz, ms",
        y=y,
        groups=groups,
        front=_staircase([choice(design) for design in found.designs if design.fits], sign),
        chosen=choice(found.best) if found.best else None,
        caption="Each mark is an accelerator, told apart by T; hover for its settings.",
    )


def _staircase(choices: Sequence[Choice], sign: int) -> list[Choice]:
    """Those that no faster one beats; more is better where the sign is positive."""
    found: list[Choice] = []
    for one in sorted(choices, key=lambda each: (each.x, -sign * each.y)):
        if not found or sign * one.y > sign * found[-1].y:
            found.append(one)
    return found


def thinned(designs: Sequence[AcceleratorDesign], most: int = SHOWN) -> list[AcceleratorDesign]:
    """Evenly chosen, if there are too many; the ends stay."""
    if len(designs) <= most:
        return list(designs)
    places = [round(k * (len(designs) - 1) / (most - 1)) for k in range(most)]
    return [designs[place] for place in places]
