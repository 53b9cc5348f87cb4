// Keeps the sums of one term of an addition until the next term has worked out its own, in the same
// order, so that accumulators count on from them: the sums of a convolution that a shortcut is added
// to are never rounded and never seen by the activation memory. `totals` belongs to `sums`, in the
// same clock.
module partial_sums #(
    parameter integer WIDTH = 16,  // of one sum
    parameter integer UNITS = 2,
    parameter integer DEPTH = 2
) (
    input  logic                   clock,
    input  logic                   start,   // a run begins: with the first word
    input  logic                   resume,  // or where the last one stopped
    input  logic                   keep,
    input  logic                   add,
    input  logic                   put,     // there are sums
    input  logic [UNITS*WIDTH-1:0] sums,
    output logic [UNITS*WIDTH-1:0] totals
);
  localparam integer INDEX = $clog2(DEPTH);

  logic [INDEX-1:0] index, next;
  logic [UNITS*WIDTH-1:0] kept;

  // The word after the one on offer is read while that one is taken.
  always_comb begin
    next = index;
    if (start) next = resume ? index : '0;
    else if (put) next = index + INDEX'(1);
  end
  always_ff @(posedge clock) index <= next;

  memory_bank #(
      .WIDTH(UNITS * WIDTH),
      .DEPTH(DEPTH)
  ) bank (
      .clock,
      .write(put & keep),
      .write_index(index),
      .write_data(totals),
      .read_index(next),
      .read_data(kept)
  );

  for (genvar unit = 0; unit < UNITS; unit++) begin : each
    assign totals[unit*WIDTH+:WIDTH] = sums[unit*WIDTH+:WIDTH] +
        (add ? kept[unit*WIDTH+:WIDTH] : '0);
  end
endmodule
