// A memory image that is handed out word by word, in the order of its addresses, with the
// ready/valid of a stream: a source of weights on the chip in the place of one outside it.
// One word a clock; `rewind` starts again with the first word.
module stream_memory #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 1024,
    parameter IMAGE = ""
) (
    input  logic             clock,
    input  logic             rewind,
    input  logic             ready,
    output logic             valid,
    output logic [WIDTH-1:0] data
);
  localparam integer INDEX = $clog2(DEPTH);

  logic [WIDTH-1:0] words[0:DEPTH-1];
  logic [INDEX-1:0] index, next;

  initial $readmemh(IMAGE, words);

  // The word after the one on offer is read while that one is taken.
  assign next = (valid & ready) ? index + INDEX'(1) : index;

  always_ff @(posedge clock) begin
    data <= words[next];
    if (rewind) begin
      index <= '0;
      valid <= 1'b0;
    end else begin
      index <= next;
      valid <= 1'b1;
    end
  end
endmodule
