// Counts, in simulations alone, what an accelerator does that costs energy. Bound to its modules;
// at the end each counter says its name and its total, and who reads adds up those of one name.
module event_counter #(
    parameter NAME = "",
    parameter integer AMOUNT = 1  // that an event adds
) (
    input logic clock,
    input logic happens
);
  longint unsigned total = 0;
  always_ff @(posedge clock) if (happens) total <= total + 64'(AMOUNT);
  final $display("activity %s %0d", NAME, total);
endmodule

// As many as bits are set.
module bit_counter #(
    parameter NAME = "",
    parameter integer WIDTH = 1
) (
    input logic             clock,
    input logic             happens,
    input logic [WIDTH-1:0] bits
);
  longint unsigned total = 0;
  int unsigned now;
  always_comb begin
    now = 0;
    for (int i = 0; i < WIDTH; i++) if (bits[i]) now = now + 1;
  end
  always_ff @(posedge clock) if (happens) total <= total + 64'(now);
  final $display("activity %s %0d", NAME, total);
endmodule

// A memory costs energy when it is asked for another word.
module read_counter #(
    parameter integer WIDTH = 1,
    parameter integer INDEX = 1
) (
    input logic             clock,
    input logic [INDEX-1:0] index
);
  longint unsigned total = 0;
  logic [INDEX-1:0] previous;
  always_ff @(posedge clock) begin
    previous <= index;
    if (index != previous) total <= total + 64'(WIDTH);
  end
  final $display("activity read_bits %0d", total);
endmodule

// Accumulators of a linear unit, whose operands other than 0 were taken with the last weights.
module linear_counter #(
    parameter integer LINEAR = 1,
    parameter integer WEIGHT = 1
) (
    input logic                     clock,
    input logic                     take,
    input logic [LINEAR*WEIGHT-1:0] weights,
    input logic                     adds
);
  longint unsigned total = 0;
  int unsigned now, kept;
  always_comb begin
    now = 0;
    for (int lane = 0; lane < LINEAR; lane++)
      if (weights[lane*WEIGHT+:WEIGHT] != '0) now = now + 1;
  end
  always_ff @(posedge clock) begin
    if (take) kept <= now;
    if (adds) total <= total + 64'(kept);
  end
  final $display("activity additions %0d", total);
endmodule

// An addition of 0 switches nothing.
bind accumulator_row bit_counter #(.NAME("additions"), .WIDTH(LANES)) additions (
    .clock,
    .happens(enable && operand != '0),
    .bits(spikes)
);
bind accumulator_row event_counter #(.NAME("doublings"), .AMOUNT(LANES)) doublings (
    .clock,
    .happens(enable & twice & ~clear)
);
bind linear_unit linear_counter #(.LINEAR(LINEAR), .WEIGHT(WEIGHT)) additions (
    .clock,
    .take,
    .weights,
    .adds(enable & spike)
);
bind row_writer event_counter #(.NAME("roundings"), .AMOUNT(UNITS)) roundings (
    .clock,
    .happens(put)
);
bind memory_bank read_counter #(.WIDTH(WIDTH), .INDEX(INDEX)) reads (.clock, .index(read_index));
bind memory_bank event_counter #(.NAME("written_bits"), .AMOUNT(WIDTH)) writes (
    .clock,
    .happens(write)
);
bind stream_memory event_counter #(.NAME("read_bits"), .AMOUNT(WIDTH)) reads (
    .clock,
    .happens(ready & valid)
);
bind weight_source event_counter #(.NAME("streamed_bits"), .AMOUNT(WIDTH)) streamed (
    .clock,
    .happens(stream_ready & stream_valid)
);
bind sequencer read_counter #(.WIDTH(32), .INDEX(INDEX)) reads (.clock, .index(index));
