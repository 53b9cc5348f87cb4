"""A core with streamed weights beside what sends them, for a simulation."""

from __future__ import annotations

from string import Template

from spikewright.targets.fpga.lif.lanes import Lanes, groups
from spikewright.targets.fpga.lif.network import FixedNetwork
from spikewright.targets.fpga.lif.print_core import ports_text, streamed_bits

_HOST = Template("""\
  logic m_axis_row_${n}_tvalid, m_axis_row_${n}_tready;
  logic s_axis_weight_${n}_tvalid, s_axis_weight_${n}_tready;
  logic [31:0] m_axis_row_${n}_tdata;
  logic [$top:0] s_axis_weight_${n}_tdata;
  weight_host #(
      .WIDTH($width),
      .DEPTH($depth),
      .WORDS($groups),
      .IMAGE("weights_$n.mem")
  ) host_$n (
      .clock,
      .reset,
      .row_valid(m_axis_row_${n}_tvalid),
      .row_ready(m_axis_row_${n}_tready),
      .row_data(m_axis_row_${n}_tdata),
      .word_valid(s_axis_weight_${n}_tvalid),
      .word_ready(s_axis_weight_${n}_tready),
      .word_data(s_axis_weight_${n}_tdata)
  );
""")
_BENCH = Template("""\
module lif_bench (
$ports);
$hosts  lif_core core (.*);
endmodule
""")


def bench_text(network: FixedNetwork, lanes: Lanes) -> str:
    """The module ``lif_bench``: the ports of a core whose weights are on the chip."""
    hosts: list[str] = []
    for n, (layer, each) in enumerate(zip(network.layers, lanes.of(network), strict=True)):
        turns = groups(layer, each)
        hosts.append(
            _HOST.substitute(
                n=n,
                groups=turns,
                depth=len(layer.rows) * turns,
                width=streamed_bits(layer, each),
                top=streamed_bits(layer, each) - 1,
            )
        )
    return _BENCH.substitute(ports=ports_text(network), hosts="".join(hosts))
