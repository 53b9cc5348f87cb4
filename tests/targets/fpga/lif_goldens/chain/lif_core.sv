// A network of spiking layers on events (made by spikewright; its numbers are in the images).
// Events in, 32 bits: [31:30] kind (event_pkg), [29:0] line. Events out, 64 bits: [63:62] kind,
// [61:32] neuron, [31:0] number: 1 for a spike, the signed number of a readout's neuron.
// Counters, and a way to start anew: registers over AXI4-Lite, see core_registers.
module lif_core (
    input  logic clock,
    input  logic reset,  // synchronous, at any time
    input  logic s_axi_awvalid,
    output logic s_axi_awready,
    input  logic [5:0] s_axi_awaddr,
    input  logic s_axi_wvalid,
    output logic s_axi_wready,
    input  logic [31:0] s_axi_wdata,
    input  logic [3:0] s_axi_wstrb,
    output logic s_axi_bvalid,
    input  logic s_axi_bready,
    output logic [1:0] s_axi_bresp,
    input  logic s_axi_arvalid,
    output logic s_axi_arready,
    input  logic [5:0] s_axi_araddr,
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
);
  logic [95:0] busy, saturated;  // 32 bits a layer
  logic clear, anew, ready;

  core_registers #(
      .IDENTITY(32'hcfb6ccc9),
      .LAYERS(3)
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
  logic ready_0, valid_0;
  logic [1:0] kind_0;
  logic [3:0] index_0;
  /* verilator lint_off UNUSEDSIGNAL */  // a spike is told by its index
  logic signed [1:0] value_0;
  /* verilator lint_on UNUSEDSIGNAL */
  layer_0 each_0 (
      .clock,
      .reset(anew),
      .event_ready(ready),
      .event_valid(s_axis_tvalid & ~anew),
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
      .reset(anew),
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
      .reset(anew),
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
  assign m_axis_tvalid = valid_2 & ~anew;
  assign m_axis_tdata = {kind_2, 30'(index_2), 32'(value_2)};
endmodule
