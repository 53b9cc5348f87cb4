"""Spikes at exact times, worked out slowly and twice, from the equations alone.

    tau_mem du/dt = -u + j        tau_syn dj/dt = -j,  an arrival adds its weight to j
    a spike where u rises to the threshold; then u becomes the reset value and j goes on

`by_flow` steps from event to event with matrix exponentials and finds crossings by bracketing;
`by_integration` leaves both to SciPy's adaptive Runge-Kutta method of order 8. Layers of any
number are one call after another: the spikes of one are arrivals of the next.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad, solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq

Array = NDArray[np.float64]


class Neurons(NamedTuple):
    """Parameters, each (neurons,): s, s, units of u; without a threshold they only integrate."""

    tau_mem: Array
    tau_syn: Array
    threshold: Array | None = None
    reset: Array | None = None


class Arrival(NamedTuple):
    """At ``time`` (s), ``weights`` (neurons,) are added to j."""

    time: float
    weights: Array


class Row(NamedTuple):
    """Each spike of neuron ``source`` arrives ``delay`` seconds later with ``weights``."""

    source: int
    delay: float
    weights: Array


class Spike(NamedTuple):
    time: float
    unit: int


class Layer(NamedTuple):
    """Dense connection (sources, neurons) with a delay for each source, and what it ends at."""

    weights: Array
    delay: Array
    neurons: Neurons
    feedback: tuple[Row, ...] = ()


Advance = Callable[[Array, float, Neurons], tuple[float, Array, list[int]]]


def run_network(
    inputs: Sequence[Spike], layers: Iterable[Layer], duration: float
) -> list[list[Spike]]:
    """The spikes of each layer."""
    spikes, found = list(inputs), []
    for layer in layers:
        spikes = by_flow(arrivals_of(spikes, layer), layer.neurons, duration, layer.feedback)
        found.append(spikes)
    return found


def arrivals_of(spikes: Sequence[Spike], layer: Layer) -> list[Arrival]:
    """What ``spikes`` of the sources become at a layer, in order of time."""
    arrivals = [Arrival(s.time + layer.delay[s.unit], layer.weights[s.unit]) for s in spikes]
    return sorted(arrivals, key=lambda a: a.time)


def by_flow(
    arrivals: Sequence[Arrival], neurons: Neurons, duration: float, feedback: Sequence[Row] = ()
) -> list[Spike]:
    """Spikes in order of time, by matrix exponentials and bracketing; to about 1e-15 s / s."""
    return _run(_flow_to_event, arrivals, neurons, duration, feedback)


def by_integration(
    arrivals: Sequence[Arrival], neurons: Neurons, duration: float, feedback: Sequence[Row] = ()
) -> list[Spike]:
    """Spikes in order of time, by SciPy's DOP853 and its search for events; to about 1e-12."""
    return _run(_integrate_to_event, arrivals, neurons, duration, feedback)


def membrane(
    arrivals: Sequence[Arrival],
    neurons: Neurons,
    time: float,
    spikes: Sequence[Spike] = (),
    feedback: Sequence[Row] = (),
) -> Array:
    """u at ``time``, (neurons,); spikes and arrivals of that very moment have not acted yet."""
    events = [(a.time, 1, a.weights) for a in arrivals]
    for spike in spikes:
        events.append((spike.time, 0, spike.unit))
        rows = [row for row in feedback if row.source == spike.unit]
        events += [(spike.time + row.delay, 1, row.weights) for row in rows]
    state, now = np.zeros((len(neurons.tau_mem), 2)), 0.0
    for when, kind, what in sorted(events, key=lambda e: e[:2]):
        if when >= time:
            break
        state, now = _flow(state, when - now, neurons), when
        if kind == 0:
            assert neurons.reset is not None
            state[what, 0] = neurons.reset[what]
        else:
            state[:, 1] += what
    return _flow(state, time - now, neurons)[:, 0]


def integral(
    arrivals: Sequence[Arrival],
    neurons: Neurons,
    duration: float,
    function: Callable[[float, Array], float],
) -> float:
    """Integral over the trial of ``function(t, u)``, of neurons without a threshold."""
    edges = sorted({0.0, duration, *(a.time for a in arrivals if 0 < a.time < duration)})
    total = 0.0
    for left, right in itertools.pairwise(edges):
        start = _after(arrivals, neurons, left)

        def value(s: float, left: float = left, start: Array = start) -> float:
            return function(left + s, _flow(start, s, neurons)[:, 0])

        total += quad(value, 0.0, right - left, epsabs=1e-16, epsrel=1e-13, limit=200)[0]
    return total


def peak(arrivals: Sequence[Arrival], neurons: Neurons, duration: float) -> Array:
    """The largest u of the trial, its start (0) included, of neurons without a threshold."""
    edges = sorted({0.0, duration, *(a.time for a in arrivals if 0 < a.time < duration)})
    best = np.zeros(len(neurons.tau_mem))
    for left, right in itertools.pairwise(edges):
        start = _after(arrivals, neurons, left)
        for n in range(len(best)):
            _, top = _summit(start[n], right - left, neurons.tau_mem[n], neurons.tau_syn[n])
            best[n] = max(best[n], top)
    return best


