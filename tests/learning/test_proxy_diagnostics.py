"""How far spikes and ReLUs agree, and what `doctor` says of a network that learns by proxy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spikewright as sw
from learning.proxy_tasks import batch, cells, conv, dense, images
from spikewright.learning import Proxy, Twin, agreement
from spikewright.learning.losses import SpikeCountMSE


def aimed() -> sw.Sequential:
    net = dense()
    sw.aim_rates(net, batch(samples=100).x, 0.15)
    return net


def test_rates_and_activations_are_compared_layer_by_layer() -> None:
    net, given = aimed(), batch(samples=40, steps=16)
    found = agreement(net, given)
    assert [layer.name for layer in found.layers] == ["1_if", "3_if"]
    run = net.run(given.x, record=("spikes",))
    rates = run.records["1_if"]["spikes"].detach().mean(0).numpy()
    activations = Twin(net).run(given.x[0])["1_if"].detach().numpy()
    layer = found["1_if"]
    expected = np.corrcoef(rates.ravel(), activations.ravel())[0, 1]
    assert layer.correlation == pytest.approx(expected, abs=1e-6)
    assert layer.correlation > 0.9
    assert layer.rate == pytest.approx(rates.mean())
    assert layer.activation == pytest.approx(activations.mean())
    assert layer.saturated == pytest.approx((rates == 1).mean())
    assert layer.quiet == pytest.approx(((rates == 0) & (activations > 0)).mean())
    assert layer.dead == pytest.approx((rates.sum(0) == 0).mean())
    both = ((rates > 0) & (rates < 1)).mean()
    assert 0 < layer.following == pytest.approx(both)
    assert len(str(found).splitlines()) == 3


def test_more_steps_agree_better() -> None:
    net = aimed()
    short, long = (agreement(net, batch(samples=40, steps=n)) for n in (4, 64))
    assert all(long[name].correlation > short[name].correlation for name in ("1_if", "3_if"))
    assert long["1_if"].quiet < short["1_if"].quiet


def test_comparing_changes_nothing() -> None:
    net, given = conv(dropout=0.5), images()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    agreement(net, given)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_doctor_finds_a_network_healthy_that_is() -> None:
    net, given = aimed(), batch(samples=60, steps=32)
    found = sw.doctor(net, given, Proxy())
    assert [health.name for health in found.layers] == ["1_if", "3_if"]
    assert all((health.gradient or 0) > 0 for health in found.layers)
    assert found.advice == ()


def scaled(factor: float) -> sw.Sequential:
    net = aimed()
    with torch.no_grad():
        for parameter in net.layers["0_linear"].parameters():
            parameter.mul_(factor)
    return net


def test_doctor_says_what_to_change_for_this_rule() -> None:
    given = batch(samples=60)
    silent = sw.doctor(scaled(1e-4), given, Proxy()).advice
    assert silent[0].startswith("layer '1_if' is silent, so all behind it sees nothing")
    sure = scaled(100.0)
    with torch.no_grad():
        sure.layers["0_linear"].weight.abs_()
    saturated = sw.doctor(sure, given, Proxy()).advice
    assert "of its places fire at every step, where the twin has no gradient:" in saturated[0]
    rising = sw.doctor(sure, given, Proxy(saturating=False)).advice
    assert "where the twin's activations go on rising:" in rising[0]
    still = scaled(0.0)
    with torch.no_grad():
        still.layers["2_linear"].bias.zero_()
    ties = sw.doctor(still, given, Proxy(loss=SpikeCountMSE(correct=1))).advice
    assert ties[-1].startswith("layer '3_if': 100% of the samples tie in the output: use more")
    hard = sw.Sequential(sw.Linear(6, 3), cells(firing=sw.Firing(reset="to_value")), dt=1e-3)
    with torch.no_grad():
        hard.layers["0_linear"].weight.fill_(0.06)
        hard.layers["0_linear"].bias.zero_()
    quiet = sw.doctor(hard.double(), batch(samples=60, steps=4), Proxy()).advice
    assert any("stay silent though the twin is active" in line for line in quiet)
