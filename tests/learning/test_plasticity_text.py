"""Rules of plasticity as text: what is read, what is refused, and where the message points."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.engine.plastic.description import Expression, Number, Operation, Symbol, Trace
from spikewright.errors import ParameterError
from spikewright.learning import SumOfProducts
from spikewright.learning.plasticity.evaluate import evaluate

TAU = {"x1": 20e-3, "y1": 30e-3}
FUNCTIONS = {"exp": math.exp, "abs": abs, "min": min, "max": max, "sqrt": math.sqrt}


def product(*factors: Any) -> Expression:
    """Factors multiplied from left to right; strings are symbols, numbers numbers."""
    made = [Symbol(f) if isinstance(f, str) else Number(float(f)) for f in factors]
    total: Expression = made[0]
    for factor in made[1:]:
        total = Operation("*", (total, factor))
    return total


def test_pair_rule_is_split_by_its_events() -> None:
    rule = SumOfProducts("dw = 2^-2 * x1 * y0 - 2^-3 * y1 * x0", tau=TAU, bounds=(-1, 1))
    plasticity = rule.plasticity()
    assert plasticity.updates.post == product(0.25, "x1")
    assert plasticity.updates.pre == product(-0.125, "y1")
    assert plasticity.updates.step is None
    assert plasticity.traces == (Trace("x1", 20e-3), Trace("y1", 30e-3))
    assert plasticity.bounds == (-1, 1)


def test_a_term_with_both_spikes_acts_at_the_postsynaptic_one() -> None:
    updates = SumOfProducts("dw = (x0 - 3*w) * (y0 + x0 + 2)").plasticity().updates
    at = {"w": 0.7}
    for x0 in (0.0, 1.0):
        post = evaluate(updates.post, {**at, "x0": x0})  # type: ignore[arg-type]
        assert post == pytest.approx(x0 - 2.1)
    assert evaluate(updates.step, at) == pytest.approx(-4.2)  # type: ignore[arg-type]


def test_eligibility_and_reward_are_found() -> None:
    rule = SumOfProducts("de = x1*y0 - y1*x0  # pairs\ndw = r*e", tau={**TAU, "e": 0.5})
    plasticity = rule.plasticity()
    assert plasticity.updates.step == product("r", "e")
    assert plasticity.updates.modulated
    assert plasticity.eligibility is not None
    assert plasticity.eligibility.tau == 0.5
    assert plasticity.eligibility.updates.post == Symbol("x1")
    assert plasticity.eligibility.updates.pre == Operation("-", (Symbol("y1"),))


@pytest.mark.parametrize(
    ("text", "modulated"),
    [
        ("dw = r * w - (w + 1) * r", True),
        ("dw = w * (r - r^2)", True),
        ("dw = r * w - w", False),
        ("dw = exp(r) * w", False),
        ("dw = r * x0", False),
    ],
)
def test_a_step_is_modulated_if_each_of_its_terms_is(text: str, modulated: bool) -> None:
    assert SumOfProducts(text).plasticity().updates.modulated is modulated


def test_jump_and_nearest_reach_their_traces() -> None:
    rule = SumOfProducts("dw = x1*y0 - y1*x0", tau=TAU, jump={"x1": 0.5}, nearest=("y1",))
    expected = (Trace("x1", 20e-3, 0.5), Trace("y1", 30e-3, 1.0, nearest=True))
    assert rule.plasticity().traces == expected


def test_a_constant_of_zero_leaves_its_terms_and_their_traces_out() -> None:
    rule = SumOfProducts("dw = A*x1*y0 - B*y1*x0", tau=TAU, constants={"A": 0.0, "B": 0.5})
    assert rule.plasticity().updates.post is None
    assert rule.plasticity().traces == (Trace("y1", 30e-3),)
    assert str(rule) == "dw = -0.5 * y1 * x0"


def test_an_eligibility_that_no_weight_feels_is_left_out() -> None:
    options = {"tau": {**TAU, "e": 1.0}, "constants": {"lr": 0.0}}
    rule = SumOfProducts("de = x1*y0 - y1*x0; dw = lr*r*e + y0", **options)
    assert rule.plasticity().eligibility is None
    assert rule.plasticity().traces == ()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("dw=x0*2**2**-1", "dw = 1.4142135623730951 * x0"),
        ("dw = -2^2 * w", "dw = -4 * w"),
        ("dw = -(x0 - y0)", "dw = -x0 + y0"),
        ("dw = 3 * (1 - w) * x0 / 2 ; de = 0*x0 ; ", None),
        ("dw = w - (w - 1) * (w - (2 - w)) + w / (w / 3)", None),
        ("dw = w^2^w - (w^2)^w - (-w)^2 + -w^2", None),
        ("dw = (w < 1) * (w >= min(w, 2)) + (w == (w > 1))", None),
        ("dw = w - -3 + w * -2", "dw = -w + 3"),
        ("dw = 0*w", "dw = 0"),
    ],
)
def test_canonical_text_means_the_same_and_is_its_own(text: str, canonical: str | None) -> None:
    text = text.partition(";")[0]
    rule = SumOfProducts(text)
    assert canonical in (None, str(rule))
    again = SumOfProducts(str(rule))
    assert str(again) == str(rule)
    assert again.plasticity() == rule.plasticity()


NUMBERS = st.sampled_from(["2", "0.5", "3", "1e-3", "7", "0", "1"])
NAMES = st.sampled_from(["w", "x1", "y1", "x_v", "r"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions over expressions, with finite real values."""
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: f"{p[0]} + {p[1]}"),
        two.map(lambda p: f"({p[0]} - ({p[1]}))"),
        two.map(lambda p: f"({p[0]}) * ({p[1]})"),
        two.map(lambda p: f"({p[0]}) / (1 + abs({p[1]}))"),
        two.map(lambda p: f"min({p[0]}, max({p[1]}, w))"),
        two.map(lambda p: f"(({p[0]}) < ({p[1]}))"),
        inner.map(lambda e: f"(-({e}))"),
        inner.map(lambda e: f"({e})^2"),
        inner.map(lambda e: f"2^-min(abs({e}), 3)"),
    )


