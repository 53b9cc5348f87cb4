"""Sections on a program compiled for a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spikewright.report.compiled import AgreementRow, Compiled, CostRow, LimitRow, Three
from spikewright.report.figures.agreement import spike_counts
from spikewright.report.figures.occupancy import occupancy
from spikewright.report.section import Section, Table
from spikewright.report.text import counted, number, percent
from spikewright.units import format_seconds, format_si

NONE = "–"
AGREEMENT = (
    "The same {samples} of {steps} as floating numbers, with the target's number formats in "
    "software, and on the target. The answer is that of the float program in {quantised} of the "
    "samples once quantised, in {target} on the target."
)
COST = (
    "Counted on the calibration sample, mean over samples, times published energies: {source}. "
    "They compare programs; they measure no device."
)
LIMITS = "What the target has, and how much of it the program takes."
PLACES = (
    "Which places of the target hold what. Columns belong to neurons, rows to what they listen to; "
    "the colour says to which layer a place belongs."
)
NOTES = "What the compiler assumed or changed on the way."


def program_sections(program: Compiled | None) -> list[Section]:
    """Agreement, cost, limits, placement and notes; nothing without a program."""
    if program is None:
        return []
    bars = spike_counts(program.agreement)
    return [
        Section(
            "agreement",
            f"Agreement with {program.target}",
            _agreement_lead(program),
            [bars] if bars else [],
            table=_agreement(program.agreement),
        ),
        Section("cost", "Cost of one inference", _cost_lead(program), table=_costs(program.costs)),
        Section("limits", "Limits of the target", LIMITS, table=_limits(program.limits)),
        Section("places", "Placement", PLACES, [occupancy(p) for p in program.places], grid=True),
        Section("notes", "Notes of the compiler", NOTES, notes=program.notes),
    ]


def program_cards(program: Compiled) -> list[tuple[str, str, str]]:
    """Label, value and remark of its key figures."""
    operations = sum(row.synaptic_operations for row in program.costs)
    bits = sum(row.weight_bits + row.state_bits for row in program.costs)
    return [
        ("Same answer", percent(program.same_answer[1]), "as in floating numbers"),
        ("Energy", format_si(program.joules, "J", 3), "an inference, estimated"),
        ("Latency", format_seconds(program.seconds), "an inference"),
        ("Synaptic operations", number(round(operations)), "an inference"),
        ("Memory", f"{number(bits / 8192)} KiB", "weights and states"),
    ]


def _agreement_lead(program: Compiled) -> str:
    return AGREEMENT.format(
        samples=counted(program.samples, "sample"),
        steps=counted(program.steps, "step"),
        quantised=percent(program.same_answer[0]),
        target=percent(program.same_answer[1]),
    )


def _cost_lead(program: Compiled) -> str:
    return COST.format(source=program.energy_source)


def _maybe(write: Callable[[float], str], value: float | None) -> str:
    return NONE if value is None else write(value)


def _agreement(rows: Sequence[AgreementRow]) -> Table:
    head = (
        "layer", "neurons", "spikes, float", "spikes, quantised", "spikes, target",
        "rate error, quantised", "rate error, target", "first step apart", "spikes apart",
        "membrane error", "out of range", "silent", "at the most",
    )  # fmt: skip
    return Table(head, [_agreement_row(row) for row in rows], numeric=range(1, len(head)))


def _agreement_row(row: AgreementRow) -> tuple[str, ...]:
    return (
        row.layer,
        f"{row.neurons:,}",
        *(_maybe(number, spikes) for spikes in row.spikes),
        *(_maybe(percent, error) for error in row.rate_errors),
        _maybe(number, row.first_step),
        _maybe(percent, row.differing),
        _maybe(percent, row.membrane_error),
        f"{row.saturations:,}",
        _change(row.silent),
        _change(row.saturated),
    )


def _change(three: Three) -> str:
    """From float to the target."""
    first, last = three[0], three[2]
    if first is None or last is None:
        return NONE
    return f"{first:,}" if first == last else f"{first:,} → {last:,}"


def _costs(rows: Sequence[CostRow]) -> Table:
    head = (
        "operation", "synaptic operations", "multiplications", "neuron updates", "weights",
        "weight bits", "state bits",
    )  # fmt: skip
    found = [
        (
            row.name,
            *(number(round(v)) for v in (row.synaptic_operations, row.multiplications)),
            *(f"{v:,.0f}" for v in (row.updates, row.weights, row.weight_bits, row.state_bits)),
        )
        for row in rows
    ]
    return Table(head, found, numeric=range(1, len(head)))


def _limits(rows: Sequence[LimitRow]) -> Table | None:
    head = ("limit", "used", "available", "unit", "source")
    found = [
        (row.name, _maybe(number, row.used), number(row.available), row.unit, row.source)
        for row in rows
    ]
    return Table(head, found, numeric=(1, 2)) if found else None
