// What a processor sees, by AXI4-Lite (32 bit data, one access at a time, answers are always OKAY):
//   0x00 CONTROL   write 1: start one inference; ignored while one runs
//   0x04 STATUS    bit 0 busy, bit 1 done (since the last start)
//   0x08 CYCLES    clocks of the last inference
//   0x0c STALLS    of these, clocks that waited for a stream
//   0x10 SATURATED activations that were larger than their layer's largest
//   0x14 IDENTITY  of the accelerator: a checksum of its dimensions
// Bits of addresses and data that no register has are ignored.
module control_registers #(
    parameter [31:0] IDENTITY = 0,
    parameter integer UNITS = 2
) (
    input  logic             clock,
    input  logic             reset,
    input  logic             awvalid,
    output logic             awready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [      4:0] awaddr,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic             wvalid,
    output logic             wready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [     31:0] wdata,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic             bvalid,
    input  logic             bready,
    input  logic             arvalid,
    output logic             arready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [      4:0] araddr,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic             rvalid,
    input  logic             rready,
    output logic [     31:0] rdata,
    output logic             start,
    input  logic             busy,
    input  logic             stalled,
    input  logic [UNITS-1:0] saturated
);
  logic [31:0] cycles, stalls, saturations, clipped;
  logic was_busy, done, accept;

  // Address and data of a write are taken together.
  assign accept = awvalid & wvalid & ~bvalid;
  assign awready = accept;
  assign wready = accept;
  assign start = accept & (awaddr[4:2] == 0) & wdata[0] & ~busy;
  assign arready = ~rvalid;

  always_comb begin
    clipped = '0;
    for (int unit = 0; unit < UNITS; unit++) clipped = clipped + 32'(saturated[unit]);
  end

  always_ff @(posedge clock) begin
    was_busy <= busy;
    if (start) begin
      done <= 1'b0;
      cycles <= '0;
      stalls <= '0;
      saturations <= '0;
    end else if (busy) begin
      cycles <= cycles + 32'd1;
      stalls <= stalls + 32'(stalled);
      saturations <= saturations + clipped;
    end else if (was_busy) done <= 1'b1;

    if (accept) bvalid <= 1'b1;
    else if (bready) bvalid <= 1'b0;

    if (arvalid & arready) begin
      rvalid <= 1'b1;
      case (araddr[4:2])
        3'd1: rdata <= {30'd0, done, busy};
        3'd2: rdata <= cycles;
        3'd3: rdata <= stalls;
        3'd4: rdata <= saturations;
        3'd5: rdata <= IDENTITY;
        default: rdata <= '0;
      endcase
    end else if (rready) rvalid <= 1'b0;

    if (reset) begin
      was_busy <= 1'b0;
      done <= 1'b0;
      bvalid <= 1'b0;
      rvalid <= 1'b0;
    end
  end
endmodule
