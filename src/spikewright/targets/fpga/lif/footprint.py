"""How much memory a core has on the chip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from spikewright.targets.fpga.lif.lanes import Lanes, groups
from spikewright.targets.fpga.lif.network import FixedNetwork
from spikewright.targets.fpga.lif.print_core import index_bits
from spikewright.targets.fpga.lif.print_neuron import bias_bits, state_bits, sum_bits

KIND = 2
"""Bits of the kind of an event."""


def memory_bits(network: FixedNetwork, lanes: Lanes) -> Mapping[str, int]:
    """Bits of each kind of memory, lanes without a neuron included.

    Weights that come over a stream take none. Queues are those before layers, and of a recurrent
    one also that of its own spikes.
    """
    found = Counter[str]()
    for layer, each in zip(network.layers, lanes.of(network), strict=True):
        slots = groups(layer, each) * each
        found["weights"] += 0 if lanes.stream_weights else len(layer.rows) * slots * layer.bits
        found["biases"] += slots * bias_bits(layer)
        found["sums"] += slots * sum_bits(layer)
        found["states"] += slots * state_bits(layer)
        found["queues"] += lanes.queue * (KIND + index_bits(layer.weight.shape[0]))
        if layer.back is not None:
            own = index_bits(layer.neurons)
            found["queues"] += 2**own * own
    return dict(found)
