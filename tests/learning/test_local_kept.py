"""`Local` between batches: what is kept, what is drawn at random, and a run that is killed."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from learning.local_tasks import (
    CLASSES,
    INPUTS,
    STEPS,
    batch,
    equal,
    network,
    plastic,
    rule,
)
from learning.tasks import same, weights
from spikewright.learning import Batch

TESTS = Path(__file__).parents[1]


def test_killed_in_mid_epoch_and_resumed_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_local.py")), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = {"signal": signal.SIGKILL, "weights": True, "state": True, "samples": 3 * 24}
    assert json.loads(done.stdout) == expected


def test_what_is_kept_between_batches_changes_no_result() -> None:
    """Against a rule that is new at each batch, and so has kept nothing."""
    given = batch()

    def halve(net: sw.Sequential) -> None:
        plastic(net).data.mul_(0.5)  # which PyTorch does not count

    def replace(net: sw.Sequential) -> None:
        layer: Any = net.layers["1_linear"]
        layer.weight = torch.nn.Parameter(layer.weight.detach().flip(0).clone())

    def let_more_win(net: sw.Sequential) -> None:
        net.layers["2_winnertakeall"].winners = 2  # type: ignore[assignment]

    nets, kept = (network(), network()), rule()
    states = [kept.init(net) for net in nets]
    for change in (halve, replace, let_more_win, halve):
        for n, of in enumerate((kept, rule())):
            _, states[n] = of.train_batch(nets[n], given, states[n])
            change(nets[n])
        assert same(weights(nets[0]), weights(nets[1]))
        assert equal(states[0], states[1])


def test_one_rule_trains_networks_in_turn_and_can_be_copied_and_pickled_meanwhile() -> None:
    given, one = batch(), rule()
    nets = [network(seed) for seed in (0, 1, 0, 1)]
    states = [one.init(net) for net in nets]
    for _ in range(2):
        for n in (0, 1):
            _, states[n] = one.train_batch(nets[n], given, states[n])
    copies = (copy.deepcopy(one), copy.copy(one), pickle.loads(pickle.dumps(one)))
    assert all(repr(each) == repr(one) for each in copies)
    for n in (2, 3):
        for each in copies[:2]:
            _, states[n] = each.train_batch(nets[n], given, states[n])
        assert same(weights(nets[n]), weights(nets[n - 2]))
        assert equal(states[n], states[n - 2])


def noisy() -> sw.Sequential:
    net = network()
    pixels = sw.LIF(v_leak=0.9, v_reset=-1.0, tau_mem=30e-3, noise=3.0)
    net = sw.Sequential(pixels, net.layers["1_linear"], net.layers["2_winnertakeall"], dt=5e-3)
    net.build((INPUTS,))
    return net


def test_noise_is_that_of_the_sample_whatever_the_number_of_threads() -> None:
    net, of, given = noisy(), rule(frozen=()), batch(10)
    _, state = of.train_batch(net, given, of.init(net))
    threads, tables = torch.get_num_threads(), list[Tensor]()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            tables.append(of.assign(net, [given], state)["table"])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(tables[0], tables[1])
    with torch.no_grad():
        run = net.run(given.x, of.start(net, 10, state), record=("counts",))
    counts = run.records["2_winnertakeall"]["counts"].double()
    expected = torch.stack([counts[given.y == k].sum(0) for k in range(CLASSES)], 1)
    assert torch.equal(tables[0][:-1], expected)
    same_noise = Batch(given.x[:, :1].expand(STEPS, 10, INPUTS), torch.arange(10))
    alike = of.assign(net, [same_noise], state)["table"][:-1]
    assert not torch.equal(alike, alike[:, :1].expand_as(alike))


def test_learning_leaves_the_random_streams_of_the_process_alone() -> None:
    net, of, given = noisy(), rule(), batch(3)
    state = of.init(net)
    before = torch.get_rng_state()
    assert of.requirements(net) == []
    of.train_batch(net, given, state)
    assert torch.equal(torch.get_rng_state(), before)
