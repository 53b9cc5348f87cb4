"""The page: sections, figures and Plotly itself in one HTML file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from spikewright import optional
from spikewright.files import write_text
from spikewright.report import theme
from spikewright.report.cards import cards
from spikewright.report.data import ReportData
from spikewright.report.figures.plot import Plot
from spikewright.report.section import Section
from spikewright.report.sections import sections
from spikewright.units import check_dt


class Report:
    """A report on a network, its training and its answers.

    Args:
        data: what to show; sections without data are left out.

    Raises:
        ParameterError: ``data.dt`` is not a positive time.

    >>> page = Report(ReportData(title="My run", settings={"seed": 1})).to_html()
    >>> page.startswith("<!doctype html>"), "My run" in page
    (True, True)
    """

    def __init__(self, data: ReportData) -> None:
        if data.dt is not None:
            check_dt("report", data.dt)
        self.data = data

    def to_html(self) -> str:
        """The whole page as text; it needs no network and no other file."""
        shown = sections(self.data)
        return _template().render(
            data=self.data,
            cards=cards(self.data),
            sections=shown,
            style=_file("style.css"),
            script=_file("page.js"),
            plotly=_plotly() if _plots(shown) else "",
            dark=_inert_json(theme.DARK),
            figures=_figures(shown),
        )

    def save(self, path: str | Path) -> Path:
        """Write the page to ``path``, by a rename, so that a reader never sees half of it.

        Returns:
            The path written.

        Raises:
            SpikewrightError: the file cannot be written; a file there before is unharmed.
        """
        return write_text(Path(path), self.to_html())


def _template() -> Any:
    jinja: Any = optional.require("jinja2")
    environment = jinja.Environment(
        autoescape=True, undefined=jinja.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("template.html.j2"))


def _file(name: str) -> str:
    return resources.files("spikewright.report").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    offline: Any = optional.require("plotly.offline")
    return str(offline.get_plotlyjs())


def _plots(shown: Sequence[Section]) -> list[Plot]:
    """All plots in the order of the page, which is also the order of their numbers."""
    found: list[Plot] = []
    for section in shown:
        found += [*section.plots, *(plot for tab in section.tabs for plot in tab.plots)]
    return found


def _figures(shown: Sequence[Section]) -> str:
    """The figures as one JSON list; Plotly writes NumPy arrays as base64, not as digits."""
    plotly: Any = optional.require("plotly.io")
    drawn = [plotly.to_json(plot.figure, engine="json") for plot in _plots(shown)]
    return "[" + ",".join(drawn).replace("<", "\\u003c") + "]"


def _inert_json(value: Any) -> str:
    """JSON that cannot close the script element around it."""
    return json.dumps(value).replace("<", "\\u003c")
