// Ping-pong memory of activations. A word is one row of one bit plane, its first column in bit 0.
// The top bit of an address says which bank: a layer reads one while it writes the other.
// What is read appears one clock later.
module activation_memory #(
    parameter integer WORD = 32,
    parameter integer ADDRESS = 11,
    parameter integer DEPTH_0 = 1024,
    parameter integer DEPTH_1 = 1024
) (
    input  logic               clock,
    input  logic               write,
    input  logic [ADDRESS-1:0] write_address,
    input  logic [   WORD-1:0] write_data,
    input  logic [ADDRESS-1:0] read_address,
    output logic [   WORD-1:0] read_data
);
  localparam integer INDEX_0 = $clog2(DEPTH_0);
  localparam integer INDEX_1 = $clog2(DEPTH_1);

  logic [WORD-1:0] read_data_0, read_data_1;
  logic read_bank;

  memory_bank #(
      .WIDTH(WORD),
      .DEPTH(DEPTH_0)
  ) ping (
      .clock,
      .write(write & ~write_address[ADDRESS-1]),
      .write_index(write_address[INDEX_0-1:0]),
      .write_data,
      .read_index(read_address[INDEX_0-1:0]),
      .read_data(read_data_0)
  );

  memory_bank #(
      .WIDTH(WORD),
      .DEPTH(DEPTH_1)
  ) pong (
      .clock,
      .write(write & write_address[ADDRESS-1]),
      .write_index(write_address[INDEX_1-1:0]),
      .write_data,
      .read_index(read_address[INDEX_1-1:0]),
      .read_data(read_data_1)
  );

  always_ff @(posedge clock) read_bank <= read_address[ADDRESS-1];
  assign read_data = read_bank ? read_data_1 : read_data_0;
endmodule
