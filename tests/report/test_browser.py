"""The page as a reader's browser sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.chromium import chromium
from spikewright.report import Report, ReportData, Sample
from spikewright.report.theme import BACKGROUND, DARK

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
DRAWN = """return [...document.querySelectorAll('.canvas')].map(div => [
    div.closest('[hidden]') !== null,
    div.querySelectorAll('svg .trace path, svg image, svg .cartesianlayer path').length])"""
RANGES = """return [...document.querySelectorAll('.panel:not([hidden]) .canvas')]
    .map(div => div._fullLayout.xaxis.range.map(x => Number(x.toFixed(4))))"""
COLOURS = "return [...document.querySelectorAll('.main-svg')].map(svg => svg.innerHTML).join('')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "the page did not get there in time"
        time.sleep(0.05)


def open_page(browser: Any, path: Path) -> None:
    browser.get(path.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))


def media(browser: Any, scheme: str) -> None:
    """Choose the scheme; without motion, or clicks miss what still scrolls."""
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def requested(browser: Any) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]


@pytest.fixture
def page(browser: Any, run_data: ReportData, tmp_path: Path) -> Any:
    media(browser, "light")
    path = Report(run_data).save(tmp_path / "report.html")
    browser.get_log("browser"), browser.get_log("performance")
    open_page(browser, path)
    return browser


def test_page_opens_quietly_draws_every_plot_and_asks_for_nothing(page: Any) -> None:
    for tab in page.find_elements("css selector", "[role=tab]"):
        tab.click()
        until(lambda: all(hidden or marks for hidden, marks in page.execute_script(DRAWN)))
    drawn = page.execute_script(DRAWN)
    # 2 learning curves, 1 matrix, 3 samples of 3 plots, 2 of rates, 2 of weights
    assert len(drawn) == 16
    assert all(marks >= 1 for _, marks in drawn), drawn
    assert page.get_log("browser") == []
    urls = [url for url in requested(page) if not url.startswith(("data:", "blob:"))]
    assert urls == [page.current_url]


def test_zooming_one_time_axis_moves_all_of_its_sample(page: Any) -> None:
    page.execute_script(
        "Plotly.relayout(document.querySelector('[data-linked]'), {'xaxis.range': [10, 20]})"
    )
    until(lambda: page.execute_script(RANGES) == [[10, 20]] * 3)
    rows = page.execute_script(
        "const l = document.querySelectorAll('[data-linked]')[1]._fullLayout;"
        "return ['xaxis2', 'xaxis3', 'xaxis4'].map(key => l[key].range)"
    )
    assert rows == [[10, 20]] * 3


def test_figures_follow_the_colour_scheme_of_the_system(page: Any) -> None:
    def shown(colours: Any) -> set[str]:
        markup = page.execute_script(COLOURS)
        rgb = (tuple(bytes.fromhex(colour[1:])) for colour in colours)
        return {str(one) for one in rgb if f"rgb{one}" in markup}

    # White is also what Plotly writes on dark cells of the matrix, whatever the scheme.
    light = set(DARK) - {BACKGROUND}
    assert shown(light)
    assert not shown(DARK.values())
    media(page, "dark")
    until(lambda: shown(DARK.values()) and not shown(light))


def test_a_narrow_page_does_not_scroll_sideways(page: Any) -> None:
    size = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        root = "document.documentElement"
        until(lambda: page.execute_script(f"return {root}.clientWidth") <= 420)
        until(lambda: page.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth"))
        widths = "return [...document.querySelectorAll('.main-svg')].map(svg => svg.clientWidth)"
        until(lambda: max(page.execute_script(widths)) <= 420)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hostile_names_are_inert(browser: Any, run_data: ReportData, tmp_path: Path) -> None:
    sample = replace(run_data.samples[2], name=HOSTILE, hidden={HOSTILE: np.eye(5)})
    data = replace(
        run_data,
        title=HOSTILE,
        classes=(HOSTILE, "</script>", "<a href='javascript:window.hacked=1'>dot</a>"),
        samples=[sample, Sample(name="other", input=np.eye(3))],
        settings={HOSTILE: {"</script>": HOSTILE}},
        warnings=[HOSTILE],
        weights={HOSTILE: run_data.weights["0_linear"]},
        rates={HOSTILE: np.ones(3)},
    )
    path = Report(data).save(tmp_path / "hostile.html")
    browser.get_log("browser")
    open_page(browser, path)
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_element("tag name", "h1").text == HOSTILE
    assert browser.execute_script("return document.querySelectorAll('main img, svg a').length") == 0
    assert browser.get_log("browser") == []
