// What a processor sees of a core of spiking layers, by AXI4-Lite (see register_port):
//   0x00 CONTROL   write 1: forget all events and states, and count anew, as after a reset
//   0x04 IDENTITY  of the core: a checksum of the modules made for its network
//   0x08 LAYERS    how many
//   0x10 + 8 n     BUSY: clocks of work of layer n
//   0x14 + 8 n     SATURATED: states of layer n that were cut to their range
// Bits of addresses and data that no register has are ignored; what is not there reads as 0.
module core_registers #(
    parameter [31:0] IDENTITY = 0,
    parameter integer LAYERS = 1,
    parameter integer ADDRESS = $clog2(16 + 8 * LAYERS)
) (
    input  logic                 clock,
    input  logic                 reset,
    input  logic                 awvalid,
    output logic                 awready,
    input  logic [  ADDRESS-1:0] awaddr,
    input  logic                 wvalid,
    output logic                 wready,
    input  logic [         31:0] wdata,
    input  logic [          3:0] wstrb,
    output logic                 bvalid,
    input  logic                 bready,
    input  logic                 arvalid,
    output logic                 arready,
    input  logic [  ADDRESS-1:0] araddr,
    output logic                 rvalid,
    input  logic                 rready,
    output logic [         31:0] rdata,
    output logic                 clear,  // for one clock
    input  logic [32*LAYERS-1:0] busy,
    input  logic [32*LAYERS-1:0] saturated
);
  localparam integer INDEX = ADDRESS - 2;

  logic write;
  logic [INDEX-1:0] write_index, read_index;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [31:0] write_data;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [31:0] read_data;

  register_port #(
      .ADDRESS(ADDRESS)
  ) port (
      .*
  );

  assign clear = write & (write_index == 0) & write_data[0];

  always_comb begin
    read_data = '0;
    if (read_index == INDEX'(1)) read_data = IDENTITY;
    if (read_index == INDEX'(2)) read_data = 32'(LAYERS);
    for (int n = 0; n < LAYERS; n++) begin
      if (read_index == INDEX'(4 + 2 * n)) read_data = busy[32*n+:32];
      if (read_index == INDEX'(5 + 2 * n)) read_data = saturated[32*n+:32];
    end
  end
endmodule
