"""A step that does something else has another key; one that does the same has the same."""

from __future__ import annotations

import enum
import functools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch.utils import _pytree as pytree

import spikewright as sw
from spikewright.engine.tracing.fingerprint import Unknown, fingerprint
from spikewright.neurons import CubaLIF, Firing

SOURCE = """
import enum, functools, math, torch
from dataclasses import dataclass
from typing import NamedTuple
FACTOR = {factor}
class Mode(enum.Enum):
    FAST = {enum}
class Table:
    VALUES = ({table}, 2.0)
@dataclass(frozen=True)
class Options:
    gain: float = {option}
    def doubled(self):
        return self.gain * {method}
class State(NamedTuple):
    v: torch.Tensor
    def decayed(self):
        return self.v * {state}
def helper(x):
    return x * {helper}
def make(power={default}):
    offset = {closure}
    def step(x, state, c, scale={keyword}):
        inner = lambda q: q + {inner}
        v = helper(state.decayed()) * FACTOR + offset + power + Mode.FAST.value * scale
        return inner(x) * {constant} + Table.VALUES[0] + math.pi, State(v[..., 0])
    return functools.partial(step, scale=Options().doubled())
"""
PLACES = [
    "factor", "enum", "table", "option", "method", "state", "helper", "default", "closure",
    "keyword", "inner", "constant",
]  # fmt: skip
PLAIN = dict.fromkeys(PLACES, 1.5)


def step_of(**changes: float) -> Callable[..., Any]:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE.format(**(PLAIN | changes)), scope)
    return scope["make"]()


def test_same_source_has_the_same_key() -> None:
    assert fingerprint(step_of()) == fingerprint(step_of())


@pytest.mark.parametrize("place", PLACES)
def test_changed_number_changes_the_key_wherever_it_stands(place: str) -> None:
    assert fingerprint(step_of(**{place: 2.5})) != fingerprint(step_of())


def test_class_of_a_state_is_covered_though_only_the_arguments_carry_it() -> None:
    def tree(**changes: float) -> pytree.TreeSpec:
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(SOURCE.format(**(PLAIN | changes)), scope)
        return pytree.tree_flatten({"inner": scope["State"](torch.zeros(1))})[1]

    assert fingerprint(tree()) == fingerprint(tree()) != fingerprint(tree(state=2.5))


def test_operation_changes_the_key() -> None:
    keys = {fingerprint(f) for f in (lambda x: x + 1, lambda x: x - 1, torch.exp, torch.sin)}
    assert len(keys) == 4


def test_options_of_a_layer_change_the_key() -> None:
    layers = [
        CubaLIF(),
        CubaLIF(order="held"),
        CubaLIF(noise=1.0),
        CubaLIF(refractory=1e-3),
        CubaLIF(firing=Firing("subtract")),
        CubaLIF(firing=Firing("subtract", detach_reset=False)),
    ]
    assert len({fingerprint(layer.bound_step()) for layer in layers}) == len(layers)
    assert fingerprint(layers[0].bound_step(("v",))) != fingerprint(layers[0].bound_step())
    assert fingerprint(sw.surrogate.Arctan()) != fingerprint(sw.surrogate.Arctan(width=0.1))


def test_functions_of_a_module_are_followed_not_only_the_module(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))
    for number in (1, 2):
        (tmp_path / f"deep_{number}.py").write_text(f"def f(x):\n    return x * {number}\n")
        (tmp_path / f"shallow_{number}.py").write_text(f"from deep_{number} import f as g\n")
        scope: dict[str, Any] = {}
        exec(f"import shallow_{number} as m\ndef step(x): return m.g(x)", scope)
        keys.append(fingerprint(scope["step"]))
    assert keys[0] != keys[1]


def kind(value: Any) -> str:
    return type(value).__name__


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Point:
    x: float


class Pair(NamedTuple):
    a: float


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.0, "1", b"1", (1,), [1], {"1": 1}, ..., slice(1), frozenset({1}), Colour.RED,
     Point(1.0), Pair(1.0), torch.tensor(1), torch.tensor(1.0), torch.float32, math.exp, torch.exp,
     functools.partial(max, 1)],
    ids=kind,
)  # fmt: skip
def test_kinds_of_values_do_not_stand_for_each_other(value: Any) -> None:
    others = [None, True, 1, 1.0, "1", b"1", (1,), [1], {"1": 1}, Point(2.0), Pair(2.0), ...]
    for other in others:
        if type(other) is not type(value) or other != value:
            assert fingerprint(other) != fingerprint(value), other
    assert fingerprint(value) == fingerprint(value)


@pytest.mark.parametrize(
    "value", [object(), threading.Lock(), torch.zeros(2000), {1.0: 2}.get, {1}], ids=kind
)
def test_what_cannot_be_covered_is_said_to_be_unknown(value: Any) -> None:
    with pytest.raises(Unknown):
        fingerprint(lambda x: x, value)


def test_closure_that_is_still_empty_is_unknown() -> None:
    def outer() -> Callable[[float], float]:
        def step(x: float) -> float:
            return x * later

        with pytest.raises(Unknown, match="empty"):
            fingerprint(step)
        later = 2.0
        return lambda x: step(x) * later

    assert outer()(1.0) == 4.0


def test_functions_that_call_each_other_have_a_key() -> None:
    scope: dict[str, Any] = {}
    exec("def f(x): return g(x)\ndef g(x): return f(x) if x else 1.0", scope)
    assert fingerprint(scope["f"]) == fingerprint(scope["f"])