EXPRESSIONS = st.recursive(NUMBERS | NAMES, grown, max_leaves=8)
TERMS = st.tuples(
    EXPRESSIONS, st.sampled_from(["1", "x0", "y0", "x0*y0", "(x0 - 2*y0 + w)", "(y0 + x1)^2"])
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(TERMS, min_size=1, max_size=3))
def test_any_rule_gives_what_python_makes_of_its_text(terms: list[tuple[str, str]]) -> None:
    text = " - ".join(f"({expression}) * {spikes}" for expression, spikes in terms)
    named = {name: tau for name, tau in TAU.items() if name in text}
    rule = SumOfProducts(f"dw = {text}", tau=named)
    updates = rule.plasticity().updates
    for x0, y0 in ((0, 0), (1, 0), (0, 1), (1, 1)):
        seen = {"w": 0.3, "x1": 0.8, "y1": 1.7, "x_v": -0.6, "r": 0.9, "x0": x0, "y0": y0}
        # Terms with both spikes count once, with the postsynaptic one.
        parts = [(updates.pre, x0), (updates.post, y0), (updates.step, 1)]
        found = sum(happens * evaluate(e, seen) for e, happens in parts if e is not None)
        expected = eval(text.replace("^", "**"), {**FUNCTIONS}, dict(seen))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    if all(name in str(rule) for name in named):
        again = SumOfProducts(str(rule), tau=named)
        assert str(again) == str(rule)
        assert again.plasticity() == rule.plasticity()


