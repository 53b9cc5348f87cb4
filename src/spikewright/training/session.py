"""A run under way: what it consists of, how it starts, and how it is put away."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright import seeding
from spikewright.engine.forward import ForwardProgram
from spikewright.errors import CheckpointError
from spikewright.learning import processes
from spikewright.learning.initialisation import aim_rates
from spikewright.learning.rule import Rule, rescales
from spikewright.network import Network
from spikewright.training.batches import Data
from spikewright.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from spikewright.training.display import Display, Silent, open_display
from spikewright.training.fabric import Place
from spikewright.training.interrupt import Interrupt
from spikewright.training.means import Means
from spikewright.training.metrics import JsonLines, TensorBoard, Writer, read_metrics
from spikewright.training.order import count_steps
from spikewright.training.progress import Progress, init_progress
from spikewright.training.resume import check_same_run, describe_run, find_checkpoint
from spikewright.training.settings import FitSettings, Record, plain_settings
from spikewright.training.weights import (
    check_options,
    check_tensors,
    describe_network,
    restore_network,
)

INITIAL_SAMPLES = 256


@dataclass
class Status:
    """Where the run is; all of it goes into a checkpoint.

    Attributes:
        epoch: finished epochs.
        step: finished batches of the epoch under way.
        total: finished batches in all.
        seconds: time in training, s.
        best: the best validation record so far.
        stale: validations since then.
        warned: warnings given, each of which is given once.
    """

    epoch: int = 0
    step: int = 0
    total: int = 0
    seconds: float = 0.0
    best: Record | None = None
    stale: int = 0
    warned: list[str] = field(default_factory=list)


@dataclass
class Session:
    """Everything that the loop works on."""

    network: nn.Module
    data: Data
    rule: Rule
    settings: FitSettings
    place: Place
    interrupt: Interrupt
    progress: Progress
    forward: ForwardProgram | None = None
    rule_state: Any = None
    status: Status = field(default_factory=Status)
    means: Means = field(default_factory=Means)
    history: list[Record] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    log: JsonLines | None = None
    display: Display = field(default_factory=Silent)
    description: dict[str, Any] = field(default_factory=dict[str, Any])
    best_weights: dict[str, Tensor] | None = None
    best_rule_state: Any = None
    saved_at: float = 0.0
    _started: float = 0.0

    @property
    def folder(self) -> Path | None:
        """Where the run is kept."""
        return None if self.settings.folder is None else Path(self.settings.folder)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return count_steps(len(self.data.train), self.settings.batch_size)

    def start_clock(self) -> None:
        """Count seconds from here, on top of those that the status holds."""
        self._started = time.monotonic() - self.status.seconds
        self.saved_at = time.monotonic()

    def read_clock(self) -> None:
        """Bring the status's seconds up to date."""
        self.status.seconds = time.monotonic() - self._started

    def record(self, record: Record) -> None:
        """Put a record into the history and wherever else records go."""
        self.history.append(record)
        for writer in self.writers:
            writer.write(record)
        if self.settings.on_record is not None and processes.rank() == 0:
            self.settings.on_record(record)

    def close(self) -> None:
        """Close files and display."""
        self.display.close()
        for writer in self.writers:
            writer.close()


def open_session(
    network: nn.Module,
    data: Data,
    rule: Rule,
    settings: FitSettings,
    around: tuple[Place, Interrupt, ForwardProgram | None],
) -> Session:
    """Begin a run, or take up the one that the folder holds."""
    steps = count_steps(len(data.train), settings.batch_size)
    progress = init_progress(steps, settings.epochs, settings.seconds)
    place, interrupt, forward = around
    session = Session(network, data, rule, settings, place, interrupt, progress, forward)
    try:
        _start(session)
    except BaseException:
        session.close()
        raise
    return session


def _start(session: Session) -> None:
    settings = session.settings
    source = find_checkpoint(settings)
    # Before a rule or a checkpoint changes anything: what the script asked for.
    session.description = describe_network(session.network)
    position = _begin(session) if source is None else _take_up(session, source)
    _check_agreement(session)
    session.start_clock()
    if session.folder is not None:
        _open_folder(session, source, position)
    if processes.rank() == 0:
        session.display = open_display(settings.progress)
    if source is not None:
        session.display.say(f"resumed {source} after {session.status.total} batches")


def _check_agreement(session: Session) -> None:
    totals = processes.gather(session.status.total)
    if len(set(totals)) > 1:
        raise CheckpointError(
            f"fit: {session.folder} must be the same folder for all processes, got checkpoints "
            f"after {', '.join(map(str, totals))} batches. Choose a folder that all of them share."
        )


