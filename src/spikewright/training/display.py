"""Progress for people: a live panel in a terminal, plain lines elsewhere, nothing on request."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from spikewright import optional
from spikewright.training.progress import (
    Progress,
    format_clock,
    format_metric,
    plain_line,
    seconds_left,
    share_done,
    shown_metrics,
)
from spikewright.training.rates import SATURATED

_LINE_EVERY = 10.0
_BAR = 24
_WIDTH = 76


class Display(Protocol):
    """Shows progress; `say` is for a sentence now and then."""

    def update(self, progress: Progress) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def update(self, progress: Progress) -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """Ignore it."""

    def close(self) -> None:
        """Nothing to close."""


class Plain:
    """One line an epoch, and one every ten seconds inside long ones."""

    def __init__(self, console: Any) -> None:
        self._console = console
        self._shown = time.monotonic()
        self._epoch: int | None = None

    def update(self, progress: Progress) -> None:
        """Print a line if one is due."""
        now = time.monotonic()
        self._epoch = progress.epoch if self._epoch is None else self._epoch
        if progress.epoch > self._epoch or now - self._shown >= _LINE_EVERY:
            self._epoch, self._shown = progress.epoch, now
            self.say(plain_line(progress))

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing to close."""


class Live:
    """A panel that is drawn anew four times a second."""

    def __init__(self, console: Any) -> None:
        live = optional.require("rich.live").Live
        self._live = live(console=console, refresh_per_second=4, transient=False)
        self._live.start()
        self._drawn = 0.0
        self._last: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Draw, but no more often than an eye can follow."""
        self._last = progress
        if time.monotonic() - self._drawn >= 0.2:
            self._draw(progress)

    def _draw(self, progress: Progress) -> None:
        self._drawn = time.monotonic()
        self._live.update(render(replace(progress, memory=resident_memory())))

    def say(self, text: str) -> None:
        """Print a line above the panel."""
        self._live.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._last is not None:
            self._draw(self._last)
        self._live.stop()


def open_display(show: bool) -> Display:
    """The display that suits where standard error goes."""
    if not show:
        return Silent()
    console = optional.require("rich.console").Console(stderr=True)
    return Live(console) if console.is_terminal else Plain(console)


def render(progress: Progress) -> Any:
    """Progress as a Rich panel."""
    group = optional.require("rich.console").Group
    panel = optional.require("rich.panel").Panel
    parts = [_head(progress), _bars(progress)]
    parts += ["", _metrics(progress)] if progress.metrics else []
    parts += ["", _rates(progress)] if progress.rates else []
    return panel(group(*parts), title="training", title_align="left", width=_WIDTH, padding=(0, 1))


def _head(progress: Progress) -> Any:
    gone, left = format_clock(progress.seconds), format_clock(seconds_left(progress))
    grid = optional.require("rich.table").Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1, justify="center")
    grid.add_column(ratio=1, justify="right")
    memory = f"{progress.memory / 2**20:,.0f} MiB memory" if progress.memory else ""
    grid.add_row(f"{_speed(progress)} batches/s", memory, f"{gone} gone, [bold]{left}[/] left")
    return grid


def _speed(progress: Progress) -> str:
    return f"[bold]{progress.speed:.1f}[/]" if progress.speed else "[dim]-[/]"


def _bars(progress: Progress) -> Any:
    bar = optional.require("rich.progress_bar").ProgressBar
    grid = optional.require("rich.table").Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(width=6)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", min_width=12, no_wrap=True)
    of = f"/{progress.epochs}" if progress.epochs is not None else ""
    epoch = f"epoch {progress.epoch + (progress.step > 0)}{of}"
    batch = f"batch {progress.step}/{progress.steps}"
    grid.add_row("run", _styled(bar, share_done(progress)), epoch)
    grid.add_row("epoch", _styled(bar, progress.step / progress.steps), batch)
    return grid


def _styled(bar: Any, share: float) -> Any:
    return bar(total=1.0, completed=share, complete_style="cyan", finished_style="green")


def _metrics(progress: Progress) -> Any:
    table = _table("", "training", "validation", "best")
    validation, best = progress.validation or {}, progress.best or {}
    for name, value in shown_metrics(progress).items():
        cells = [format_metric(name, r[name]) if name in r else "-" for r in (validation, best)]
        table.add_row(name, format_metric(name, value), *cells)
    return table


def _rates(progress: Progress) -> Any:
    """One bar a layer; its scale ends where a layer counts as saturated."""
    table = _table("spikes/step/neuron", "", "", "")
    for layer, rate in progress.rates.items():
        filled = min(_BAR, round(rate / SATURATED * _BAR))
        word = "silent" if rate == 0 else "saturated" if rate > SATURATED else ""
        colour = "red" if word else "green"
        bar = f"[{colour}]{'━' * filled}[/][dim]{'─' * (_BAR - filled)}[/]"
        table.add_row(layer, f"{rate:.4f}", bar, f"[{colour}]{word}[/]")
    return table


def _table(*names: str) -> Any:
    table = optional.require("rich.table").Table(
        box=None, expand=True, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column(names[0], ratio=1, no_wrap=True)
    for name in names[1:]:
        table.add_column(name, justify="right", min_width=11, no_wrap=True)
    return table


def resident_memory() -> int | None:
    """Bytes of main memory the process holds; the peak where the system tells no more.

    >>> resident_memory() > 0
    True
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return _peak_memory()


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if os.uname().sysname == "Darwin" else peak * 1024
