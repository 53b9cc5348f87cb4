"""The modules around the neurons: one for each layer, and the core that chains them."""

from __future__ import annotations

from string import Template

from spikewright.targets.fpga.lif.lanes import Lanes, groups
from spikewright.targets.fpga.lif.network import FixedLayer, FixedNetwork
from spikewright.targets.fpga.lif.pipeline import depth
from spikewright.targets.fpga.lif.print_neuron import bias_bits, state_bits, sum_bits, value_bits

_LAYER = Template("""\
// Layer '$name', made by spikewright: a queue of events, the layer, and $lanes neurons at work.
module layer_$n (
    input  logic clock,
    input  logic reset,
$ports    output logic event_ready,
    input  logic event_valid,
    input  logic [$event_top:0] event_data,  // {kind, index}
    input  logic out_ready,
    output logic out_valid,
    output logic [1:0] out_kind,
    output logic [$out_top:0] out_index,
    output logic signed [$value_top:0] out_value,
    output logic [31:0] busy,
    output logic [31:0] saturated
);
$inside
  localparam integer LANES = $lanes, SUM = $sum, BIAS = $bias, STATE = $state, VALUE = $value;

  logic queue_valid, queue_ready;
  logic [$event_top:0] queued;
  logic [LANES*SUM-1:0] sums;
  logic [LANES*BIAS-1:0] biases;
  logic [LANES*STATE-1:0] states, next_states;
  logic [LANES*VALUE-1:0] values;
  logic [LANES-1:0] fires, saturates;
$advance
  stream_fifo #(
      .WIDTH($event_bits),
      .DEPTH($queue)
  ) queue (
      .clock,
      .reset,
      .push(event_valid & event_ready),
      .push_data(event_data),
      .room(event_ready),
      .ready(queue_ready),
      .valid(queue_valid),
      .data(queued)
  );

  spiking_layer #(
      .INPUTS($inputs),
      .NEURONS($neurons),
      .LANES(LANES),
      .RECURRENT($recurrent),
      .READOUT($readout),
      .STREAMED($streamed),
      .DEPTH($depth),
      .WEIGHT($weight),
      .SUM(SUM),
      .BIAS(BIAS),
      .STATE(STATE),
      .VALUE(VALUE),
      .INITIAL($state'h$initial),
      .WEIGHTS("weights_$n.mem"),
      .BIASES("biases_$n.mem")
  ) control (
      .clock,
      .reset,
      .cold($cold),
      .event_ready(queue_ready),
      .event_valid(queue_valid),
      .event_kind(queued[$event_top:$index]),
      .event_index(queued[$index_top:0]),
      .advance,
      .lane_sums(sums),
      .lane_biases(biases),
      .lane_states(states),
      .lane_next_states(next_states),
      .lane_values(values),
      .lane_fires(fires),
      .lane_saturates(saturates),
      .row_valid,
      .row_ready($row_ready),
      .row_data,
      .word_valid($word_valid),
      .word_ready,
      .word_data($word_data),
      .out_ready,
      .out_valid,
      .out_kind,
      .out_index,
      .out_value,
      .busy,
      .saturated
  );

  for (genvar lane = 0; lane < LANES; lane++) begin : neurons
    neuron_$n neuron (
$clocked        .total(sums[lane*SUM+:SUM]),
        .bias(biases[lane*BIAS+:BIAS]),
        .state(states[lane*STATE+:STATE]),
        .next_state(next_states[lane*STATE+:STATE]),
        .value(values[lane*VALUE+:VALUE]),
        .fires(fires[lane]),
        .saturates(saturates[lane])
    );
  end
endmodule
""")

_PORTS = Template("""\
    input  logic clock,
    input  logic reset,  // synchronous, at any time
    input  logic s_axi_awvalid,
    output logic s_axi_awready,
    input  logic [$address:0] s_axi_awaddr,
    input  logic s_axi_wvalid,
    output logic s_axi_wready,
    input  logic [31:0] s_axi_wdata,
    input  logic [3:0] s_axi_wstrb,
    output logic s_axi_bvalid,
    input  logic s_axi_bready,
    output logic [1:0] s_axi_bresp,
    input  logic s_axi_arvalid,
    output logic s_axi_arready,
    input  logic [$address:0] s_axi_araddr,
    output logic s_axi_rvalid,
    input  logic s_axi_rready,
    output logic [31:0] s_axi_rdata,
    output logic [1:0] s_axi_rresp,
    output logic s_axis_tready,
    input  logic s_axis_tvalid,
    /* verilator lint_off UNUSEDSIGNAL */  // lines need fewer bits
    input  logic [31:0] s_axis_tdata,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic m_axis_tready,
    output logic m_axis_tvalid,
    output logic [63:0] m_axis_tdata
""")