def _begin(session: Session) -> int:
    _aim_rates(session)
    processes.broadcast(list(session.network.state_dict().values()))
    settings = session.settings
    total = None if settings.epochs is None else settings.epochs * session.steps
    seeding.seed_everything(seeding.derive(settings.seed, "init"))
    session.rule_state = session.rule.init(session.network, total_steps=total)
    seeding.seed_everything(seeding.derive(settings.seed, "train", processes.rank()))
    return 0


def _aim_rates(session: Session) -> None:
    """Scale fresh weights on a first batch, the same in every process."""
    rate, split = session.settings.initial_rate, session.data.train
    if rate is None or not isinstance(session.network, Network) or not rescales(session.rule):
        return
    key = seeding.derive(session.settings.seed, "initial rate")
    seeding.seed_everything(key)
    index = torch.randperm(len(split), generator=seeding.generator(key))[:INITIAL_SAMPLES]
    x, _ = split.batch(index, seeding.generator(key))
    aim_rates(session.network, session.place.to(x), rate)


def _take_up(session: Session, source: Path) -> int:
    checkpoint = load_checkpoint(source, session.place.device)
    check_same_run(source, checkpoint.meta, _run(session))
    check_tensors(session.network, checkpoint, str(source))
    check_options(session.description, checkpoint.meta.get("network", {}), str(source))
    restore_network(session.network, checkpoint, str(source))
    session.rule_state = checkpoint.rule_state
    try:
        return _restore_position(session, checkpoint)
    except (KeyError, TypeError, IndexError) as cause:
        raise CheckpointError(
            f"fit: {source} must be a checkpoint of fit, got one without its {cause}. "
            "Start anew with resume=False."
        ) from cause


def _restore_position(session: Session, checkpoint: Checkpoint) -> int:
    meta = checkpoint.meta
    session.status = Status(**meta["status"])
    own = meta["ranks"][processes.rank()]
    session.means = Means(**own["means"])
    seeding.restore_random_state(own["random"])
    status = session.status
    session.progress = replace(
        session.progress, epoch=status.epoch, step=status.step, seconds=status.seconds
    )
    return int(meta["position"])


def _run(session: Session) -> dict[str, Any]:
    samples = len(session.data.train)
    return describe_run(session.rule, session.settings, samples, session.forward)


def _open_folder(session: Session, source: Path | None, position: int) -> None:
    folder = session.folder
    assert folder is not None
    session.history = read_metrics(folder, position) if position else []
    if source is None or source.name != "last":
        save(session, "last", position)  # before anything of an earlier run is cut off
    if processes.rank() != 0:
        return
    if source is None:
        (folder / "best" / "checkpoint.json").unlink(missing_ok=True)
    session.log = JsonLines(folder, position)
    session.writers.append(session.log)
    if session.settings.tensorboard:
        session.writers.append(TensorBoard(folder, session.status.total + 1))


def save(session: Session, name: str, position: int | None = None) -> None:
    """Save the run as ``folder/name``; without a folder, do nothing.

    Raises:
        CheckpointError: a weight is NaN, or the disk refuses; the checkpoint from before is intact.
    """
    session.saved_at = time.monotonic()
    if session.folder is None:
        return
    ranks = processes.gather(
        {"random": seeding.random_state(), "means": asdict(session.means)},
    )
    error = _write(session, name, position, ranks) if processes.rank() == 0 else None
    # All wait for the disk: a process that ran ahead could read what is not there yet.
    (failed,) = processes.any_true(error is not None)
    if failed:
        raise error or CheckpointError(
            f"fit: process 0 must be able to save {session.folder / name}, got an error there. "
            "See its message."
        )


def saved_position(session: Session) -> int:
    """How much of the log a save of this moment stands for, bytes."""
    return session.log.position if session.log else 0


def _write(
    session: Session, name: str, position: int | None, ranks: list[Any]
) -> CheckpointError | None:
    assert session.folder is not None
    if position is None:
        position = saved_position(session)
    meta = {
        "run": _run(session),
        "settings": plain_settings(session.settings),
        "network": session.description,
        "status": asdict(session.status),
        "position": position,
        "ranks": ranks,
    }
    weights = session.network.state_dict()
    try:
        save_checkpoint(session.folder / name, weights, session.rule_state, meta)
    except CheckpointError as error:
        return error
    return None


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors, apart from the network."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def keep_best(session: Session) -> None:
    """Remember network and rule state where no folder does."""
    session.best_weights = copy_weights(session.network)
    session.best_rule_state = pytree.tree_map(
        lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf,
        session.rule_state,
    )


def load_best(session: Session) -> None:
    """Go back to the weights and the rule state of the best validation."""
    if session.folder is not None:
        where = session.folder / "best"
        checkpoint = load_checkpoint(where, session.place.device)
        restore_network(session.network, checkpoint, str(where))
        session.rule_state = checkpoint.rule_state
    elif session.best_weights is not None:
        with torch.no_grad():
            session.network.load_state_dict(session.best_weights)
        session.rule_state = session.best_rule_state
