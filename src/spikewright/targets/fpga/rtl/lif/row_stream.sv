// Weights of a layer from outside: asks for one row at a time and hands on its words, which come in
// the order of their groups. A row that was asked for comes whole, also when the layer has forgotten
// all in the meantime (`anew`): then its words are dropped, and the layer waits until it is `free`.
module row_stream #(
    parameter integer WIDTH = 32,
    parameter integer WORDS = 2  // of a row
) (
    input  logic             clock,
    input  logic             reset,  // the sender forgets as well
    input  logic             anew,
    input  logic             ask,
    input  logic [     31:0] row,
    output logic             free,
    input  logic             take,
    output logic             arrives,
    output logic [WIDTH-1:0] weights,  // of the word that arrived one clock ago
    output logic             row_valid,
    input  logic             row_ready,
    output logic [     31:0] row_data,
    input  logic             word_valid,
    output logic             word_ready,
    input  logic [WIDTH-1:0] word_data
);
  localparam integer COUNT = $clog2(WORDS + 1);
  logic [COUNT-1:0] due, left;  // words of the last row, before and after this clock
  logic stale, comes;

  assign free = ~stale;
  assign word_ready = stale | take;
  assign comes = word_valid & word_ready;
  assign arrives = comes & ~stale;
  assign left = due - COUNT'(comes);

  always_ff @(posedge clock) begin
    if (comes) weights <= word_data;
    if (row_ready) row_valid <= 1'b0;
    due   <= left;
    stale <= (stale | anew) & (left != 0);
    if (ask & ~anew) begin
      row_valid <= 1'b1;
      row_data <= row;
      due <= COUNT'(WORDS);
    end
    if (reset) begin
      row_valid <= 1'b0;
      due <= '0;
      stale <= 1'b0;
    end
  end
endmodule
