"""The report of a reproduction: figures to meet and the curves that several seeds gave."""

from __future__ import annotations

import time

from spikewright.recipes.core.recipe import Recipe, RunSettings, S
from spikewright.recipes.core.reproduce import Row, Table
from spikewright.recipes.core.sweep import curves
from spikewright.report import Goal, Report, ReportData, Summary
from spikewright.report.text import duration


def make_reproduction_report(recipe: Recipe[S], settings: RunSettings, table: Table) -> Report:
    """The page that shows what `reproduce` measured."""
    met = sum(row.met for row in table.rows)
    cards = {
        "Figures met": f"{met} of {len(table.rows)}",
        "Seeds": str(len(table.measured)),
        "Time": duration(table.seconds),
    }
    return Report(
        ReportData(
            title=recipe.title,
            subtitle=f"Reproduction, size {table.size}",
            created=time.strftime("%Y-%m-%d %H:%M"),
            summary=Summary(extra=cards),
            goals=[_goal(row) for row in table.rows],
            measured=curves(recipe.sweeps, table.measured),
            listings=[it for each in recipe.tables if (it := each.listing(table.measured))],
            settings={"recipe": recipe.name, **settings.model_dump()},
            environment=table.environment,
        )
    )


def _goal(row: Row) -> Goal:
    return Goal(metric=row.metric, wanted=row.wanted, source=row.source, ours=row.ours, met=row.met)
