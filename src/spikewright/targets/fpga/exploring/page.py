"""What an exploration found, as a report and as rows of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spikewright.report.data import Choice, Listing, ReportData, Tradeoff
from spikewright.targets.fpga.exploring.explore import AcceleratorDesign, Exploration
from spikewright.targets.fpga.synthesis.energy import HOROWITZ_45NM_FPGA, energy
from spikewright.units import format_seconds, format_si

HEAD = (
    "T", "weight bits", "units × lanes", "linear", "accuracy, %", "clocks",
    "latency", "energy*", "LUT", "FF", "blocks", "board",
)  # fmt: skip
WORDS = {"lut": "look-up tables", "ff": "flip-flops", "bram": "blocks of memory"}
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


def report_data(found: Exploration, title: str, networks: str = "") -> ReportData:
    """The page: accuracy, size and energy over latency, the best trades, and the design chosen.

    Args:
        networks: how the networks came about, a sentence.
    """
    fit = [design for design in found.front if design.fits]
    chosen = [found.best] if found.best else []
    return ReportData(
        title=title,
        subtitle=f"{len(found.designs):,} designs for {found.board.name} ({found.board.chip})",
        tradeoffs=(
            _tradeoff(found, "accuracy, %", lambda design: design.candidate.accuracy),
            _tradeoff(found, "share of the board, %", lambda design: 100 * design.use),
            _tradeoff(found, "energy by the model, µJ", lambda design: 1e6 * design.energy),
        ),
        listings=(
            Listing(
                title="Chosen",
                head=HEAD,
                rows=[row(design) for design in chosen],
                numeric=range(len(HEAD)),
                lead=_why(found),
            ),
            Listing(
                title="Best trades that fit",
                head=HEAD,
                rows=[row(design) for design in thinned(fit)],
                numeric=range(len(HEAD)),
                lead=_basis(found, networks),
            ),
        ),
    )


def _why(found: Exploration) -> str:
    if found.best is None:
        return f"No design fits {found.board.name}."
    parts = energy(found.best.activity).items()
    taken = ", ".join(f"{format_si(joules, 'J', 3)} {name}" for name, joules in parts if joules)
    return (
        f"The fastest design that fits, of those with at least {found.wanted:.2f} % accuracy. "
        f"Of its energy* go {taken}."
    )


def _basis(found: Exploration, networks: str) -> str:
    """Where the figures come from, and how far they may be off."""
    errors = ", ".join(f"{WORDS[kind]} {100 * error:.0f} %" for kind, error in found.errors.items())
    return (
        f"{networks} Resources are told by a cost model, not by a synthesis; its mean error at "
        f"synthesised designs that it was not fitted to: {errors}. A share of 100 % leaves a fifth "
        "of the look-up tables free for routing. Clocks are counted, as many as the SystemVerilog "
        f"takes; latencies are at {found.clock / 1e6:g} MHz, which is assumed: no design was "
        "placed. * of additions and memories, counted on the mean over "
        f"{len(found.designs[0].candidate.q)} inputs, by published energies: a model, no "
        f"measurement. Not in it: {HOROWITZ_45NM_FPGA.missing}."
    ).strip()


def _tradeoff(found: Exploration, y: str, value: Callable[[AcceleratorDesign], float]) -> Tradeoff:
    """Accuracy is wanted large, and of all; of what costs only designs that are accurate enough."""

    def choice(design: AcceleratorDesign) -> Choice:
        return Choice(x=1e3 * design.latency, y=value(design), name=design.name)

    def group(design: AcceleratorDesign) -> str:
        if not design.fits:
            return "too large"
        enough = accuracy or design.candidate.accuracy >= found.wanted
        return f"T = {design.candidate.steps}" if enough else "less accurate"

    accuracy = y.startswith("accuracy")
    steps = sorted({design.candidate.steps for design in found.designs})
    groups: dict[str, list[Choice]] = {f"T = {each}": [] for each in steps}  # alike in all figures
    for design in sorted(found.designs, key=group):
        groups.setdefault(group(design), []).append(choice(design))
    best = [choice(design) for design in found.designs if group(design).startswith("T")]
    told = "" if accuracy else f" Best trades: at least {found.wanted:.2f} % accuracy."
    return Tradeoff(
        title=f"{y.partition(',')[0].capitalize()} over latency",
        x=f"latency at {found.clock / 1e6:g} MHz, ms",
        y=y,
        groups=groups,
        front=_staircase(best, 1 if accuracy else -1),
        chosen=choice(found.best) if found.best else None,
        caption=f"Each mark is an accelerator, told apart by T; hover for its settings.{told}",
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
