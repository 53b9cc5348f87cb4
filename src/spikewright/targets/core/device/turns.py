"""One experiment at a time: users take turns, a run is done once, its answer kept."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spikewright.targets.core.device.fault import Fault

Answer = bytes | Fault
Done = Callable[["Run"], None]


@dataclass(frozen=True)
class QueueLimits:
    """How much waits, and how long answers are kept.

    Args:
        waiting: runs in the queue, of all users; beyond it ``queue_full``.
        waiting_of_one: likewise of one user; beyond it ``too_many_runs``.
        unasked: s after which a waiting run is dropped that its user no longer asks for.
        kept: s for which an answer is kept, while all of them are below ``kept_bytes``.
    """

    waiting: int = 32
    waiting_of_one: int = 8
    unasked: float = 60.0
    kept: float = 600.0
    kept_bytes: int = 256 << 20


@dataclass(eq=False)
class Run:
    """A run from the request to its answer; times are those of ``time.monotonic``."""

    user: str
    name: str
    request: str
    work: Callable[[], bytes]
    summary: str
    state: str = "waiting"
    answer: Answer | None = None
    asked: float = field(default_factory=time.monotonic)
    queued: float = field(default_factory=time.monotonic)
    began: float = 0.0
    ended: float = 0.0
    listeners: int = 0

    @property
    def size(self) -> int:
        """Bytes of its answer."""
        return len(self.answer) if isinstance(self.answer, bytes) else 0


class Turns:
    """The queue of a chip, and the thread that empties it.

    Users take turns, whoever asks more often; the runs of one user stay in their order.

    Args:
        limits: see `QueueLimits`.
        done: called after each run, in the thread of the queue.
    """

    def __init__(self, limits: QueueLimits, done: Done) -> None:
        self.limits, self._done = limits, done
        self.counts = {"done": 0, "failed": 0, "dropped": 0}
        self._change = threading.Condition()
        self._queues: OrderedDict[str, deque[Run]] = OrderedDict()
        self._runs: OrderedDict[tuple[str, str], Run] = OrderedDict()
        self._running: Run | None = None
        self._mean = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="device-queue", daemon=True)

    def start(self) -> None:
        """Begin to run what is submitted."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Finish the run at work, refuse those that wait; whether it ended within ``seconds``."""
        with self._change:
            self._stopping = True
            for run in [run for queue in self._queues.values() for run in queue]:
                self._finish(run, stopping())
            self._queues.clear()
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def submit(self, run: Run) -> Run:
        """Put a run into the queue, or find the one of the same name that was there before.

        Raises:
            Fault: ``queue_full``, ``too_many_runs``, ``run_id_reused``, ``stopping``.
        """
        with self._change:
            known = self._runs.get((run.user, run.name))
            if known is not None:
                return _same_request(known, run)
            if self._stopping:
                raise stopping()
            queue = self._queues.get(run.user, deque())
            self._require_room(len(queue))
            queue.append(run)
            self._queues[run.user] = queue
            self._runs[run.user, run.name] = run
            self._change.notify_all()
            return run

    def find(self, user: str, name: str) -> Run:
        """The run that this user has submitted.

        Raises:
            Fault: ``unknown_run``.
        """
        with self._change:
            run = self._runs.get((user, name))
        if run is None:
            raise Fault(
                "unknown_run",
                f"device: the run must be one that is queued or kept, got {name[:64]!r}. "
                "Post it again.",
            )
        return run

    def wait(self, run: Run, seconds: float) -> Answer | None:
        """Its answer; ``None`` if it is not there within ``seconds``."""
        with self._change:
            run.listeners += 1
            try:
                self._change.wait_for(lambda: run.answer is not None, seconds)
            finally:
                run.listeners -= 1
                run.asked = time.monotonic()
            return run.answer

    def ahead(self, run: Run) -> int:
        """How many runs come before it."""
        with self._change:
            order = self._order()
            busy = self._running is not None
            return order.index(run) + busy if run in order else 0

    def status(self) -> dict[str, Any]:
        """Who runs and who waits; runs of others are not named."""
        with self._change:
            running = self._running
            return {
                "running": None if running is None else _shown(running, time.monotonic()),
                "waiting": [_shown(run, time.monotonic()) for run in self._order()],
                "most_waiting": self.limits.waiting,
                "runs": dict(self.counts),
                "seconds_a_run": self._mean,
            }

    def _require_room(self, own: int) -> None:
        waiting = sum(map(len, self._queues.values()))
        for name, have, most, whose in (
            ("too_many_runs", own, self.limits.waiting_of_one, "this user"),
            ("queue_full", waiting, self.limits.waiting, "all users"),
        ):
            if have >= most:
                after = max(1, math.ceil(have * self._mean / 2))
                text = f"device: runs of {whose} that wait must be at most {most}, got one more. "
                raise Fault(name, f"{text}Try again in {after} s.", retry_after=after)

    def _order(self) -> list[Run]:
        """Waiting runs in the order in which they will run."""
        queues = [list(queue) for queue in self._queues.values()]
        longest = max(map(len, queues), default=0)
        return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]

    def _work(self) -> None:
        while (run := self._next()) is not None:
            answer = _result(run)
            with self._change:
                self._running = None
                self._finish(run, answer)
                seconds = run.ended - run.began
                self._mean = seconds if self._mean == 0.0 else 0.9 * self._mean + 0.1 * seconds
                self._forget()
                self._change.notify_all()
            self._done(run)

    def _next(self) -> Run | None:
        with self._change:
            while not self._stopping:
                self._change.wait_for(lambda: self._queues or self._stopping)
                run = self._pop()
                if run is None:
                    continue
                now = time.monotonic()
                if run.listeners or now - run.asked <= self.limits.unasked:
                    run.state, run.began, self._running = "running", now, run
                    return run
                self.counts["dropped"] += 1
                del self._runs[run.user, run.name]
        return None

    def _pop(self) -> Run | None:
        if not self._queues:
            return None
        user, queue = self._queues.popitem(last=False)
        run = queue.popleft()
        if queue:
            self._queues[user] = queue
        return run

    def _finish(self, run: Run, answer: Answer) -> None:
        run.state, run.answer, run.ended = "done", answer, time.monotonic()
        self.counts["done" if isinstance(answer, bytes) else "failed"] += 1
        self._runs.move_to_end((run.user, run.name))

    def _forget(self) -> None:
        """Drop old answers; the newest stays, whatever its size."""
        done = [run for run in self._runs.values() if run.answer is not None]
        room = self.limits.kept_bytes - sum(run.size for run in done)
        for run in done[:-1]:
            if room >= 0 and time.monotonic() - run.ended <= self.limits.kept:
                return
            room += run.size
            del self._runs[run.user, run.name]


def _result(run: Run) -> Answer:
    """Whatever happens in the chip's own code ends this run, not the queue."""
    try:
        return run.work()
    except Fault as fault:
        return fault
    except Exception as error:
        text = f"device: the run must end, got {type(error).__name__}: {error}."
        return Fault("server_error", text)


def _same_request(known: Run, run: Run) -> Run:
    if known.request != run.request:
        raise Fault(
            "run_id_reused",
            f"device: a run id must stand for one request, got {run.name[:64]!r} with another one. "
            "Choose a new id.",
        )
    return known


def stopping() -> Fault:
    """What requests are answered once the server is told to stop."""
    text = "device: the server must be up, got a request while it stops. Ask again when it is back."
    return Fault("stopping", text, retry_after=2)


def _shown(run: Run, now: float) -> dict[str, Any]:
    since = run.began if run.state == "running" else run.queued
    return {"user": run.user, "seconds": round(now - since, 3), "what": run.summary}
