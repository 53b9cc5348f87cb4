"""Targets are listed and described, each limit with its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from spikewright.targets import get_target, target_names

Call = Callable[..., Any]


def test_every_target_is_listed(call: Call) -> None:
    done = call("targets")
    assert done.exit_code == 0
    assert {"brainscales2", "simulator"} <= set(target_names())
    for name in target_names():
        assert re.search(rf"{name} +[A-Z]", done.stdout)


@pytest.mark.parametrize("name", ["brainscales2", "simulator"])
def test_a_target_is_described_with_its_limits_and_their_sources(name: str, call: Call) -> None:
    done = call("targets", "describe", name)
    assert done.exit_code == 0
    target = get_target(name)
    text = " ".join(done.stdout.split())
    assert target.title in text
    for limit in target.limits:
        assert limit.name in text
        assert limit.source.split()[0] in text


def test_an_unknown_target_is_named(call: Call) -> None:
    done = call("targets", "describe", "brainscale")
    assert done.exit_code == 1
    assert "Did you mean 'brainscales2'?" in done.stderr
