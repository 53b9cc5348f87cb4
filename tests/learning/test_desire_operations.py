"""Operations of desires and of backpropagation, against counts made by hand."""

from __future__ import annotations

import pytest
import torch

import spikewright as sw
from learning.desire_tasks import DT, network, patterns
from learning.test_desire import by_hand
from spikewright.learning import Batch, Desire
from spikewright.learning.desire import Operations, count_operations


def test_the_network_of_the_hand_calculation_takes_what_its_spikes_say() -> None:
    net, x = by_hand()
    found = count_operations(net, (x, torch.tensor([1])), Desire(margin=0))
    # 6 input spikes reach 2 neurons, 5 hidden ones 2; 8 resets; 16 membranes decay.
    assert found.desire[0] == Operations(adds=12 + 10 + 8 + 16, comparisons=16, shifts=16)
    # Two output errors of 4 steps, one from 1; both told, so 2 x 2 products and 2 x 2 comparisons.
    errors = Operations(adds=1, comparisons=2, shifts=2)
    passed = Operations(adds=4, multiplies=4, comparisons=4)
    # Traces: 4 of 4 steps, and their spikes. Sums at 5 and at 3 spikes, of two inputs each.
    traces = Operations(adds=16 + 11, shifts=16)
    changes = Operations(adds=10 + 6 + 8, multiplies=8)
    assert found.desire[1] == errors + passed + traces + changes


def test_backpropagation_takes_what_the_shape_says() -> None:
    net = network(40, 60, 30, 4)
    found = count_operations(net, patterns(10))
    synapses, neurons, passed = 40 * 60 + 60 * 30 + 30 * 4, 94, 60 * 30 + 30 * 4
    assert found.ann[0] == Operations(synapses, synapses, neurons)
    assert found.ann[1].multiplies == passed + 2 * synapses + neurons
    assert found.bptt[0] == found.desire[0]
    assert found.bptt[1].multiplies == 20 * (neurons + passed) + synapses


def test_desires_multiply_less_than_backpropagation_of_the_same_shape() -> None:
    net = network(40, 200, 60, 4)
    data = patterns(50)
    found = count_operations(net, data)
    assert found.desire[0].multiplies == 0
    assert 0 < found.desire[1].multiplies < found.ann[1].multiplies < found.bptt[1].multiplies
    assert "desire backward" in str(found)


def test_neurons_at_the_input_and_other_decays_are_counted() -> None:
    cells = {"tau_mem": 3 * DT, "r": 3.0, "firing": sw.Firing("subtract")}
    net = sw.Sequential(
        sw.IF(firing=cells["firing"]), sw.Linear(2, 3, bias=False), sw.LIF(**cells), dt=DT
    )
    net.build((2,))
    next(net.parameters()).data.fill_(0.0)
    found = count_operations(net, Batch(torch.full((8, 1, 2), 0.6), torch.tensor([0])))
    # 0.6, 1.2 | 0.2, 0.8, 1.4 | 0.4, 1.0, 1.6 | 0.6: spikes at steps 2, 4 and 7 counted from 1.
    assert found.desire[0].adds == pytest.approx(16 + 8 + 8 * 3)
    assert found.desire[0].multiplies == 24
    assert found.desire[0].comparisons == 16 + 24