def _run(
    advance: Advance,
    arrivals: Sequence[Arrival],
    neurons: Neurons,
    duration: float,
    feedback: Sequence[Row],
) -> list[Spike]:
    assert neurons.reset is not None
    waiting = [(a.time, k, a.weights) for k, a in enumerate(arrivals)]
    heapq.heapify(waiting)
    state, now, spikes, number = np.zeros((len(neurons.tau_mem), 2)), 0.0, [], len(waiting)
    while True:
        right = min(waiting[0][0], duration) if waiting else duration
        passed, state, spiking = advance(state, right - now, neurons)
        now = now + passed if spiking else right
        for n in spiking:
            spikes.append(Spike(now, n))
            state[n, 0] = neurons.reset[n]
            for row in feedback:
                if row.source == n:
                    number += 1
                    heapq.heappush(waiting, (now + row.delay, number, row.weights))
        if not spiking and now >= duration:
            return spikes
        if not spiking:
            state[:, 1] += heapq.heappop(waiting)[2]


def _flow_matrix(s: float, tau_mem: float, tau_syn: float) -> Array:
    return expm(s * np.array([[-1 / tau_mem, 1 / tau_mem], [0.0, -1 / tau_syn]]))


def _flow(state: Array, s: float, neurons: Neurons) -> Array:
    taus = zip(neurons.tau_mem, neurons.tau_syn, strict=True)
    pairs = zip(state, taus, strict=True)
    return np.array([_flow_matrix(s, *tau) @ one for one, tau in pairs])


def _after(arrivals: Sequence[Arrival], neurons: Neurons, time: float) -> Array:
    """State (neurons, 2) right after all arrivals up to ``time`` included."""
    state, now = np.zeros((len(neurons.tau_mem), 2)), 0.0
    for arrival in arrivals:
        if arrival.time > time:
            break
        state, now = _flow(state, arrival.time - now, neurons), arrival.time
        state[:, 1] += arrival.weights
    return _flow(state, time - now, neurons)


def _summit(start: Array, length: float, tau_mem: float, tau_syn: float) -> tuple[float, float]:
    """When u is largest in [0, length], and how large.

    j - u is a sum of two exponentials, so it is zero once at most: u has one extremum.
    """

    def rise(s: float) -> float:
        u, j = _flow_matrix(s, tau_mem, tau_syn) @ start
        return j - u

    places = [0.0, length]
    if rise(0.0) > 0 > rise(length):
        places.append(float(brentq(rise, 0.0, length, xtol=1e-300, rtol=1e-15)))
    heights = [float((_flow_matrix(s, tau_mem, tau_syn) @ start)[0]) for s in places]
    return max(zip(places, heights, strict=True), key=lambda place: place[1])


def _crossing(start: Array, length: float, n: int, neurons: Neurons) -> float:
    """When u rises to the threshold in [0, length], infinity for never."""
    assert neurons.threshold is not None
    theta, taus = neurons.threshold[n], (neurons.tau_mem[n], neurons.tau_syn[n])
    if start[0] >= theta and start[1] > start[0]:
        return 0.0
    end = _flow_matrix(length, *taus) @ start
    summit, height = _summit(start, length, *taus)
    if not (height > theta or (end[0] >= theta and end[1] > end[0])):
        return math.inf

    def above(s: float) -> float:
        return float((_flow_matrix(s, *taus) @ start)[0] - theta)

    return float(brentq(above, 0.0, summit, xtol=1e-300, rtol=1e-15))


def _flow_to_event(state: Array, length: float, neurons: Neurons) -> tuple[float, Array, list[int]]:
    """To the first crossing in [0, length] or, without one, to its end; who crosses there."""
    crossings = [_crossing(state[n], length, n, neurons) for n in range(len(state))]
    first = min(crossings)
    if first == math.inf:
        return length, _flow(state, length, neurons), []
    spiking = [n for n, crossing in enumerate(crossings) if crossing == first]
    return first, _flow(state, first, neurons), spiking


def _integrate_to_event(
    state: Array, length: float, neurons: Neurons
) -> tuple[float, Array, list[int]]:
    """The same by a general method for differential equations."""
    assert neurons.threshold is not None
    count, theta = len(state), neurons.threshold
    ready = (state[:, 0] >= theta * (1 - 1e-12)) & (state[:, 1] > state[:, 0])
    if ready.any():
        return 0.0, state, list(np.flatnonzero(ready))
    if length <= 0:
        return 0.0, state, []

    def slope(_: float, y: Array) -> Array:
        u, j = y[:count], y[count:]
        return np.concatenate([(j - u) / neurons.tau_mem, -j / neurons.tau_syn])

    def watch(n: int) -> Callable[[float, Array], float]:
        def distance(_: float, y: Array) -> float:
            return float(y[n] - theta[n])

        distance.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
        distance.direction = 1.0  # pyright: ignore[reportFunctionMemberAccess]
        return distance

    shortest = float(min(neurons.tau_mem.min(), neurons.tau_syn.min()))
    found = solve_ivp(
        slope,
        (0.0, length),
        np.concatenate([state[:, 0], state[:, 1]]),
        method="DOP853",
        events=[watch(n) for n in range(count)],
        rtol=1e-13,
        atol=1e-16,
        max_step=shortest / 20,  # its search for events interpolates inside a step
    )
    end = np.stack([found.y[:count, -1], found.y[count:, -1]], axis=1)
    return float(found.t[-1]), end, [n for n in range(count) if len(found.t_events[n])]
