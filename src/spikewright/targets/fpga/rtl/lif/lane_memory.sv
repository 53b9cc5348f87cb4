// A memory that is read in the same clock: distributed RAM, or registers where it is small. So a
// number that was written can be read, changed and written again in the very next clock.
module lane_memory #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 2,
    parameter integer INDEX = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  logic             clock,
    input  logic             write,
    input  logic [INDEX-1:0] write_index,
    input  logic [WIDTH-1:0] write_data,
    input  logic [INDEX-1:0] read_index,
    output logic [WIDTH-1:0] read_data
);
  logic [WIDTH-1:0] words[0:DEPTH-1];

  assign read_data = words[read_index];
  always_ff @(posedge clock) if (write) words[write_index] <= write_data;
endmodule
