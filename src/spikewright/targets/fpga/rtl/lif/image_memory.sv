// A memory that keeps what its image says; what is read appears one clock later (block RAM)
// and stays until the next is read.
module image_memory #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 2,
    parameter IMAGE = "",
    parameter integer INDEX = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  logic             clock,
    input  logic             read,
    input  logic [INDEX-1:0] index,
    output logic [WIDTH-1:0] data
);
  logic [WIDTH-1:0] words[0:DEPTH-1];
  initial $readmemh(IMAGE, words);

  always_ff @(posedge clock) if (read) data <= words[index];
endmodule
