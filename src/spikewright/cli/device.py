"""``spikewright device``: serve a chip's twin to several users, and look at one that is served."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.cli.screen import complain, console, pairs
from spikewright.errors import SettingsError, nearest

app = typer.Typer(help="Serve a chip over a wire, and look at one.", no_args_is_help=True)

TargetName = Annotated[str, typer.Argument(metavar="TARGET", help="Whose twin: brainscales2.")]
Host = Annotated[str, typer.Option(help="Address to listen on; by default this machine alone.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
ChipSeed = Annotated[int, typer.Option(help="Which chip: draws its fixed pattern.")]
Mismatch = Annotated[float, typer.Option(help="Relative spread of its circuits.")]
Noise = Annotated[float, typer.Option(help="Temporal noise; 1 is the usual, 0 none.")]
Waiting = Annotated[int, typer.Option(min=1, help="Runs that may wait at a time.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token, or a line USER TOKEN for each user. When serving, it is made "
        "where it is not there. By default $SPIKEWRIGHT_DEVICE_TOKEN, else a new token is printed."
    ),
]


@app.command("serve")
def serve_twin(
    target: TargetName,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    token_file: TokenFile = None,
    chip_seed: ChipSeed = 0,
    mismatch: Mismatch = 0.1,
    noise: Noise = 1.0,
    waiting: Waiting = 32,
) -> None:
    """Serve the twin of a chip until Ctrl-C; runs of all users go one after another."""
    from spikewright.targets.core.device.desk import Limits
    from spikewright.targets.core.device.serve import serve
    from spikewright.targets.core.device.turns import QueueLimits

    chip, codec = _twin(target)(chip_seed, mismatch, noise)
    tokens, shown = _tokens(token_file)
    log = _Log()
    limits = Limits(queue=QueueLimits(waiting=waiting))

    def ready(server: Any) -> None:
        log.greet(target, chip.identity(), server.url, shown)

    try:
        serve(chip, codec, (host, port), tokens, limits, ready, log.run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the device has ended after {log.runs} runs.") from None


@app.command("status")
def show_status(
    url: Annotated[str, typer.Argument(help="Where it is, such as http://127.0.0.1:8765.")],
    token_file: TokenFile = None,
) -> None:
    """Show what a device is, who runs on it and who waits."""
    from spikewright.targets.core.device.client import look
    from spikewright.targets.core.device.link import Persistence

    facts, status = look(url, token_file, Persistence(timeout=5.0, retries=2, patience=5.0))
    grid = pairs()
    grid.add_row("device", f"[bold]{facts['target']}[/] at {url}, protocol {facts['protocol']}")
    grid.add_row("chip", _facts(facts["chip"]))
    running = status["running"]
    grid.add_row("running", _who(running) if running else "nothing")
    for place, run in enumerate(status["waiting"], start=1):
        grid.add_row(f"waiting, {place}.", _who(run))
    counts = status["runs"]
    each = f", {status['seconds_a_run'] * 1e3:.1f} ms each" if counts["done"] else ""
    grid.add_row("runs", f"{counts['done']} done{each}, {counts['failed']} failed")
    grid.add_row("up for", f"{status['uptime']:.0f} s, {status['connections']} connections")
    console().print(grid)


def _twin(target: str) -> Callable[[int, float, float], tuple[Any, Any]]:
    if target not in TWINS:
        raise SettingsError(
            f"device serve: target must be one whose twin is served, got {target!r}. "
            f"{nearest(target, TWINS)}"
        )
    return TWINS[target]


def _brainscales2(seed: int, mismatch: float, noise: float) -> tuple[Any, Any]:
    from spikewright.targets.brainscales2.twin import Twin
    from spikewright.targets.brainscales2.wire import CODEC

    return Twin(seed, mismatch=mismatch, noise=noise), CODEC


TWINS = {"brainscales2": _brainscales2}


def _tokens(path: Path | None) -> tuple[dict[str, str], str]:
    """Tokens by user, and what to say about them."""
    import os

    from spikewright.targets.core.device import tokens

    if path is None:
        given = os.environ.get(tokens.VARIABLE)
        token = given or tokens.new_token()
        return {tokens.SHARED: token}, f"that of ${tokens.VARIABLE}" if given else token
    if not path.exists():
        tokens.write_token(path)
    elif path.stat().st_mode & 0o077:
        complain("warning", f"{path} can be read by other users of this machine: chmod 600 {path}")
    return tokens.read_tokens(path), f"in {path}"


class _Log:
    """What the terminal shows: a greeting, then a line for each run."""

    def __init__(self) -> None:
        self.runs, self._screen = 0, console()

    def greet(self, target: str, facts: dict[str, Any], url: str, token: str) -> None:
        grid = pairs()
        grid.add_row("serving", f"[bold]{target}[/], {_facts(facts)}")
        grid.add_row("at", f"[bold]{url}[/]")
        grid.add_row("token", token)
        grid.add_row("in Python", f"from spikewright.targets.{target}.remote import RemoteChip")
        grid.add_row("", f'chip = RemoteChip("{url}")')
        grid.add_row("", "with the token in $SPIKEWRIGHT_DEVICE_TOKEN, or as token=...")
        grid.add_row("to stop", "Ctrl-C; the run at work is finished")
        self._screen.print(grid)

    def run(self, run: Any) -> None:
        self.runs += 1
        failed = "" if isinstance(run.answer, bytes) else f", [red]{run.answer.name}[/]"
        waited, took = (run.began - run.queued) * 1e3, (run.ended - run.began) * 1e3
        text = f"{run.summary}, {took:.1f} ms, waited {waited:.1f} ms{failed}"
        self._screen.print(f"[dim]{time.strftime('%H:%M:%S')}[/]  {run.user}  {text}")


def _facts(facts: dict[str, Any]) -> str:
    """The plain ones of a chip's facts in a line."""
    plain = {name: value for name, value in facts.items() if not isinstance(value, dict | list)}
    return ", ".join(f"{name} {value}" for name, value in plain.items())


def _who(run: dict[str, Any]) -> str:
    return f"{run['user']}, {run['what']}, for {run['seconds']:.1f} s"
