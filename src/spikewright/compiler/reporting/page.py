"""What a compiled program says of itself, as text and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikewright.compiler.reporting.agreement import LayerAgreement
from spikewright.compiler.reporting.table import text_table
from spikewright.report import (
    AgreementRow,
    Compiled,
    CostRow,
    LimitRow,
    Report,
    ReportData,
    environment,
)
from spikewright.report.text import number
from spikewright.units import format_seconds

if TYPE_CHECKING:
    from spikewright.compiler.program import Program


def report(program: Program) -> Report:
    """The page on a program alone."""
    sizes = ", ".join(f"{it.layer} ({it.neurons:,})" for it in program.agreement.layers)
    return Report(
        ReportData(
            title=f"Compiled for {program.target.title}",
            subtitle=sizes if program.dt is None else f"{sizes}; dt {format_seconds(program.dt)}",
            dt=program.dt,
            program=compiled(program),
            settings={
                "target": program.target.name,
                "options": dict(program.target.options),
                **program.target.describe(),
            },
            environment=environment(),
        )
    )


def compiled(program: Program) -> Compiled:
    """What a page shows of a program, for pages that show more than that."""
    agreement, cost, target = program.agreement, program.cost, program.target
    table = cost.table
    source = f"{table.name} ({table.source})"
    return Compiled(
        target=target.title,
        samples=agreement.samples,
        steps=agreement.steps,
        same_answer=agreement.same_answer,
        agreement=[_agreement_row(layer) for layer in agreement.layers],
        costs=[
            CostRow(
                name=node.node,
                synaptic_operations=node.synaptic_operations,
                multiplications=node.multiplications,
                updates=node.updates,
                weights=node.weights,
                weight_bits=node.weight_bits,
                state_bits=node.state_bits,
            )
            for node in cost.nodes
        ],
        joules=cost.joules,
        seconds=cost.seconds,
        energy_source=f"{source}; not counted: {table.missing}" if table.missing else source,
        limits=_limits(program),
        places=program.places,
        notes=program.notes,
    )


def _agreement_row(layer: LayerAgreement) -> AgreementRow:
    return AgreementRow(
        layer=layer.layer,
        neurons=layer.neurons,
        spikes=layer.spikes,
        rate_errors=(layer.quantised.rate_error, layer.artefact.rate_error),
        first_step=layer.artefact.first_step,
        differing=layer.artefact.differing,
        membrane_error=layer.artefact.membrane_error,
        saturations=layer.saturations,
        silent=layer.silent,
        saturated=layer.saturated,
    )


def _limits(program: Program) -> list[LimitRow]:
    return [
        LimitRow(
            name=limit.name,
            used=program.used.get(limit.name),
            available=limit.value,
            unit=limit.unit,
            source=limit.source,
        )
        for limit in program.target.limits
    ]


def explain(program: Program) -> str:
    """The text of a program: agreement, cost, limits, notes."""
    parts = [f"program for {program.target.title}", str(program.agreement), str(program.cost)]
    limits = [
        (row.name, "–" if row.used is None else number(row.used), number(row.available), row.unit)
        for row in _limits(program)
    ]
    if limits:
        parts.append(
            f"limits\n{text_table(('limit', 'used', 'available', 'unit'), limits, numeric=(1, 2))}"
        )
    if program.notes:
        parts.append("\n".join(["notes", *(f"- {note}" for note in program.notes)]))
    return "\n\n".join(parts)