REFUSED = [
    ("dw = 2^-2 * x_1 * y0", 12, r"got 'x_1'. Did you mean 'x1'\?"),
    ("dw = w^2^2 + foo", 13, "got 'foo'"),
    ("de = w*x0; dw = e * pi", 20, "got 'pi'"),
    ("dw = 1 + exq(w)", 9, r"functions must be .* got 'exq'. Did you mean 'exp'\?"),
    ("dw = 2^2*min(w)*y0", 9, "arguments of min must be 2, got 1"),
    ("dw = exp(w, w)", 5, "arguments of exp must be 1, got 2"),
    ("dw = exp(w, base=2)", 5, "arguments of exp must be 1, got 2"),
    ("dw = w^2 * (y0", 11, "never closed"),
    ("dw = w ** * 3", 10, "must be readable"),
    ("de = w; dw = 3 * * w", 17, "must be readable"),
    ("dw = 1x * w", 5, "invalid decimal literal"),
    ("x1 * y0", 0, "must be an assignment, got 'x1 \\* y0'"),
    ("w == x0", 0, "must be an assignment"),
    ("dw = w; dv = w", 8, "must be dw or de, got 'dv'"),
    ("dw = w;  dw = w", 9, "given once, got it twice"),
    ("dw += w", 0, "must be dw or de, got 'dw \\+'"),
    ("dw = x1 * y0 * x2", 15, "tau must be given for 'x2', got none"),
    ("dw = r * e", 9, "e must be given by a statement"),
    ("de = x0 * e; dw = e", 10, "must not depend on e"),
    ("de = x0; dw = w", 0, "e must be used by dw"),
    ("dw = w + max(x0, w)", 13, "x0 must be a factor"),
    ("dw = x0^0.5", 5, "x0 must be a factor"),
    ("dw = w / (y0 + 1)", 10, "y0 must be a factor"),
    ("dw = (0 < w < 1) * x0", 14, "must be of two values"),
    ("dw = w if x0", 5, "must be readable"),
    ("dw = w != 1", 5, "must be made of .* got 'w != 1'"),
    ("dw = w @ w", 5, "got 'w @ w'"),
    ("dw = w % 2", 5, "got 'w % 2'"),
    ("dw = not w", 5, "got 'not w'"),
    ("dw = w.real", 5, "got 'w.real'"),
    ("dw = w[0]", 5, r"got 'w\[0\]'"),
    ("dw = __import__('os')", 5, "functions must be"),
    ("dw = (lambda: w)()", 5, "lambda"),
    ("dw = 'w'", 5, "must be made of"),
    ("dw = True * w", 5, "got 'True'"),
    ("dw = 2j * w", 5, "got '2j'"),
    ("dw = w * 1e999", 9, "must be a finite real number"),
    ("dw = w * 9^9^9^9", 11, "must be a finite real number, got inf"),
    ("dw = w * 1" + "0" * 400, 9, "too large"),
    ("dw = w + (-8)^(1/3)", 9, "must be a finite real number, got nan"),
    ("dw = x0 * log(0)", 10, "must be a finite real number"),
    ("dw = x0 / (1 - 1)", 5, "division by zero"),
    ("dw = 1e200 * w * 1e200", 0, "coefficients must be finite"),
    ("dw = ((x0 + w)*(y0 + w))^8*((x0 + w)*(y0 + w))^8", 0, "at most 256 products"),
    ("dw = " + "(" * 500 + "w" + ")" * 500, None, "too many nested parentheses"),
    ("dw = " + "-" * 5000 + "w", None, "readable|moderate depth"),
    ("dw = w\0", None, "null"),
    ("dw = \u00b5 * w", 5, "got '\u03bc'"),
    ("dw = \u00e9\u00e9 ^ 2 * w", 5, "got '\u00e9\u00e9'"),
    ("\tdw = foo", 6, "got 'foo'"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSED)
def test_what_cannot_be_read_is_pointed_at(text: str, column: int | None, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        SumOfProducts(text, tau={"x1": 20e-3} if "x1" in text else {})
    first, line, pointer = str(caught.value).split("\n")
    assert re.fullmatch(r"SumOfProducts: .* must .*\. .*", first)
    assert line == f"    {text}"
    assert pointer.endswith("^")
    assert column in (None, len(pointer) - 5)


def test_the_line_at_fault_is_shown_of_several() -> None:
    with pytest.raises(ParameterError, match=r"\n    de = foo \* x0\n         \^$"):
        SumOfProducts("dw = r * e\nde = foo * x0\n", tau={"e": 1.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": {**TAU, "x2": 1e-3}}, "tau must be of names in the text, got 'x2'"),
        ({"tau": {**TAU, "e": 1e-3}}, "tau must be of names in the text, got 'e'"),
        ({"tau": {"x1": 0.0, "y1": 1.0}}, "tau of 'x1' must be positive"),
        ({"tau": {"x1": 1.0, "y1": math.nan}}, "tau of 'y1' must be positive"),
        ({"jump": {"x3": 1.0}}, "jump must be of names"),
        ({"jump": {"x1": math.inf}}, "jump of 'x1' must be a finite number"),
        ({"nearest": ("x0",)}, "nearest must be of names"),
        ({"constants": {"lr": 1.0}}, "constants must be those that the text names, got 'lr'"),
        ({"constants": {"x1": 1.0}}, "word of no other meaning, got 'x1'"),
        ({"constants": {"exp": 1.0}}, "word of no other meaning"),
        ({"constants": {"lambda": 1.0}}, "word of no other meaning"),
        ({"constants": {"A": math.nan}}, "constant 'A' must be a finite number"),
        ({"bounds": (1.0, 1.0)}, "bounds must be two finite numbers"),
        ({"bounds": (0.0, math.inf)}, "bounds must be two finite numbers"),
    ],
)
def test_options_that_do_not_fit_the_text_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=f"SumOfProducts: .*{message}"):
        SumOfProducts("dw = x1*y0 - y1*x0", **{"tau": TAU, **options})


@pytest.mark.parametrize("text", ["", " ; \n# nothing", "de = x0"])
def test_a_text_without_dw_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=r"must hold a statement dw"):
        SumOfProducts(text)
