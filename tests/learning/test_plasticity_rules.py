"""Rules of local plasticity against closed forms, sums over spike pairs and scalar loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikewright.errors import ParameterError
from spikewright.learning import (
    MEMRISTORS,
    VDSP,
    DrivenMembrane,
    MemristorVDSP,
    PairSTDP,
    PlasticityRule,
    RewardSTDP,
    SumOfProducts,
    TargetSTDP,
    TripletSTDP,
    stdp_window,
)
from spikewright.learning.plasticity.evaluate import Synapses, evaluate

DT = 1e-3
GRID = [(w, v) for w in np.linspace(0, 1, 21) for v in np.linspace(-1, 1, 21)]


def post_change(rule: PlasticityRule, w: Any, v: Any) -> Any:
    """What a postsynaptic spike does to weights, before they are clipped."""
    expression = rule.plasticity().updates.post
    assert expression is not None
    return evaluate(expression, {"w": w, "x_v": v})


def follow(rule: PlasticityRule, pre: Any, post: Any, w: float = 0.5, **seen: Any) -> Synapses:
    """One synapse after trains of zeros and ones; ``seen`` holds a value for each step."""
    synapses = Synapses(rule.plasticity(), w, 1, DT)
    for at in range(len(pre)):
        now = {"x0": pre[at], "y0": post[at], **{name: s[at] for name, s in seen.items()}}
        synapses.step({name: np.array([float(value)]) for name, value in now.items()})
    return synapses


def trains(seed: int, steps: int = 400, rate: float = 0.2) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    pre, post = generator.random((2, steps)) < rate
    assert (pre & post).any()
    return pre, post


def trace_at(times: Any, spikes: Any, tau: float, inclusive: bool) -> Any:
    """sum exp(-(t - s) / tau) over the spikes s before each t, at t itself too if inclusive."""
    lags = times[:, None] - spikes
    counted = lags >= 0 if inclusive else lags > 0
    return np.where(counted, np.exp(-np.maximum(lags, 0) * DT / tau), 0.0).sum(1)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-2.0, 3.0)])
def test_vdsp_equals_a_scalar_reference(alpha: float, bounds: tuple[float, float]) -> None:
    rule, lr, (low, high) = VDSP(lr=0.3, alpha=alpha, bounds=bounds), 0.3, bounds
    u, v = np.array(GRID).T
    found = post_change(rule, low + u * (high - low), v)
    for at, (u, v) in enumerate(GRID):
        if v < 0:
            expected = lr * math.exp(-alpha * u) * (1 - u) * (math.exp(-v) - 1)
        elif v > 0:
            expected = -lr * math.exp(alpha * (u - 1)) * u * (math.exp(v) - 1)
        else:
            expected = 0.0
        assert found[at] == pytest.approx(expected * (high - low), abs=1e-6)


FITS = {
    "TiO2": (1.680, 0.679, 1.432, 0.944, 1.125, 1.092),
    "HZO": (1.068, 1.159, 0.412, 1.580, 0.474, 0.944),
    "HfO2": (1.017, 0.961, 0.804, 1.0, 1.0, 1.0),
}


@pytest.mark.parametrize("material", FITS)
def test_memristors_equal_a_scalar_reference(material: str) -> None:
    g, a, th, ratio_g, ratio_a, ratio_th = FITS[material]
    rule = MemristorVDSP(MEMRISTORS[material], lr_plus=0.2, lr_minus=0.1, scale=2.5)
    found = post_change(rule, *np.array(GRID).T)
    for at, (w, v) in enumerate(GRID):
        volt, expected = 2.5 * v, 0.0
        if volt < -th:
            expected = 0.2 * (1 - w) ** g * abs(math.exp(-a * (volt + th)) - 1)
        elif volt > th * ratio_th:
            a_n, g_n = a * ratio_a, g * ratio_g
            expected = -0.1 * w**g_n * abs(math.exp(a_n * (volt - th * ratio_th)) - 1)
        assert found[at] == pytest.approx(expected, abs=1e-6)
    assert (found > 0).sum() > 20
    assert (found < 0).sum() > 20


def walk(lr: float, alpha: float) -> tuple[float, float]:
    """Least and greatest weight in a million random updates that are not clipped."""
    generator = np.random.default_rng(0)
    rule, w = VDSP(lr=lr, alpha=alpha), generator.random(10_000)
    least, most = 1.0, 0.0
    for _ in range(100):
        # Runs of one sign drive weights against their bounds.
        v = generator.uniform(-1, 1, w.size) if generator.random() < 0.5 else 1.0
        w = w + post_change(rule, w, v if generator.random() < 0.5 else -np.abs(v))
        least, most = min(least, float(w.min())), max(most, float(w.max()))
    return least, most


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_vdsp_stays_within_its_bounds_without_clipping(alpha: float) -> None:
    least, most = walk(0.999 / (math.e - 1), alpha)
    assert 0 <= least < 0.01
    assert 0.99 < most <= 1


def test_vdsp_needs_clipping_above_that_rate() -> None:
    least, _ = walk(1.2 / (math.e - 1), 0.0)
    assert least < 0


@pytest.mark.parametrize("drive", [0.5, 0.9, 1.5, 4.9])
@pytest.mark.parametrize("tau", [10e-3, 30e-3])
def test_the_vdsp_window_crosses_zero_where_theory_says(tau: float, drive: float) -> None:
    window = stdp_window(VDSP(), dt=DT, membrane=DrivenMembrane(tau, drive))
    crossing = tau * math.log(1 + 1 / drive)
    after = window.lags >= 0
    assert (window.changes[after & (window.lags < crossing - 1e-9)] > 0).all()
    assert (window.changes[window.lags > crossing + 1e-9] < 0).all()
    assert window.changes[np.argmin(np.abs(window.lags))] == window.changes.max()


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0])
def test_the_pair_window_is_two_exponentials(mu: float) -> None:
    rule = PairSTDP(0.1, 0.2, 10e-3, 30e-3, mu=mu, bounds=(-0.5, 1.5))
    window = stdp_window(rule, w=0.7)
    s = window.lags
    assert len(s) == 201
    up, down = 0.1 * 0.8**mu * np.exp(-s / 10e-3), -0.2 * 1.2**mu * np.exp(s / 30e-3)
    np.testing.assert_allclose(window.changes, np.where(s >= 0, up, down), rtol=1e-9)


def test_windows_round_lags_to_steps() -> None:
    window = stdp_window(PairSTDP(), [1.4e-3, -1.6e-3], dt=DT)
    np.testing.assert_allclose(window.lags, [1e-3, -2e-3])


@pytest.mark.parametrize("nearest", [False, True])
def test_pairs_are_summed_over_all_or_the_nearest_spikes(nearest: bool) -> None:
    pre, post = trains(1)
    rule = PairSTDP(0.02, 0.03, 15e-3, 25e-3, nearest=nearest, bounds=(-50, 50))
    times_pre, times_post = np.flatnonzero(pre), np.flatnonzero(post)
    expected = 0.5
    for t in times_post:
        earlier = times_pre[times_pre <= t][-1 if nearest else 0 :]
        expected += 0.02 * np.exp(-(t - earlier) * DT / 15e-3).sum()
    for t in times_pre:
        earlier = times_post[times_post < t][-1 if nearest else 0 :]
        expected -= 0.03 * np.exp(-(t - earlier) * DT / 25e-3).sum()
    assert follow(rule, pre, post).values["w"] == pytest.approx(expected)


def test_triplets_equal_the_sum_over_spikes() -> None:
    pre, post = trains(2)
    rule = TripletSTDP(0.02, 0.03, 0.04, 0.05, bounds=(-500, 500))
    n, m = np.flatnonzero(pre), np.flatnonzero(post)
    r1, r2 = trace_at(m, n, rule.tau_plus, True), trace_at(n, n, rule.tau_x, False)
    o1, o2 = trace_at(n, m, rule.tau_minus, False), trace_at(m, m, rule.tau_y, False)
    expected = 0.5 + (r1 * (0.02 + 0.03 * o2)).sum() - (o1 * (0.04 + 0.05 * r2)).sum()
    assert follow(rule, pre, post).values["w"] == pytest.approx(expected)


def test_triplets_potentiate_more_at_high_rates() -> None:
    def after_sixty_pairs(every: int) -> float:
        pre, post = np.zeros((2, 60 * every + 20))
        pre[: 60 * every : every] = post[10 : 60 * every + 10 : every] = 1
        return float(follow(TripletSTDP(bounds=(-99, 99)), pre, post).values["w"][0])

    assert after_sixty_pairs(20) > after_sixty_pairs(100) + 0.1


def test_a_reward_acts_on_what_is_left_of_the_eligibility() -> None:
    rule = RewardSTDP(lr=0.1, A_plus=0.5, tau_plus=10e-3, tau_e=0.2)
    pre, post, r = np.zeros((3, 150))
    pre[10], post[15], r[115] = 1, 1, 2.0
    expected = 0.5 + 0.1 * 2.0 * 0.5 * math.exp(-5e-3 / 10e-3) * math.exp(-0.1 / 0.2)
    assert follow(rule, pre, post, r=r).values["w"] == pytest.approx(expected)


def test_without_a_reward_no_weight_changes() -> None:
    pre, post = trains(3)
    synapses = follow(RewardSTDP(), pre, post, r=np.zeros(400))
    assert synapses.values["w"] == 0.5
    assert synapses.values["e"] != 0


def test_the_reward_window_scales_with_the_reward() -> None:
    rule = RewardSTDP(lr=0.01, A_plus=1.0, A_minus=2.0)
    window = stdp_window(rule, [10e-3, -10e-3], modulator=-3.0)
    expected = np.array([-0.03, 0.06]) * math.exp(-0.5)
    np.testing.assert_allclose(window.changes, expected)


def test_the_target_rule_moves_inputs_by_their_trace() -> None:
    rule = TargetSTDP(lr=0.2, x_target=0.3, tau=10e-3, mu=0.5, bounds=(0.0, 2.0))
    window = stdp_window(rule, [-10e-3, 5e-3, 30e-3], w=1.2)
    traces = np.array([0.0, math.exp(-0.5), math.exp(-3.0)])
    np.testing.assert_allclose(window.changes, 0.2 * (traces - 0.3) * 0.8**0.5)


ALL: list[Callable[..., PlasticityRule]] = [
    lambda **o: PairSTDP(0.4, 0.5, **o),
    lambda **o: PairSTDP(0.4, 0.5, mu=0.5, nearest=True, **o),
    lambda **o: TripletSTDP(0.4, 0.5, 0.6, 0.7, **o),
    lambda **o: RewardSTDP(lr=0.5, **o),
    lambda **o: TargetSTDP(lr=0.9, mu=0.3, nearest=False, **o),
    lambda **o: VDSP(lr=2.0, alpha=1.0, **o),
    lambda **o: MemristorVDSP(MEMRISTORS["HZO"], lr_plus=5.0, lr_minus=5.0, **o),
]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.3, 0.7)])
@pytest.mark.parametrize("make", ALL)
def test_weights_stay_in_their_bounds_whatever_happens(
    make: Callable[..., PlasticityRule], bounds: tuple[float, float]
) -> None:
    rule = make(bounds=bounds)
    generator = np.random.default_rng(0)
    synapses = Synapses(rule.plasticity(), 0.3, 500, DT)
    seen: set[float] = set()
    for _ in range(60):
        x0, y0 = (generator.random((2, 500)) < 0.5).astype(float)
        r, x_v = generator.normal(0, 3, 500), generator.normal(0, 300, 500)
        synapses.step({"x0": x0, "y0": y0, "r": r, "x_v": x_v})
        w = synapses.values["w"]
        assert np.isfinite(w).all()
        seen |= {float(w.min()), float(w.max())}
    assert (min(seen) >= bounds[0]) & (max(seen) <= bounds[1])
    assert max(seen) - min(seen) > 0.1


@pytest.mark.parametrize("make", ALL)
def test_the_text_of_a_rule_is_the_rule(make: Callable[..., PlasticityRule]) -> None:
    rule = make()
    written, ran = rule.program(), rule.plasticity()
    again = SumOfProducts(str(written), tau=written.tau, nearest=written.nearest)
    assert again.plasticity() == ran


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairSTDP(tau_plus=0.0), "PairSTDP: tau_plus must be positive"),
        (lambda: PairSTDP(A_minus=-1.0), "PairSTDP: A_minus must be at least 0"),
        (lambda: PairSTDP(mu=math.nan), "PairSTDP: mu must be at least 0"),
        (lambda: PairSTDP(bounds=(1.0, 0.0)), "PairSTDP: bounds must be two finite"),
        (lambda: TripletSTDP(tau_y=-1.0), "TripletSTDP: tau_y must be positive"),
        (lambda: TripletSTDP(A3_plus=-1.0), "TripletSTDP: A3_plus must be at least 0"),
        (lambda: RewardSTDP(tau_e=math.inf), "RewardSTDP: tau_e must be positive and finite"),
        (lambda: TargetSTDP(x_target=-0.1), "TargetSTDP: x_target must be at least 0"),
        (lambda: VDSP(lr=0.0), "VDSP: lr must be positive"),
        (lambda: VDSP(alpha=-1.0), "VDSP: alpha must be at least 0"),
        (lambda: MemristorVDSP(MEMRISTORS["HZO"], scale=0), "MemristorVDSP: scale must be posi"),
        (lambda: DrivenMembrane(tau=0.0, drive=1.0), "DrivenMembrane: tau must be positive"),
        (lambda: DrivenMembrane(1e-2, math.nan), "DrivenMembrane: potentials must be finite"),
        (lambda: DrivenMembrane(1e-2, 1.0, v_reset=2.0), "v_reset below v_threshold"),
        (lambda: stdp_window(VDSP()), "stdp_window: membranes must be given .* got none for x_v"),
        (lambda: stdp_window(SumOfProducts("dw = y_v*x0")), "stdp_window: .* got none for y_v"),
    ],
)
def test_what_does_not_make_a_rule_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