_CORE = Template("""\
// A network of spiking layers on events (made by spikewright; its numbers are in the images).
// Events in, 32 bits: [31:30] kind (event_pkg), [29:0] line. Events out, 64 bits: [63:62] kind,
// [61:32] neuron, [31:0] number: 1 for a spike, the signed number of a readout's neuron.
// Counters, and a way to start anew: registers over AXI4-Lite, see core_registers.
module lif_core (
$streams$ports);
  logic [$counters:0] busy, saturated;  // 32 bits a layer
  logic clear, anew, ready;

  core_registers #(
      .IDENTITY(32'h$identity),
      .LAYERS($count)
  ) registers (
      .clock,
      .reset,
      .awvalid(s_axi_awvalid),
      .awready(s_axi_awready),
      .awaddr(s_axi_awaddr),
      .wvalid(s_axi_wvalid),
      .wready(s_axi_wready),
      .wdata(s_axi_wdata),
      .wstrb(s_axi_wstrb),
      .bvalid(s_axi_bvalid),
      .bready(s_axi_bready),
      .arvalid(s_axi_arvalid),
      .arready(s_axi_arready),
      .araddr(s_axi_araddr),
      .rvalid(s_axi_rvalid),
      .rready(s_axi_rready),
      .rdata(s_axi_rdata),
      .clear,
      .busy,
      .saturated
  );
  assign s_axi_bresp = 2'b00;
  assign s_axi_rresp = 2'b00;

  // Nothing is taken or told in the clock in which all is forgotten.
  always_ff @(posedge clock) anew <= reset | clear;
  assign s_axis_tready = ready & ~anew;
$layers
  assign m_axis_tdata = {kind_$last, 30'(index_$last), 32'(value_$last)};
endmodule
""")

_INSTANCE = Template("""\
  logic ready_$n, valid_$n;
  logic [1:0] kind_$n;
  logic [$out_top:0] index_$n;
$before  logic signed [$value_top:0] value_$n;
$after  layer_$n each_$n (
      .clock,
      .reset(anew),
$streams      .event_ready($event_ready),
      .event_valid($event_valid),
      .event_data($event_data),
      .out_ready($out_ready),
      .out_valid(valid_$n),
      .out_kind(kind_$n),
      .out_index(index_$n),
      .out_value(value_$n),
      .busy(busy[$top:$low]),
      .saturated(saturated[$top:$low])
  );
""")


def index_bits(count: int) -> int:
    """Of the number of a line or neuron."""
    return max((count - 1).bit_length(), 1)


_LAYER_STREAMS = """\
    input  logic cold,  // reset by the wire, of which who sends weights knows
    output logic row_valid,
    input  logic row_ready,
    output logic [31:0] row_data,
    input  logic word_valid,
    output logic word_ready,
    /* verilator lint_off UNUSEDSIGNAL */  // what fills up bytes
    input  logic [{top}:0] word_data,
    /* verilator lint_on UNUSEDSIGNAL */
"""
_NO_STREAMS = """\
  /* verilator lint_off UNUSEDSIGNAL */  // of weights over a stream
  logic row_valid, word_ready;
  logic [31:0] row_data;
  /* verilator lint_on UNUSEDSIGNAL */
"""
_CLOCKED = """\
        .clock,
        .advance,
"""
_ADVANCE = "  logic advance;\n"
_NO_ADVANCE = """\
  /* verilator lint_off UNUSEDSIGNAL */  // the neurons have no registers
  logic advance;
  /* verilator lint_on UNUSEDSIGNAL */
"""
_CORE_STREAMS = Template("""\
    output logic m_axis_row_${n}_tvalid,  // asks for a row of weights of layer $n
    input  logic m_axis_row_${n}_tready,
    output logic [31:0] m_axis_row_${n}_tdata,
    input  logic s_axis_weight_${n}_tvalid,  // the $groups words of that row, in whole bytes
    output logic s_axis_weight_${n}_tready,
    input  logic [$top:0] s_axis_weight_${n}_tdata,
""")
_STREAMS = Template("""\
      .cold(reset),
      .row_valid(m_axis_row_${n}_tvalid),
      .row_ready(m_axis_row_${n}_tready),
      .row_data(m_axis_row_${n}_tdata),
      .word_valid(s_axis_weight_${n}_tvalid),
      .word_ready(s_axis_weight_${n}_tready),
      .word_data(s_axis_weight_${n}_tdata),
""")


