// What a processor sees, by AXI4-Lite (see register_port):
//   0x00 CONTROL   write 1: start one inference; ignored while one runs
//   0x04 STATUS    bit 0 busy, bit 1 done (since the last start); one of them from the first start on
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
    input  logic [      4:0] awaddr,
    input  logic             wvalid,
    output logic             wready,
    input  logic [     31:0] wdata,
    input  logic [      3:0] wstrb,
    output logic             bvalid,
    input  logic             bready,
    input  logic             arvalid,
    output logic             arready,
    input  logic [      4:0] araddr,
    output logic             rvalid,
    input  logic             rready,
    output logic [     31:0] rdata,
    output logic             start,
    input  logic             busy,
    input  logic             stalled,
    input  logic [UNITS-1:0] saturated
);
  logic [31:0] cycles, stalls, saturations, clipped, read_data;
  logic started, write;
  logic [2:0] write_index, read_index;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [31:0] write_data;
  /* verilator lint_on UNUSEDSIGNAL */

  register_port #(
      .ADDRESS(5)
  ) port (
      .*
  );

  assign start = write & (write_index == 0) & write_data[0] & ~busy;

  always_comb begin
    clipped = '0;
    for (int unit = 0; unit < UNITS; unit++) clipped = clipped + 32'(saturated[unit]);
  end

  always_ff @(posedge clock) begin
    if (start) begin
      started <= 1'b1;
      cycles <= '0;
      stalls <= '0;
      saturations <= '0;
    end else if (busy) begin
      cycles <= cycles + 32'd1;
      stalls <= stalls + 32'(stalled);
      saturations <= saturations + clipped;
    end

    if (reset) begin
      {cycles, stalls, saturations} <= '0;
      started <= 1'b0;
    end
  end

  always_comb begin
    case (read_index)
      3'd1: read_data = {30'd0, started & ~busy, busy};
      3'd2: read_data = cycles;
      3'd3: read_data = stalls;
      3'd4: read_data = saturations;
      3'd5: read_data = IDENTITY;
      default: read_data = '0;
    endcase
  end
endmodule
