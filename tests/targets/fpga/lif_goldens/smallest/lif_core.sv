// A network of spiking layers on events (made by spikewright; its numbers are in the images).
// Events in, 32 bits: [31:30] kind (event_pkg), [29:0] line. Events out, 64 bits: [63:62] kind,
// [61:32] neuron, [31:0] number: 1 for a spike, the signed number of a readout's neuron.
// Counters, and a way to start anew: registers over AXI4-Lite, see core_registers.
module lif_core (
    input  logic clock,
    input  logic reset,  // synchronous, at any time
    input  logic s_axi_awvalid,
    output logic s_axi_awready,
    input  logic [4:0] s_axi_awaddr,
    input  logic s_axi_wvalid,
    output logic s_axi_wready,
    input  logic [31:0] s_axi_wdata,
    input  logic [3:0] s_axi_wstrb,
    output logic s_axi_bvalid,
    input  logic s_axi_bready,
    output logic [1:0] s_axi_bresp,
    input  logic s_axi_arvalid,
    output logic s_axi_arready,
    input  logic [4:0] s_axi_araddr,
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
  logic [31:0] busy, saturated;  // 32 bits a layer
  logic clear, anew, ready;

  core_registers #(
      .IDENTITY(32'hf9e35425),
      .LAYERS(1)
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
  logic [0:0] index_0;
  logic signed [1:0] value_0;
  layer_0 each_0 (
      .clock,
      .reset(anew),
      .event_ready(ready),
      .event_valid(s_axis_tvalid & ~anew),
      .event_data({s_axis_tdata[31:30], s_axis_tdata[0:0]}),
      .out_ready(ready_0),
      .out_valid(valid_0),
      .out_kind(kind_0),
      .out_index(index_0),
      .out_value(value_0),
      .busy(busy[31:0]),
      .saturated(saturated[31:0])
  );
  assign ready_0 = m_axis_tready;
  assign m_axis_tvalid = valid_0 & ~anew;
  assign m_axis_tdata = {kind_0, 30'(index_0), 32'(value_0)};
endmodule
