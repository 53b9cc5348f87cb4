"""Losses on events: values against closed forms and SciPy, gradients on what they are given."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import log_softmax, softmax
from torch import Tensor

import spikewright as sw
from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.events.exact import Exact
from spikewright.events.network import run_events
from spikewright.events.solver import Fired
from spikewright.learning.event_losses import (
    AverageCrossEntropy,
    EventLoss,
    ExponentialFall,
    ExponentialPush,
    FirstSpikeSoftmax,
    InputActivity,
    IntegralCrossEntropy,
    LinearFall,
    PeakCrossEntropy,
    Readout,
    ReciprocalPush,
    SigmoidFall,
    SpikeCountTarget,
    Uniform,
)

# Time constants are stored in single precision.
MEM, SYN, TRIAL = float(np.float32(20e-3)), float(np.float32(5e-3)), 50e-3
WEIGHTS = torch.tensor([[1.0, -2.0, 3.0], [4.0, 0.5, -1.0]], dtype=torch.float64)
FIRST = torch.tensor([[4e-3, 11e-3], [20e-3, math.inf]], dtype=torch.float64)
LABELS = torch.tensor([2, 0])


def kernel(s: float) -> float:
    return SYN / (MEM - SYN) * (math.exp(-s / MEM) - math.exp(-s / SYN)) if s > 0 else 0.0


def membrane(sample: int, t: float) -> np.ndarray:
    times = FIRST[sample].tolist()
    return sum(WEIGHTS[i].numpy() * kernel(t - s) for i, s in enumerate(times) if s < math.inf)


def integral(function: Callable[[float], Any]) -> float:
    edges = [0.0, 4e-3, 11e-3, 20e-3, TRIAL]
    parts = itertools.pairwise(edges)
    return sum(quad(function, low, high, epsabs=1e-14, epsrel=1e-12)[0] for low, high in parts)


def average(function: Callable[[int, int, float], Any]) -> np.ndarray:
    """Over the trial, of a function of sample, class and time: (samples, classes)."""
    rows = [[integral(functools.partial(function, b, k)) / TRIAL for k in range(3)] for b in (0, 1)]
    return np.array(rows)


def readout() -> Readout:
    net = sw.Sequential(
        sw.Linear(2, 3, bias=False), sw.CubaLI(tau_mem=MEM, tau_syn=SYN), dt=1e-3
    ).double()
    net.build((2,))
    with torch.no_grad():
        net.layers["0_linear"].weight.copy_(WEIGHTS.T)
    spikes = sw.SpikeTimes.from_first(FIRST, TRIAL)
    return Readout(run_events(net, spikes, Exact()).output, spikes)


def cross_entropy(scores: np.ndarray) -> float:
    chances = log_softmax(scores, axis=1)
    return -float(np.mean(chances[np.arange(len(scores)), LABELS.numpy()]))


SHAPES = {
    "uniform": lambda t: 1.0,
    "exponential": lambda t: math.exp(-t / TRIAL),
    "linear": lambda t: 1 - t / TRIAL,
    "sigmoid": lambda t: 1 / (1 + math.exp((t / TRIAL - 0.5) / 0.2)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_integrals_are_those_of_scipy(name: str) -> None:
    loss = IntegralCrossEntropy(name, scale=2.0)(readout(), LABELS)
    wanted = average(lambda b, k, t: SHAPES[name](t) * membrane(b, t)[k])
    np.testing.assert_allclose(loss.scores.detach(), wanted, rtol=1e-9)
    assert float(loss.loss.detach()) == pytest.approx(cross_entropy(2 * wanted), rel=1e-8)


def test_a_uniform_integral_has_its_closed_form() -> None:
    def area(s: float) -> float:
        fall = MEM * -math.expm1(-s / MEM) - SYN * -math.expm1(-s / SYN)
        return SYN / (MEM - SYN) * fall / TRIAL

    found = IntegralCrossEntropy("uniform")(readout(), LABELS).scores[1]
    np.testing.assert_allclose(found.detach(), WEIGHTS[0] * area(TRIAL - 20e-3), rtol=1e-9)


def test_peaks_have_their_closed_form() -> None:
    found = PeakCrossEntropy(scale=3.0)(readout(), LABELS)
    top = kernel(MEM * SYN / (MEM - SYN) * math.log(MEM / SYN))
    wanted = torch.clamp(WEIGHTS[0] * top, min=0.0)
    np.testing.assert_allclose(found.scores[1].detach(), wanted, rtol=1e-10)
    assert float(found.loss.detach()) == pytest.approx(
        cross_entropy(3 * found.scores.detach().numpy())
    )


def test_the_average_cross_entropy_is_that_of_scipy() -> None:
    found = AverageCrossEntropy(scale=2.0)(readout(), LABELS)
    logs = average(lambda b, k, t: log_softmax(2 * membrane(b, t) + np.zeros(3))[k])
    wanted = -logs[[0, 1], LABELS].mean()
    assert float(found.loss.detach()) == pytest.approx(wanted, rel=1e-7)
    chances = average(lambda b, k, t: softmax(2 * membrane(b, t) + np.zeros(3))[k])
    np.testing.assert_allclose(found.scores, chances, rtol=1e-6)


def test_the_weight_of_the_input_follows_its_spikes() -> None:
    spikes = sw.SpikeTimes.from_first(torch.tensor([[0.1, 0.1], [0.6, math.inf]]), 1.0)
    weight = InputActivity(tau=0.05).over(spikes)
    times = torch.linspace(0, 1, 4001, dtype=torch.float64)
    found = torch.stack([weight(times, torch.full((4001,), b)) for b in range(2)])
    assert not weight.shared
    np.testing.assert_allclose(found.mean(1), 1.0, rtol=5e-3)
    after = (times > 0.7) & (times < 0.8)
    later = found[1][after] * torch.exp(times[after] / 0.05)
    np.testing.assert_allclose(later, later[0].expand_as(later), rtol=0.02)
    assert float(found[0][times < 0.02].max()) < 1e-3 * float(found[0].max())


def test_the_weight_of_an_input_without_spikes_is_zero() -> None:
    spikes = sw.SpikeTimes.from_first(torch.full((1, 2), math.inf), 1.0)
    found = InputActivity().over(spikes)(torch.tensor([0.5]), torch.tensor([0]))
    assert found.tolist() == [0.0]


def test_weights_keep_time_constants_of_their_own() -> None:
    trial, times = sw.SpikeTimes.from_first(torch.zeros(1, 1), 2.0), torch.tensor([0.5, 1.0])
    assert ExponentialFall(tau=0.5).over(trial)(times, None).tolist() == pytest.approx(
        [math.exp(-1), math.exp(-2)]
    )
    assert SigmoidFall(width=0.1).over(trial)(times, None).tolist() == pytest.approx(
        [1 / (1 + math.exp(-2.5)), 0.5]
    )
    assert LinearFall().over(trial)(times, None).tolist() == [0.75, 0.5]
    assert Uniform().over(trial)(times, None).tolist() == [1.0, 1.0]


def fired(first: Tensor, last: Tensor | None = None) -> Readout:
    """Outputs with one spike each."""
    spikes = sw.SpikeTimes.from_first(first, 1.0)
    last = torch.zeros_like(first) if last is None else last
    slope = torch.full((), 4.0, dtype=torch.float64)
    found = Fired(spikes, spikes.counts(), last, 0)
    return Readout(found, sw.SpikeTimes.from_first(torch.zeros(len(first), 1), 1.0), slope)


def times_of(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64, requires_grad=True)


def test_the_softmax_of_first_spikes_has_the_value_and_the_gradient_of_the_paper() -> None:
    first, tau = times_of([[0.2, 0.5, 0.4], [0.3, 0.1, 0.9]]), 0.25
    found = FirstSpikeSoftmax(tau=tau)(fired(first), LABELS)
    found.loss.backward()
    chances = softmax(-first.detach().numpy() / tau, axis=1)
    right = np.eye(3)[LABELS]
    assert float(found.loss.detach()) == pytest.approx(-np.log((chances * right).sum(1)).mean())
    np.testing.assert_allclose(first.grad, (right - chances) / (tau * 2), rtol=1e-12)
    assert found.scores.argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("push", "cost", "slope"),
    [
        (
            ExponentialPush(0.3, 0.5),
            lambda t: 0.3 * math.expm1(t / 0.5),
            lambda t: 0.6 * math.exp(t / 0.5),
        ),
        (ReciprocalPush(0.3), lambda t: 0.3 / (1.01 - t), lambda t: 0.3 / (1.01 - t) ** 2),
    ],
)
def test_a_push_acts_on_the_right_output(push: Any, cost: Any, slope: Any) -> None:
    rows = [[0.2, 0.5, 0.4], [0.3, 0.1, 0.9]]
    plain, pushed = times_of(rows), times_of(rows)
    without = FirstSpikeSoftmax(tau=0.25)(fired(plain), LABELS).loss
    found = FirstSpikeSoftmax(tau=0.25, push=push)(fired(pushed), LABELS).loss
    without.backward()
    found.backward()
    assert float((found - without).detach()) == pytest.approx((cost(0.4) + cost(0.3)) / 2)
    wanted = [[0, 0, slope(0.4) / 2], [slope(0.3) / 2, 0, 0]]
    np.testing.assert_allclose(pushed.grad - plain.grad, wanted, rtol=1e-9, atol=1e-12)


def test_a_silent_right_output_gets_a_phantom_spike_at_the_end() -> None:
    first = times_of([[0.2, math.inf]])
    last = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    push = ExponentialPush(0.3, 0.5)
    found = FirstSpikeSoftmax(tau=0.25, push=push)(fired(first, last), torch.tensor([1]))
    found.loss.backward()
    entropy = cross_entropy_of([-0.2 / 0.25, -1.0 / 0.25], 1)
    assert float(found.loss.detach()) == pytest.approx(entropy + 0.3 * math.expm1(2.0))
    # The slope of the membrane counts as 4: one tau_mem to the threshold.
    np.testing.assert_allclose(last.grad, [[0.0, -0.6 * math.exp(2.0) / 4]], rtol=1e-12)
    assert torch.isfinite(first.grad).all()


def cross_entropy_of(scores: list[float], label: int) -> float:
    return -float(log_softmax(np.array(scores))[label])


def test_outputs_that_are_all_silent_cost_the_logarithm_of_their_number() -> None:
    first = torch.full((4, 3), math.inf, dtype=torch.float64)
    found = FirstSpikeSoftmax(tau=1e-3, silence=0.1)(fired(first), torch.tensor([0, 1, 2, 1]))
    assert float(found.loss.detach()) == pytest.approx(math.log(3))
    assert found.scores.argmax(1).tolist() == [0, 0, 0, 0], "a tie goes to the lowest class"


def test_a_silent_output_counts_as_one_after_the_trial_and_is_not_moved() -> None:
    first = times_of([[0.2, math.inf]])
    found = FirstSpikeSoftmax(tau=0.5, silence=0.5)(fired(first), torch.tensor([0]))
    found.loss.backward()
    assert float(found.loss.detach()) == pytest.approx(cross_entropy_of([-0.4, -3.0], 0))
    assert float(first.grad[0, 1]) == 0.0


def test_missing_spikes_pull_every_spike_to_earlier_times() -> None:
    times = torch.tensor([0.1, 0.3, 0.4, 0.2], dtype=torch.float64, requires_grad=True)
    units, samples = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1])
    spikes = sw.SpikeTimes.sort(times, units, samples, (2, (2,), 1.0))
    given = Fired(spikes, spikes.counts(), torch.zeros(2, 2), 0)
    loss = SpikeCountTarget(correct=5, incorrect=0.5, unit=0.1)
    found = loss(Readout(given, spikes), torch.tensor([0, 1]))
    found.loss.backward()
    # counts are (2, 1) and (0, 1), targets (5, 0.5) and (0.5, 5)
    assert float(found.loss.detach()) == pytest.approx((3**2 + 0.5**2 + 0.5**2 + 4**2) / 4)
    assert times.grad.tolist() == pytest.approx([3 / 0.2, 3 / 0.2, -0.5 / 0.2, 4 / 0.2])
    assert found.scores.tolist() == [[2.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "loss", [IntegralCrossEntropy("input"), PeakCrossEntropy(), AverageCrossEntropy()]
)
def test_a_loss_is_the_mean_over_the_batch(loss: EventLoss) -> None:
    both = readout()
    alone = [Readout(_only(both, b), both.input[b : b + 1]) for b in range(2)]
    each = [float(loss(one, LABELS[b : b + 1]).loss.detach()) for b, one in enumerate(alone)]
    assert float(loss(both, LABELS).loss.detach()) == pytest.approx(sum(each) / 2, rel=1e-9)


def _only(both: Readout, sample: int) -> Any:
    whole: Any = both.output
    current = whole.current
    span = slice(int(current.offsets[sample]), int(current.offsets[sample + 1]))
    part = current._replace(
        times=current.times[span],
        rows=current.rows[span],
        offsets=current.offsets[sample : sample + 2] - current.offsets[sample],
    )
    return type(whole)(part, whole.cells, whole.solver, whole.v_leak, whole.shape)


@pytest.mark.parametrize(
    ("loss", "given", "message"),
    [
        (
            SpikeCountTarget(3),
            readout(),
            "event_losses: output must be spikes for this loss, got a membrane. "
            "End the network with CubaLIF, or choose another loss.",
        ),
        (
            PeakCrossEntropy(),
            fired(torch.zeros(1, 2, dtype=torch.float64)),
            "event_losses: output must be a membrane for this loss, got spikes. "
            "End the network with CubaLI, or choose another loss.",
        ),
    ],
)
def test_an_output_of_the_other_kind_is_refused(loss: Any, given: Any, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        loss(given, LABELS)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: IntegralCrossEntropy("exponentail"),
            "event_losses.IntegralCrossEntropy: weight must be one of uniform, exponential, "
            "linear, sigmoid, input, got 'exponentail'. Did you mean 'exponential'?",
        ),
        (
            lambda: IntegralCrossEntropy(3),  # type: ignore[arg-type]
            "event_losses.IntegralCrossEntropy: weight must be one of uniform, exponential, "
            "linear, sigmoid, input, got 3. Known: uniform, exponential, linear, sigmoid, input.",
        ),
        (
            lambda: FirstSpikeSoftmax(tau=1.0, push="exp"),  # type: ignore[arg-type]
            "event_losses.FirstSpikeSoftmax: push must be ExponentialPush, ReciprocalPush or "
            "None, got 'exp'. Pass push=None for no push.",
        ),
        (
            lambda: FirstSpikeSoftmax(tau=0.0),
            "event_losses.FirstSpikeSoftmax: tau must be positive and finite, got 0.0. "
            "Change tau or leave it out.",
        ),
        (
            lambda: ExponentialPush(strength=-1.0),
            "event_losses.ExponentialPush: strength must be positive and finite, got -1.0. "
            "Pass push=None for no push.",
        ),
        (
            lambda: SigmoidFall(width=0.0),
            "event_losses.SigmoidFall: width must be positive and finite, got 0.0. "
            "Leave width out for the usual one.",
        ),
        (
            lambda: SpikeCountTarget(correct=-1),
            "event_losses.SpikeCountTarget: correct must be at least 0 and finite, got -1. "
            "Change correct or leave it out.",
        ),
    ],
)
def test_a_wrong_option_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value) == message


def test_a_class_that_no_output_stands_for_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        PeakCrossEntropy()(readout(), torch.tensor([0, 3]))
    assert str(caught.value) == (
        "event_losses.PeakCrossEntropy: targets must lie between 0 and 2, got 0 to 3. "
        "Give the network one output a class."
    )