def layer_text(layer: FixedLayer, n: int, lanes: int, chosen: Lanes) -> str:
    """``layer_<n>.sv``, whose neurons are of the module ``neuron_<n>``.

    Args:
        lanes: of this layer.
    """
    streamed = chosen.stream_weights
    row_ready, word_valid = ("row_ready", "word_valid") if streamed else ("1'b0", "1'b0")
    inputs = layer.weight.shape[0]
    index, value = index_bits(inputs), value_bits(layer)
    initial = 0
    for field in reversed(layer.step.fields):
        initial = initial << field.bits | field.initial % 2**field.bits
    bits, cuts = lanes * layer.bits, depth(layer.step)
    return _LAYER.substitute(
        name=layer.name, n=n, lanes=lanes, inputs=inputs, neurons=layer.neurons,
        recurrent=int(layer.back is not None), readout=int(not layer.spiking),
        weight=layer.bits, sum=sum_bits(layer), bias=bias_bits(layer),
        state=state_bits(layer), value=value, value_top=value - 1, initial=f"{initial:x}",
        index=index, index_top=index - 1, event_bits=index + 2, event_top=index + 1,
        out_top=index_bits(layer.neurons) - 1, queue=chosen.queue, streamed=int(streamed),
        ports=_LAYER_STREAMS.format(top=streamed_bits(layer, lanes) - 1) if streamed else "",
        inside="" if streamed else _NO_STREAMS, cold="cold" if streamed else "1'b0",
        row_ready=row_ready, word_valid=word_valid, depth=cuts,
        clocked=_CLOCKED if cuts else "", advance=_ADVANCE if cuts else _NO_ADVANCE,
        word_data=f"word_data[{bits - 1}:0]" if streamed else f"{bits}'d0",
    )  # fmt: skip


def core_text(network: FixedNetwork, chosen: Lanes, identity: int) -> str:
    """``lif_core.sv``.

    Args:
        identity: what a register tells.
    """
    last = len(network.layers) - 1
    layers = [_instance(network, n, chosen.stream_weights) for n in range(last + 1)]
    streams = [
        _CORE_STREAMS.substitute(
            n=n, top=streamed_bits(layer, each) - 1, groups=groups(layer, each)
        )
        for n, (layer, each) in enumerate(zip(network.layers, chosen.of(network), strict=True))
        if chosen.stream_weights
    ]
    return _CORE.substitute(
        counters=32 * len(layers) - 1, layers="\n".join(layers), last=last, count=len(layers),
        streams="".join(streams), ports=ports_text(network), identity=f"{identity:08x}",
    )  # fmt: skip


def streamed_bits(layer: FixedLayer, lanes: int) -> int:
    """Of a word of weights on a stream: those of all lanes, filled up to whole bytes."""
    return -(-lanes * layer.bits // 8) * 8


def ports_text(network: FixedNetwork) -> str:
    """Ports of a core whose weights lie on the chip."""
    return _PORTS.substitute(address=(15 + 8 * len(network.layers)).bit_length() - 1)


def _instance(network: FixedNetwork, n: int, streamed: bool) -> str:
    layer, is_last = network.layers[n], n + 1 == len(network.layers)
    line = index_bits(network.inputs) - 1
    lint = "  /* verilator lint_{} UNUSEDSIGNAL */{}\n"
    unused = "" if is_last else lint.format("off", "  // a spike is told by its index")
    return _INSTANCE.substitute(
        n=n, out_top=index_bits(layer.neurons) - 1, value_top=value_bits(layer) - 1,
        before=unused, after="" if is_last else lint.format("on", ""),
        event_ready=f"ready_{n - 1}" if n else "ready",
        event_valid=f"valid_{n - 1}" if n else "s_axis_tvalid & ~anew",
        event_data=f"{{kind_{n - 1}, index_{n - 1}}}" if n
        else f"{{s_axis_tdata[31:30], s_axis_tdata[{line}:0]}}",
        out_ready=f"ready_{n}", top=32 * n + 31, low=32 * n,
        streams=_STREAMS.substitute(n=n) if streamed else "",
    ) + _joined(n, is_last)  # fmt: skip


def _joined(n: int, is_last: bool) -> str:
    if not is_last:
        return ""
    return f"  assign ready_{n} = m_axis_tready;\n  assign m_axis_tvalid = valid_{n} & ~anew;"
