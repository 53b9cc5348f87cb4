// A memory with one port to write and one to read; what is read appears one clock later.
module memory_bank #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 1024,
    parameter integer INDEX = $clog2(DEPTH)
) (
    input  logic             clock,
    input  logic             write,
    input  logic [INDEX-1:0] write_index,
    input  logic [WIDTH-1:0] write_data,
    input  logic [INDEX-1:0] read_index,
    output logic [WIDTH-1:0] read_data
);
  logic [WIDTH-1:0] words[0:DEPTH-1];

  always_ff @(posedge clock) begin
    if (write) words[write_index] <= write_data;
    read_data <= words[read_index];
  end
endmodule
