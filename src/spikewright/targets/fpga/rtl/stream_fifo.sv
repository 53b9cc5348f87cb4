// A first-in first-out queue between two streams. `room` says that two more words fit, so that a
// sender whose words arrive one clock after it looked never loses one.
module stream_fifo #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 8
) (
    input  logic             clock,
    input  logic             reset,
    input  logic             push,
    input  logic [WIDTH-1:0] push_data,
    output logic             room,
    input  logic             ready,
    output logic             valid,
    output logic [WIDTH-1:0] data
);
  localparam integer INDEX = $clog2(DEPTH);

  logic [WIDTH-1:0] words[0:DEPTH-1];
  logic [INDEX-1:0] head, tail;
  logic [INDEX:0] count;
  logic pop;

  assign pop   = valid & ready;
  assign valid = count != 0;
  assign data  = words[head];
  assign room  = count < (INDEX + 1)'(DEPTH - 1);

  always_ff @(posedge clock) begin
    if (reset) begin
      head  <= '0;
      tail  <= '0;
      count <= '0;
    end else begin
      if (push) begin
        words[tail] <= push_data;
        tail <= tail + INDEX'(1);
      end
      if (pop) head <= head + INDEX'(1);
      count <= count + {{INDEX{1'b0}}, push} - {{INDEX{1'b0}}, pop};
    end
  end
endmodule
