// AXI4-Lite to a list of registers: 32 bit data, one access at a time, answers are always OKAY.
// Address and data of a write come in any order; bytes without a strobe are 0, bits of addresses below
// a word are ignored. No output to the bus depends on an input of the same clock. What is written
// lasts one clock on `write`; what is read is `read_data` in the clock in which `read_index` is the
// address.
module register_port #(
    parameter integer ADDRESS = 5  // bits of a byte address
) (
    input  logic               clock,
    input  logic               reset,
    input  logic               awvalid,
    output logic               awready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [ADDRESS-1:0] awaddr,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic               wvalid,
    output logic               wready,
    input  logic [       31:0] wdata,
    input  logic [        3:0] wstrb,
    output logic               bvalid,
    input  logic               bready,
    input  logic               arvalid,
    output logic               arready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [ADDRESS-1:0] araddr,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic               rvalid,
    input  logic               rready,
    output logic [       31:0] rdata,
    output logic               write,
    output logic [ADDRESS-3:0] write_index,
    output logic [       31:0] write_data,
    output logic [ADDRESS-3:0] read_index,
    input  logic [       31:0] read_data
);
  logic addressed, written;

  // Whichever comes first, address or data, is held until the other is there.
  assign awready = ~addressed;
  assign wready = ~written;
  assign write = addressed & written & ~bvalid;
  assign arready = ~rvalid;
  assign read_index = araddr[ADDRESS-1:2];

  always_ff @(posedge clock) begin
    if (awvalid & awready) write_index <= awaddr[ADDRESS-1:2];
    if (wvalid & wready)
      for (int lane = 0; lane < 4; lane++)
        write_data[8*lane+:8] <= wdata[8*lane+:8] & {8{wstrb[lane]}};
    if (write) {addressed, written} <= 2'b00;
    else begin
      if (awvalid) addressed <= 1'b1;
      if (wvalid) written <= 1'b1;
    end

    if (write) bvalid <= 1'b1;
    else if (bready) bvalid <= 1'b0;

    if (arvalid & arready) begin
      rvalid <= 1'b1;
      rdata  <= read_data;
    end else if (rready) rvalid <= 1'b0;

    if (reset) begin
      addressed <= 1'b0;
      written <= 1'b0;
      bvalid <= 1'b0;
      rvalid <= 1'b0;
    end
  end
endmodule
