// Answers a layer that asks for rows of weights, with random gaps of +weight_gap percent.
module weight_host #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 2,
    parameter integer WORDS = 2,
    parameter IMAGE = ""
) (
    input  logic             clock,
    input  logic             reset,
    input  logic             row_valid,
    output logic             row_ready,
    input  logic [     31:0] row_data,
    output logic             word_valid,
    input  logic             word_ready,
    output logic [WIDTH-1:0] word_data
);
  logic [WIDTH-1:0] words[0:DEPTH-1];
  integer gap, next, left;

  initial begin
    $readmemh(IMAGE, words);
    if ($value$plusargs("weight_gap=%d", gap) == 0) gap = 0;
  end

  function automatic logic moves();
    return $urandom_range(99) >= gap;
  endfunction

  assign word_data = word_valid ? words[next] : WIDTH'($urandom);

  always_ff @(posedge clock) begin
    row_ready <= left == 0 && !(row_valid && row_ready) && moves();
    if (row_valid && row_ready) begin
      next <= row_data * WORDS;
      left <= WORDS;
      word_valid <= moves();
    end else if (word_valid && word_ready) begin
      next <= next + 1;
      left <= left - 1;
      word_valid <= left > 1 && moves();
    end else word_valid <= word_valid || (left > 0 && moves());
    if (reset) begin
      left <= 0;
      word_valid <= 1'b0;
      row_ready <= 1'b0;
    end
  end
endmodule
