// A network of spiking layers on events (made by spikewright; its numbers are in the images).
// Events in, 32 bits: [31:30] kind (event_pkg), [29:0] line. Events out, 64 bits: [63:62] kind,
// [61:32] neuron, [31:0] number: 1 for a spike, the signed number of a readout's neuron.
module lif_core (
    input  logic clock,
    input  logic reset,  // synchronous, at any time
    output logic s_axis_tready,
    input  logic s_axis_tvalid,
    /* verilator lint_off UNUSEDSIGNAL */  // lines need fewer bits
    input  logic [31:0] s_axis_tdata,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic m_axis_tready,
    output logic m_axis_tvalid,
    output logic [63:0] m_axis_tdata,
    output logic [95:0] busy,      // clocks of work since reset, 32 bits a layer
    output logic [95:0] saturated  // states cut to their range, likewise
);
  logic ready_0, valid_0;
  logic [1:0] kind_0;
  logic [3:0] index_0;
  /* verilator lint_off UNUSEDSIGNAL */  // a spike is told by its index
  logic signed [1:0] value_0;
  /* verilator lint_on UNUSEDSIGNAL */
  layer_0 each_0 (
      .clock,
      .reset,
      .event_ready(s_axis_tready),
      .event_valid(s_axis_tvalid),
      .event_data({s_axis_tdata[31:30], s_axis_tdata[3:0]}),
      .out_ready(ready_0),
      .out_valid(valid_0),
      .out_kind(kind_0),
      .out_index(index_0),
      .out_value(value_0),
      .busy(busy[31:0]),
      .saturated(saturated[31:0])
  );

  logic ready_1, valid_1;
  logic [1:0] kind_1;
  logic [2:0] index_1;
  /* verilator lint_off UNUSEDSIGNAL */  // a spike is told by its index
  logic signed [1:0] value_1;
  /* verilator lint_on UNUSEDSIGNAL */
  layer_1 each_1 (
      .clock,
      .reset,
      .event_ready(ready_0),
      .event_valid(valid_0),
      .event_data({kind_0, index_0}),
      .out_ready(ready_1),
      .out_valid(valid_1),
      .out_kind(kind_1),
      .out_index(index_1),
      .out_value(value_1),
      .busy(busy[63:32]),
      .saturated(saturated[63:32])
  );

  logic ready_2, valid_2;
  logic [1:0] kind_2;
  logic [1:0] index_2;
  logic signed [10:0] value_2;
  layer_2 each_2 (
      .clock,
      .reset,
      .event_ready(ready_1),
      .event_valid(valid_1),
      .event_data({kind_1, index_1}),
      .out_ready(ready_2),
      .out_valid(valid_2),
      .out_kind(kind_2),
      .out_index(index_2),
      .out_value(value_2),
      .busy(busy[95:64]),
      .saturated(saturated[95:64])
  );
  assign ready_2 = m_axis_tready;
  assign m_axis_tvalid = valid_2;
  assign m_axis_tdata = {kind_2, 30'(index_2), 32'(value_2)};
endmodule
